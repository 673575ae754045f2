/** Where etsy's statsd writes: its backends in our words. */
import type { IniDraft } from "./ini-draft.ts";
import { isTable, showValue, type ValueTree } from "./value-tree.ts";

const NONE = "there is no such sink; file and carbon take all rows";

/** Takes the keys of backends off a configuration. */
export function readBackends(tree: ValueTree, draft: IniDraft): void {
  const backends = tree.take("backends", "texts") ?? ["./backends/graphite"];
  const kinds = backends.map((name) => /([^/]*?)(?:\.js)?$/.exec(name)?.[1] ?? name);
  const sinks = kinds.flatMap((kind) => ({ graphite: "carbon", console: "console" })[kind] ?? []);
  for (const [index, kind] of kinds.entries()) {
    if (!["graphite", "console", "repeater"].includes(kind))
      draft.leave(`backends: ${backends[index]}`, NONE);
  }
  if (sinks.length === 0) {
    const remark = "None of the backends has a counterpart that takes rows.";
    draft.set("aggregator.sinks", "console", remark);
  } else draft.set("aggregator.sinks", [...new Set(sinks)].join(" "));
  readGraphite(tree, draft, sinks.includes("carbon"));
  readRepeater(tree, draft, kinds.includes("repeater"));
  const pretty = tree.any("console");
  if (pretty !== undefined)
    draft.leave(`console = ${showValue(pretty)}`, "the console shows a table of rows");
}

function readGraphite(tree: ValueTree, draft: IniDraft, isUsed: boolean): void {
  const host = tree.take("graphiteHost", "text") ?? "127.0.0.1";
  const port = tree.take("graphitePort", "whole") ?? 2003;
  const picklePort = tree.take("graphitePicklePort", "whole") ?? 2004;
  const protocol = tree.take("graphiteProtocol", "text") ?? "text";
  if (protocol !== "text" && protocol !== "pickle") {
    tree.fault("graphiteProtocol", "is unknown; choose one of text, pickle");
  }
  if (!isUsed) return;
  const isPickle = protocol === "pickle";
  const name = host.includes(":") ? `[${host}]` : host;
  draft.setList("carbon.address", [`${name}:${isPickle ? picklePort : port}`]);
  if (isPickle) draft.set("carbon.format", "pickle");
}

function readRepeater(tree: ValueTree, draft: IniDraft, isUsed: boolean): void {
  const given = tree.any("repeater");
  const protocol = tree.take("repeaterProtocol", "text") ?? "udp4";
  const scheme = { udp4: "udp", udp6: "udp", tcp: "tcp" }[protocol];
  if (scheme === undefined) tree.fault("repeaterProtocol", "is unknown; choose one of udp4, udp6, tcp");
  if (given === undefined) return;
  const peers = Array.isArray(given) ? given.map(peerOf) : [undefined];
  const known = peers.flatMap((peer) => peer ?? []);
  if (known.length < peers.length) tree.fault("repeater", "is no list of objects with host and port");
  else if (!isUsed)
    draft.leave(`repeater = ${showValue(given)}`, "backends does not name ./backends/repeater");
  else
    draft.setList(
      "repeater.address",
      known.map((peer) => `${scheme ?? "udp"}://${peer}`),
    );
}

function peerOf(peer: unknown): string | undefined {
  if (!isTable(peer)) return undefined;
  const { host, port } = peer;
  if (typeof host !== "string" || typeof port !== "number") return undefined;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
