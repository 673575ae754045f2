/** What no option of the aggregator can tell by itself: contradictions, and what is probably not meant. */

import type { ListenerConfig, NamedCarbonConfig, SuiteConfig } from "./config.ts";
import { type RepeaterAddress, repeaterAddress } from "./config-addresses.ts";
import { checkOutputNames, warnOfPreset } from "./config-checks-naming.ts";
import { memoryShares, TABLE_BYTES_LEAST, tableBytesMax } from "./config-memory.ts";
import { nearest } from "./config-nearest.ts";
import type { ConfigReader } from "./config-reader.ts";
import { type AggregateText, printDuration, printSize } from "./config-values.ts";
import { EVERY_HOST } from "./every-host.ts";
import { isLoopback } from "./management-access.ts";
import { METRIC_TYPES } from "./metric.ts";
import { describeAddress } from "./sockaddr.ts";
import type { ListenAddress } from "./udp.ts";

/** A section that others may take their values from. */
interface Inherited {
  readonly section: string;
  /** Whether it is [aggregator] or [carbon] itself. */
  readonly isParent: boolean;
}

type Intake = Omit<ListenerConfig, "name"> & Inherited;
type Carbon = Omit<NamedCarbonConfig, "name"> & Inherited;

/** Listen hosts that stand for every address of the machine. */
const EVERY_HOSTS = [EVERY_HOST, "0.0.0.0", "::"];
const SINKS = ["carbon", "console", "file"];
/** Intervals that can be open at a time; the current one and the one being flushed are among them. */
const LATE_INTERVALS_MAX = 6;
/** What the kernel has room for; see kernel/limits.ts. */
const CAPS_MAX = 256;
const CAP_TEXT_BYTES_MAX = 64 * 1024;

/**
 * Adds the faults that lie between options to those of the reader. lines: line of each section's header.
 */
export function checkAggregator(
  config: SuiteConfig,
  reader: ConfigReader,
  lines: ReadonlyMap<string, number>,
): void {
  checkTimes(config, reader);
  checkCaps(config, reader);
  checkSinks(config, reader);
  const intakes = intakesOf(config);
  for (const intake of intakes) checkIntake(intake, reader, lines);
  checkCollisions(intakes, reader);
  checkRepeater(config, intakes, reader);
  for (const carbon of carbonsOf(config)) checkCarbon(carbon, config, reader);
  checkNaming(config, reader);
  checkOutputNames(config, reader);
  checkMemory(config, reader);
}

/** Warns of what works and is probably not meant. Called where there are no faults. */
export function warnOfAggregator(config: SuiteConfig, reader: ConfigReader): void {
  warnOfPreset(config, reader);
  const { aggregator, carbon, idle } = config;
  const unused = carbon.others.filter(({ name }) => !aggregator.sinks.includes(`carbon.${name}`));
  for (const { name } of unused) {
    reader.warn(`carbon.${name} gets nothing, because aggregator.sinks does not name carbon.${name}`);
  }
  for (const key of ["counter", "gauge", "timer", "set"] as const) {
    const ms = idle[`${key}Ms`];
    if (ms === 0 || ms >= aggregator.intervalMs) continue;
    reader.warn(`idle.${key} is shorter than aggregator.interval and does nothing; choose at least that`);
  }
  const { management, managementToken, admin } = aggregator;
  if (management !== undefined && managementToken === "" && !isLoopback(management.host)) {
    reader.warn(
      "aggregator.management can be reached from other machines and aggregator.management-token is empty; " +
        "requests that change or reveal something are refused",
    );
  }
  if (admin !== undefined && !isLoopback(admin.host)) {
    reader.warn("aggregator.admin can be reached from other machines and asks nobody for a password");
  }
  const intakes = intakesOf(config);
  for (const { section, isParent, listen, tlsClientCa } of intakes) {
    const isTls = (isParent ? intakes.flatMap((one) => one.listen) : listen).some(
      ({ kind }) => kind === "tls",
    );
    if (tlsClientCa !== "" && !isTls && reader.isSet(`${section}.tls-client-ca`)) {
      reader.warn(
        `${section}.tls-client-ca asks nobody for a certificate, because nothing listens on tls://`,
      );
    }
  }
}

function intakesOf({ aggregator }: SuiteConfig): Intake[] {
  const named = aggregator.listeners.map((one) => ({
    ...one,
    section: `listener.${one.name}`,
    isParent: false,
  }));
  return [{ ...aggregator, section: "aggregator", isParent: true }, ...named];
}

function carbonsOf({ carbon }: SuiteConfig): Carbon[] {
  const named = carbon.others.map((one) => ({ ...one, section: `carbon.${one.name}`, isParent: false }));
  return [{ ...carbon, section: "carbon", isParent: true }, ...named];
}

/**
 * Reports what is wrong with the first of these keys that was set, in the section or where it inherits from.
 * What a section has from its parent alone is reported there.
 */
function faultIn(
  { section, isParent }: Inherited,
  parent: string,
  reader: ConfigReader,
  faults: Readonly<Record<string, string>>,
): void {
  const keys = Object.keys(faults);
  if (!isParent && !keys.some((key) => reader.isSet(`${section}.${key}`))) return;
  const sections = isParent ? [section] : [section, parent];
  reader.faultBetween(
    new Map(sections.flatMap((one) => keys.map((key) => [`${one}.${key}`, faults[key]!] as const))),
  );
}

function checkTimes({ aggregator, cluster }: SuiteConfig, reader: ConfigReader): void {
  const { intervalMs, lateWindowMs } = aggregator;
  const [interval, snapshot] = [intervalMs, cluster.snapshotIntervalMs].map(printDuration);
  if (cluster.snapshotIntervalMs > intervalMs) {
    const ofSnapshot = `is longer than aggregator.interval (${interval}); choose at most that`;
    const ofInterval = `is shorter than cluster.snapshot-interval (${snapshot}); lower that as well`;
    reader.faultBetween(
      new Map([
        ["cluster.snapshot-interval", ofSnapshot],
        ["aggregator.interval", ofInterval],
      ]),
    );
  }
  const lateMaxMs = intervalMs * LATE_INTERVALS_MAX;
  if (lateWindowMs > lateMaxMs) {
    const most = printDuration(lateMaxMs);
    const ofWindow = `is longer than ${LATE_INTERVALS_MAX} intervals; choose at most ${most}`;
    reader.faultBetween(new Map([["aggregator.late-window", ofWindow]]));
  }
}

function checkCaps({ aggregator: { seriesCaps } }: SuiteConfig, reader: ConfigReader): void {
  const bytes = seriesCaps.reduce((sum, { prefix }) => sum + Buffer.byteLength(prefix), 0);
  if (seriesCaps.length <= CAPS_MAX && bytes <= CAP_TEXT_BYTES_MAX) return;
  const most = `${CAPS_MAX} caps with ${CAP_TEXT_BYTES_MAX} bytes of prefixes`;
  const what = `has ${seriesCaps.length} caps with ${bytes} bytes of prefixes; choose at most ${most}`;
  reader.faultBetween(new Map([["aggregator.series-cap", what]]));
}

function checkSinks(config: SuiteConfig, reader: ConfigReader): void {
  const { aggregator, carbon, file } = config;
  const known = [...SINKS, ...carbon.others.map(({ name }) => `carbon.${name}`)];
  for (const sink of aggregator.sinks.filter((one) => !known.includes(one))) {
    const [, name] = /^carbon\.(.+)$/.exec(sink) ?? [];
    const close = nearest(sink, known);
    const choices = `choose from ${known.join(", ")}`;
    const remedy = close !== undefined ? `did you mean ${close}?` : choices;
    const what =
      name === undefined
        ? `names ${sink}, which is no sink; ${remedy}`
        : `names ${sink}, but there is no [${sink}]; ${close !== undefined ? remedy : "add that section"}`;
    reader.faultBetween(new Map([["aggregator.sinks", what]]));
  }
  if (aggregator.sinks.includes("file") && file.path === "") {
    const ofSinks = "has file, but file.path is empty; name a file there";
    const ofPath = "is empty, but aggregator.sinks has file; name a file, or drop that sink";
    reader.faultBetween(
      new Map([
        ["file.path", ofPath],
        ["aggregator.sinks", ofSinks],
      ]),
    );
  }
}

/** cert: empty when only a key was given. An empty one can be at fault where the other is inherited. */
function pairFaults(cert: string): Record<string, string> {
  const [given, missing] = cert === "" ? ["tls-key", "tls-cert"] : ["tls-cert", "tls-key"];
  return {
    [given]: `needs ${missing} beside it; name both or none`,
    [missing]: `is empty and ${given} is not; name both or none`,
  };
}

function isStream({ kind }: ListenAddress): boolean {
  return kind === "tcp" || kind === "tls" || kind === "unix";
}

function checkIntake(intake: Intake, reader: ConfigReader, lines: ReadonlyMap<string, number>): void {
  const { section, isParent, listen, tlsCert, tlsKey, framing, hmacKeyFile } = intake;
  const fault = (faults: Readonly<Record<string, string>>): void =>
    faultIn(intake, "aggregator", reader, faults);
  if (!isParent && listen.length === 0) {
    if (reader.isFaulty(`${section}.listen`)) return;
    const what = `[${section}]: has no address; name some with listen`;
    reader.faults.push({ place: { line: lines.get(section)! }, what });
  }
  if ((tlsCert === "") !== (tlsKey === "")) {
    fault(pairFaults(tlsCert));
  } else if (tlsCert === "" && listen.some(({ kind }) => kind === "tls")) {
    fault({ listen: "has a tls:// address, which needs tls-cert and tls-key; name both" });
  }
  if (framing === "length" && !listen.some(isStream) && reader.isSet(`${section}.framing`)) {
    fault({
      framing: "is for streams (tcp, tls and unix), and nothing here listens on one; write lines",
      listen: "has no stream that framing = length could be for; write framing = lines",
    });
  }
  const unsigned = listen.find(isStream);
  if (hmacKeyFile !== "" && unsigned !== undefined) {
    const what = `signs datagrams, and ${describeAddress(unsigned)} takes none`;
    fault({
      "hmac-key-file": `${what}; give that address a [listener.NAME] of its own`,
      listen:
        `has ${describeAddress(unsigned)}, which hmac-key-file cannot protect; ` +
        "give it a [listener.NAME] of its own, with hmac-key-file empty",
    });
  }
}

/** What two sockets cannot have both; undefined where the system chooses. */
function claimOf(address: ListenAddress): string | undefined {
  if ("path" in address) return address.path;
  if (address.port === 0) return undefined;
  return `${address.kind === "udp" ? "udp" : "tcp"} ${address.host} ${address.port}`;
}

/** Two sockets would want the address, also where one list names it twice: threads share one otherwise. */
function checkCollisions(intakes: readonly Intake[], reader: ConfigReader): void {
  const owners = new Map<string, string>();
  for (const { section, listen } of intakes) {
    for (const address of listen) {
      const claim = claimOf(address);
      if (claim === undefined) continue;
      const owner = owners.get(claim);
      owners.set(claim, owner ?? section);
      if (owner === undefined) continue;
      const again = owner === section ? " twice" : `, which ${owner}.listen has as well`;
      const what = `has ${describeAddress(address)}${again}; keep one of them`;
      reader.faultBetween(new Map([[`${section}.listen`, what]]));
    }
  }
}

/** What is repeated to a listener of its own would go round for ever, as fast as it can. */
function checkRepeater({ repeater }: SuiteConfig, intakes: readonly Intake[], reader: ConfigReader): void {
  for (const one of repeater.address) {
    const owner = intakes.find(({ listen }) => listen.some((address) => isReachedBy(address, one)));
    if (owner === undefined) continue;
    const address = repeaterAddress.print(one);
    const what = `has ${address}, where ${owner.section}.listen takes it in again; name another address`;
    reader.faultBetween(new Map([["repeater.address", what]]));
  }
}

/** Whether lines sent to the one address come in by the other, as far as both can be told here. */
function isReachedBy(listen: ListenAddress, { protocol, host, port }: RepeaterAddress): boolean {
  if ("path" in listen || listen.kind !== protocol || listen.port !== port) return false;
  const isEvery = EVERY_HOSTS.includes(listen.host);
  if (isEvery) return isLoopback(host) || EVERY_HOSTS.includes(host);
  const hosts = [listen.host, host];
  return listen.host === host || (hosts.includes("localhost") && hosts.every(isLoopback));
}

function checkCarbon(carbon: Carbon, { aggregator }: SuiteConfig, reader: ConfigReader): void {
  const { section, isParent, address, protocol, format, connections, tlsCert, tlsKey } = carbon;
  const fault = (faults: Readonly<Record<string, string>>): void => faultIn(carbon, "carbon", reader, faults);
  if (aggregator.sinks.includes(section) && address.length === 0) {
    const ofAddress = `is empty, but aggregator.sinks has ${section}; name one, or drop that sink`;
    const ofSinks = `has ${section}, but ${section}.address is empty; name one there`;
    const keys = new Map([[`${section}.address`, ofAddress]]);
    if (!isParent) keys.set("aggregator.sinks", ofSinks);
    reader.faultBetween(keys);
  }
  if (protocol === "udp" && format === "pickle") {
    fault({
      format: "cannot travel over udp; write plaintext, or protocol = tcp",
      protocol: "cannot carry format = pickle; write tcp or tls, or format = plaintext",
    });
  }
  if (protocol === "udp" && connections > 1) {
    fault({
      connections: "is for connections, which udp has none of; write 1",
      protocol: `has no connections, and connections is ${connections}; write connections = 1`,
    });
  }
  if ((tlsCert === "") !== (tlsKey === "")) {
    fault(pairFaults(tlsCert));
  }
}

/** An aggregate that is named twice in a list would have two names, and only one of them could count. */
function checkNaming({ naming }: SuiteConfig, reader: ConfigReader): void {
  const keys = {
    "prefix-overrides": "prefixOverrides",
    postfixes: "postfixes",
    "tag-values": "tagValues",
  } as const;
  const told = new Set<string>();
  for (const [key, property] of Object.entries(keys)) {
    for (const type of METRIC_TYPES) {
      const twice = repeated(naming[type][property as (typeof keys)[keyof typeof keys]]);
      const section = reader.isSet(`naming.${type}.${key}`) ? `naming.${type}` : "naming.default";
      const path = `${section}.${key}`;
      if (twice === undefined || told.has(path) || !reader.isSet(path)) continue;
      told.add(path);
      reader.faultBetween(new Map([[path, `says two things of ${twice}; keep one of them`]]));
    }
  }
}

function repeated(texts: readonly AggregateText[]): string | undefined {
  const names = texts.map(({ aggregate }) => aggregate);
  return names.find((name, index) => names.indexOf(name) !== index);
}

function checkMemory(config: SuiteConfig, reader: ConfigReader): void {
  const { memoryLimitBytes, memoryBytesMax } = config.aggregator;
  const leftBytes = tableBytesMax(config);
  if (memoryLimitBytes === 0 || leftBytes >= Math.min(TABLE_BYTES_LEAST, memoryBytesMax)) return;
  const shares = memoryShares(config);
  const sumBytes = shares.reduce((sum, { bytes }) => sum + bytes, 0);
  const parts = shares.map(({ name, bytes }) => `${name} ${printSize(bytes)}`).join(", ");
  const needed = printSize(sumBytes + TABLE_BYTES_LEAST);
  const what =
    `is too little: ${printSize(sumBytes)} go to other things than tables (${parts}); ` +
    `choose at least ${needed}, or lower those`;
  reader.faultBetween(new Map([["aggregator.memory-limit", what]]));
}
