/** The files of config/examples: each is valid, and what they say of each other is true. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadConfig, type Override, type RelayConfig } from "../../shared/config.ts";
import { describeAddress } from "../../shared/sockaddr.ts";

const top = findTop(dirname(fileURLToPath(import.meta.url)));
const examples = join(top, "config", "examples");
const files = readdirSync(examples, { recursive: true })
  .map((path) => String(path).split(sep).join("/"))
  .sort();

/** The nearest folder upwards that holds the examples. */
function findTop(folder: string): string {
  return existsSync(join(folder, "config", "examples")) ? folder : findTop(dirname(folder));
}

function read(path: string): string {
  return readFileSync(join(examples, path), "utf8");
}

/** Values of a key of a unit or of keepalived's configuration, comments left out. */
function valuesOf(text: string, key: RegExp): string[] {
  const pattern = new RegExp(`^\\s*(?:${key.source})[\\s=]+(.*?)\\s*$`, "gm");
  return [...text.matchAll(pattern)].map((match) => match.at(-1)!);
}

function relayOf(path: string): RelayConfig {
  return loadConfig(join(examples, path)).relay;
}

/** Whether it is for bioyino alone. */
function isOfAggregator(path: string): boolean {
  return /^\[aggregator\]$/m.test(read(path)) && !/^\[relay\]$/m.test(read(path));
}

/** Members that find themselves by the name of their machine get one of the list's names here. */
function asMember(path: string): Override[] {
  const [, name] = /^peers\[\] = ([^@]+)@/m.exec(read(path)) ?? [];
  if (name === undefined || /^(?:node|mode) =/m.test(read(path))) return [];
  return [{ section: "cluster", key: "node", values: [name], origin: "the machine's name" }];
}

/** Warnings that an example gets and its text explains. */
const EXPECTED: Readonly<Record<string, RegExp>> = {
  // A file of another program is announced as such.
  "fleet/rust-proxy.ini": /Rust sharding proxy/,
  "cluster/kubernetes/bioyino.ini": /aggregator\.management can be reached/,
};

const iniFiles = files.filter((path) => path.endsWith(".ini"));

test("there are examples", () => {
  assert.ok(iniFiles.length >= 10, iniFiles.join(" "));
});

for (const path of iniFiles) {
  test(`${path} is valid, without a warning`, () => {
    const warnings: string[] = [];
    const config = loadConfig(join(examples, path), asMember(path), (text) => warnings.push(text));
    const { relay, aggregator } = config;
    const expected = EXPECTED[path];
    assert.equal(warnings.length, expected === undefined ? 0 : 1, warnings.join("; "));
    if (expected !== undefined) assert.match(warnings[0]!, expected);
    if (!isOfAggregator(path)) assert.ok(relay.destinations.length > 0, "a relay without destinations");
    else assert.ok(aggregator.sinks.length > 0, "an aggregator without sinks");
  });
}

test("each example says what it is for", () => {
  for (const path of iniFiles) assert.match(read(path), /^# \S.{20,}/, path);
});

test("etsy's example has etsy's names", () => {
  const { aggregator, aggregation, naming, idle } = loadConfig(join(examples, "etsy.ini"));
  assert.equal(aggregation.preset, "etsy-legacy");
  assert.deepEqual([aggregator.sanitize, aggregator.unknownType], ["etsy", "counter"]);
  assert.ok(Object.values(idle).every((ms) => ms === Number.POSITIVE_INFINITY));
  assert.ok(aggregation.timer.some(({ label }) => label === "upper_90"));
  assert.equal(naming.timer.prefix, "stats.timers");
  // No default may differ from what etsy's own prefix of its metrics is.
  assert.equal(aggregator.statsPrefix, "statsd");
});

test("listeners of the examples are read as their comments say", () => {
  const dogstatsd = loadConfig(join(examples, "dogstatsd.ini")).aggregator;
  assert.deepEqual(
    [dogstatsd, ...dogstatsd.listeners].map(({ dialect, framing, listen }) => [
      dialect,
      framing,
      listen[0]?.kind,
    ]),
    [
      ["dogstatsd", "lines", "udp"],
      ["dogstatsd", "lines", "unixgram"],
      ["dogstatsd", "length", "unix"],
    ],
  );
  const [signed] = loadConfig(join(examples, "brubeck.ini")).aggregator.listeners;
  assert.notEqual(signed?.hmacKeyFile, "");
  const [clients] = loadConfig(join(examples, "secure.ini")).aggregator.listeners;
  assert.deepEqual(
    clients?.listen.map(({ kind }) => kind),
    ["tls"],
  );
  assert.notEqual(clients?.tlsClientCa, "");
});

test("the list of examples names each file, and each file that it names is there", () => {
  const named = [...read("README.md").matchAll(/\]\(([^)]+)\)/g)].map((match) => match[1]!);
  assert.deepEqual(
    named.filter((path) => !files.includes(path)),
    [],
  );
  const isNamed = (path: string): boolean =>
    named.some((name) => path === name || path.startsWith(`${dirname(name)}/`) || path === "README.md");
  assert.deepEqual(
    files.filter((path) => path.includes(".") && !isNamed(path)),
    [],
  );
});

test("the Rust proxy's own file and its ring in our words mean the same", () => {
  const flat = relayOf("fleet/rust-proxy.ini");
  const ours = relayOf("fleet/rust-proxy-ring.ini");
  for (const property of ["listen", "threads", "destinations", "hash", "key"] as const) {
    assert.deepEqual(flat[property], ours[property], property);
  }
  assert.equal(flat.hash, "djb2-mod");
});

test("systemd opens what the relay listens on, and nothing else", () => {
  const scheme = { ListenDatagram: "udp", ListenStream: "tcp" };
  const unit = read("systemd/statsrelay.socket");
  const opened = Object.entries(scheme).flatMap(([key, name]) =>
    valuesOf(unit, new RegExp(key)).map((address) => `${name}://${address}`),
  );
  assert.deepEqual(opened, relayOf("systemd/relay.ini").listen.map(describeAddress));
});

test("systemd waits longer for the end of a relay than the relay takes for it", () => {
  const [wait] = valuesOf(read("systemd/statsrelay.service"), /TimeoutStopSec/);
  for (const path of ["systemd/relay.ini", "ipvs/relay.ini"]) {
    const { drainDelayMs, drainTimeoutMs } = relayOf(path);
    assert.ok(Number.parseFloat(wait!) * 1e3 > drainDelayMs + drainTimeoutMs, path);
  }
});

test("the spool lies in the folder that systemd makes", () => {
  const [folder] = valuesOf(read("systemd/statsrelay.service"), /StateDirectory/);
  assert.equal(relayOf("systemd/relay.ini").spoolDir, `/var/lib/${folder}`);
});

test("keepalived sends to the port of the relays and asks at the ports where they answer", () => {
  const { listen, management, healthListen } = relayOf("ipvs/relay.ini");
  const conf = read("ipvs/keepalived.conf");
  const [address] = listen;
  assert.ok(address?.kind === "udp");
  const ports = valuesOf(conf, /(?:virtual|real)_server \S+/).map((text) => Number.parseInt(text, 10));
  assert.deepEqual([...new Set(ports)], [address.port]);
  const asked = valuesOf(conf, /connect_port/).map(Number);
  assert.deepEqual([...new Set(asked)], [management?.port, healthListen?.port]);
});

test("the relays of the directors' table are those that ask each other", () => {
  const { peers } = relayOf("ipvs/relay.ini");
  const hosts = peers.map(({ host }) => host);
  const listed = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]!);
  assert.deepEqual(listed(read("ipvs/keepalived.conf"), /^\s*real_server (\S+)/gm), hosts);
  assert.deepEqual(listed(read("ipvs/ipvsadm.sh"), /^ipvsadm -a .* -r ([\d.]+):/gm), hosts);
});

test("a relay goes on until the directors have seen that it leaves", () => {
  const conf = read("ipvs/keepalived.conf");
  const seconds = (key: RegExp) => Math.max(...valuesOf(conf, key).map(Number));
  const tries = seconds(/retry/) * (seconds(/delay_before_retry/) + seconds(/connect_timeout/));
  const { drainDelayMs } = relayOf("ipvs/relay.ini");
  assert.ok(drainDelayMs > (seconds(/delay_loop/) + tries) * 1e3);
});
