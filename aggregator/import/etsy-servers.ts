/** Where etsy's statsd takes lines, and how it reads their names, in our words. */
import type { IniDraft } from "./ini-draft.ts";
import { isTable, ValueTree } from "./value-tree.ts";

/** What a server says of itself; at the top it is what all servers have. */
interface Place {
  readonly address: string | undefined;
  readonly port: number;
  readonly isIpv6: boolean;
  readonly socket: string | undefined;
  readonly mode: string | undefined;
}

const PLACE_KEYS = ["server", "address", "port", "address_ipv6", "socket", "socket_mod"];
const USUAL: Place = { address: undefined, port: 8125, isIpv6: false, socket: undefined, mode: undefined };

/** Takes the keys of servers and of the administration port off a configuration. */
export function readServers(tree: ValueTree, draft: IniDraft): void {
  const shared = placeOf(tree, USUAL);
  const server = tree.take("server", "text") ?? "./servers/udp";
  const given = tree.any("servers");
  const list = Array.isArray(given) && given.every(isTable) ? given : undefined;
  if (given !== undefined && list === undefined) tree.fault("servers", "is no list of objects");
  const servers = (list ?? [{ server }]).map((table, index) => {
    const path = list === undefined ? "" : `servers.${index}`;
    const one = new ValueTree(table, path, tree.faults);
    const place = placeOf(one, shared);
    const url = listenUrl(one, place);
    one.finish(PLACE_KEYS);
    return { url, mode: place.mode };
  });
  draft.setList(
    "aggregator.listen",
    servers.flatMap(({ url }) => url ?? []),
  );
  const [mode] = servers.flatMap((one) => one.mode ?? []);
  if (mode !== undefined) draft.set("aggregator.socket-mode", mode);
  draft.set("aggregator.sanitize", tree.take("keyNameSanitize", "truth") === false ? "bioyino" : "etsy");
  draft.set("aggregator.unknown-type", "counter");
  const [host, port] = [tree.take("mgmt_address", "text"), tree.take("mgmt_port", "whole")];
  const remark = host === undefined ? "etsy's is open to everybody; it asks for no password." : "";
  draft.set("aggregator.admin", `${bracketed(host ?? "127.0.0.1")}:${port ?? 8126}`, remark);
}

function placeOf(table: ValueTree, usual: Place): Place {
  return {
    address: table.take("address", "text") ?? usual.address,
    port: table.take("port", "whole") ?? usual.port,
    isIpv6: table.take("address_ipv6", "truth") ?? usual.isIpv6,
    socket: table.take("socket", "text") ?? usual.socket,
    mode: table.take("socket_mod", "text") ?? usual.mode,
  };
}

function listenUrl(server: ValueTree, { address, port, isIpv6, socket }: Place): string | undefined {
  const name = server.take("server", "text");
  const [, kind] = /^(?:.*\/)?(udp|tcp)(?:\.js)?$/.exec(name ?? "") ?? [];
  if (kind === undefined) {
    if (name !== undefined)
      server.fault("server", "is no server of etsy's statsd; name ./servers/udp or tcp");
    return undefined;
  }
  if (kind === "tcp" && socket !== undefined) return `unix://${socket}`;
  return `${kind}://${bracketed(address ?? (isIpv6 ? "::" : "0.0.0.0"))}:${port}`;
}

/** An IPv6 address with the brackets that it needs before a port. */
function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
