/** What no option of the configuration can tell by itself: contradictions, and what is probably not meant. */
import type { RouteConfig, SuiteConfig } from "./config.ts";
import { stripWeight } from "./config-addresses.ts";
import { checkAggregator, warnOfAggregator } from "./config-checks-aggregator.ts";
import { checkCluster, warnOfCluster } from "./config-checks-cluster.ts";
import type { ConfigReader } from "./config-reader.ts";
import { MAIN_RING } from "./config-relay.ts";
import { isLoopback } from "./management-access.ts";

/** What [relay] and [route.NAME] have in common. */
type RingConfig = Pick<
  RouteConfig,
  "name" | "destinations" | "destinationsFile" | "hash" | "shards" | "replicas" | "onDead"
>;

/**
 * Adds the faults that lie between options to those of the reader. Where there are none at all, warns of what
 * works and is probably not meant. sectionLines: line of each section's header.
 */
export function crossCheck(
  config: SuiteConfig,
  reader: ConfigReader,
  sectionLines: ReadonlyMap<string, number>,
): void {
  checkAggregator(config, reader, sectionLines);
  checkCluster(config, reader, sectionLines);
  const { relay } = config;
  const main: RingConfig = { name: MAIN_RING, ...relay };
  for (const ring of [main, ...relay.routes]) checkRing(ring, sectionOf(ring), reader);
  for (const route of relay.routes) checkRoute(route, reader, sectionLines);
  checkTls(config, reader);
  if (reader.faults.length > 0) return;
  for (const ring of [main, ...relay.routes]) {
    warnOfNext(ring, reader);
    warnOfHold(ring, reader);
  }
  warnOfShadows(config, reader);
  warnOfRelay(config, reader);
  warnOfAggregator(config, reader);
  warnOfCluster(config, reader);
}

function sectionOf({ name }: { readonly name: string }): string {
  return name === MAIN_RING ? "relay" : `route.${name}`;
}

/** Different destinations of a ring; undefined where a file will tell. */
function countDestinations({ destinations, destinationsFile }: RingConfig): number | undefined {
  if (destinationsFile !== "" || destinations.length === 0) return undefined;
  return new Set(destinations.map((text) => stripWeight(text).entry)).size;
}

function checkRing(ring: RingConfig, section: string, reader: ConfigReader): void {
  /** Reports what is wrong with the first of these keys that was set, in the section or where it inherits. */
  const fault = (faults: Readonly<Record<string, string>>): void => {
    const keys = Object.keys(faults);
    // What a route has from [relay] alone is reported there.
    if (section !== "relay" && !keys.some((key) => reader.isSet(`${section}.${key}`))) return;
    const sections = section === "relay" ? [section] : [section, "relay"];
    reader.faultBetween(
      new Map(sections.flatMap((one) => keys.map((key) => [`${one}.${key}`, faults[key]!] as const))),
    );
  };
  if (ring.shards > 0 && ring.hash !== "murmur3-shards") {
    const ofShards = `is for hash = murmur3-shards alone, and the hash is ${ring.hash}; write 0`;
    fault({ shards: ofShards, hash: `has no shards, and there are ${ring.shards}; write shards = 0` });
  }
  const count = countDestinations(ring);
  if (count !== undefined && ring.replicas > count) {
    const ofReplicas = `is more than there are different destinations; choose at most ${count}`;
    const ofDestinations = `has ${count} different ones, fewer than replicas (${ring.replicas}); name more`;
    fault({ replicas: ofReplicas, destinations: ofDestinations });
  }
  if (ring.destinationsFile !== "" && ring.destinations.length > 0) {
    fault({ "destinations-file": "stands beside destinations; keep one of them" });
  }
}

function checkRoute(route: RouteConfig, reader: ConfigReader, lines: ReadonlyMap<string, number>): void {
  const section = sectionOf(route);
  if (route.destinations.length > 0 || route.destinationsFile !== "") return;
  if (["destinations", "destinations-file"].some((key) => reader.isFaulty(`${section}.${key}`))) return;
  const what = `[${section}]: has no destinations; name some, or a destinations-file`;
  reader.faults.push({ place: { line: lines.get(section)! }, what });
}

function checkTls({ relay: { tlsCert, tlsKey } }: SuiteConfig, reader: ConfigReader): void {
  if ((tlsCert === "") === (tlsKey === "")) return;
  const [given, missing] = tlsCert === "" ? ["tls-key", "tls-cert"] : ["tls-cert", "tls-key"];
  reader.faultBetween(new Map([[`relay.${given}`, `needs ${missing} beside it; name both or none`]]));
}

function warnOfNext(ring: RingConfig, reader: ConfigReader): void {
  const count = countDestinations(ring);
  if (ring.onDead !== "next" || count === undefined || count >= 2) return;
  const section = sectionOf(ring);
  reader.warn(`${section}.on-dead is next, but ${section}.destinations names no other to take over`);
}

/** What is held is sent by the outlet, which has no sockets for unix datagrams. */
function warnOfHold(ring: RingConfig, reader: ConfigReader): void {
  const isUnix = ring.destinations.some((text) => text.startsWith("unixgram://"));
  if (ring.onDead !== "hold" || !isUnix) return;
  reader.warn(`${sectionOf(ring)}.on-dead is hold, but what is held for a unixgram destination is lost`);
}

/** Whether nothing is left for those behind a route. */
function takesAll({ mode, sharePercent, match, allow, block }: RouteConfig): boolean {
  const isEvery = (patterns: readonly string[]): boolean => patterns.length === 0 || patterns.includes("**");
  return mode === "move" && sharePercent === 100 && isEvery(match) && isEvery(allow) && block.length === 0;
}

function warnOfShadows({ relay: { routes, destinations } }: SuiteConfig, reader: ConfigReader): void {
  const first = routes.findIndex(takesAll);
  if (first < 0) return;
  const why = `gets no lines, because route.${routes[first]!.name} before it takes all of them`;
  for (const route of routes.slice(first + 1)) reader.warn(`route.${route.name} ${why}`);
  if (destinations.length > 0) reader.warn(`relay.destinations ${why}`);
}

function warnOfRelay({ relay }: SuiteConfig, reader: ConfigReader): void {
  const { management, managementToken, spoolDir, health } = relay;
  const policies = [relay, ...relay.routes].map(({ onDead }) => onDead);
  if (management !== undefined && managementToken === "" && !isLoopback(management.host)) {
    reader.warn(
      "relay.management can be reached from other machines and relay.management-token is empty; " +
        "requests that change something are refused",
    );
  }
  if (spoolDir !== "" && !policies.includes("hold")) {
    reader.warn("relay.spool-dir is set, but on-dead is nowhere hold; nothing will be spooled");
  }
  if (health.kind === "none" && policies.some((policy) => policy !== "keep")) {
    reader.warn("relay.health is none, so that no destination is ever down and on-dead never acts");
  }
}
