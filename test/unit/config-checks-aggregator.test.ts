/** What no option of the aggregator can tell by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../shared/config.ts";
import { memoryShares, receiverCount, tableBytesMax } from "../../shared/config-memory.ts";
import { faultsOf, warningsOf } from "../support/config-fault.ts";

const PAIR = "name both or none";
const STREAM = "is for streams (tcp, tls and unix), and nothing here listens on one; write lines";

/** Texts, and the contradictions in them. */
const BAD: readonly (readonly [text: string, ...faults: string[]])[] = [
  // Sinks.
  [
    "[aggregator]\nsinks = carbon graphite",
    "line 2: aggregator.sinks = carbon graphite: names graphite, which is no sink; " +
      "choose from carbon, console, file",
  ],
  [
    "[aggregator]\nsinks = carbn",
    "line 2: aggregator.sinks = carbn: names carbn, which is no sink; did you mean carbon?",
  ],
  [
    "[aggregator]\nsinks = carbon.far\n[carbon.near]\naddress = a:1",
    "line 2: aggregator.sinks = carbon.far: names carbon.far, but there is no [carbon.far]; " +
      "did you mean carbon.near?",
  ],
  [
    "[aggregator]\nsinks = carbon.x",
    "line 2: aggregator.sinks = carbon.x: names carbon.x, but there is no [carbon.x]; did you mean carbon?",
  ],
  [
    "[aggregator]\nsinks = carbon.long-name",
    "line 2: aggregator.sinks = carbon.long-name: names carbon.long-name, " +
      "but there is no [carbon.long-name]; add that section",
  ],
  [
    "[aggregator]\nsinks = file",
    "line 2: aggregator.sinks = file: has file, but file.path is empty; name a file there",
  ],
  [
    "[aggregator]\nsinks = file\n[file]\npath =",
    "line 4: file.path: is empty, but aggregator.sinks has file; name a file, or drop that sink",
  ],
  [
    "[carbon]\naddress =",
    "line 2: carbon.address: is empty, but aggregator.sinks has carbon; name one, or drop that sink",
  ],
  [
    "[aggregator]\nsinks = carbon.x\n[carbon.x]\nformat = pickle",
    "line 2: aggregator.sinks = carbon.x: has carbon.x, but carbon.x.address is empty; name one there",
  ],
  [
    "[aggregator]\nsinks = carbon.x\n[carbon.x]\naddress =",
    "line 4: carbon.x.address: is empty, but aggregator.sinks has carbon.x; name one, or drop that sink",
  ],
  // Carbons.
  [
    "[carbon]\nprotocol = udp\nformat = pickle",
    "line 3: carbon.format = pickle: cannot travel over udp; write plaintext, or protocol = tcp",
  ],
  [
    "[carbon]\nconnections = 2\nprotocol = udp",
    "line 2: carbon.connections = 2: is for connections, which udp has none of; write 1",
  ],
  [
    "[carbon]\nformat = pickle\n[carbon.x]\nprotocol = udp",
    "line 4: carbon.x.protocol = udp: cannot carry format = pickle; " +
      "write tcp or tls, or format = plaintext",
  ],
  // What a section merely inherits is told once.
  [
    "[carbon]\nprotocol = udp\nconnections = 3\n[carbon.x]\naddress = a:1",
    "line 3: carbon.connections = 3: is for connections, which udp has none of; write 1",
  ],
  ["[carbon]\ntls-cert = c", `line 2: carbon.tls-cert = c: needs tls-key beside it; ${PAIR}`],
  ["[carbon.x]\ntls-key = k", `line 2: carbon.x.tls-key = k: needs tls-cert beside it; ${PAIR}`],
  [
    "[carbon]\ntls-cert = c\ntls-key = k\n[carbon.x]\ntls-key =",
    `line 5: carbon.x.tls-key: is empty and tls-cert is not; ${PAIR}`,
  ],
  // Listeners.
  ["[aggregator]\ntls-key = k", `line 2: aggregator.tls-key = k: needs tls-cert beside it; ${PAIR}`],
  [
    "[aggregator]\nlisten = tls://a:1",
    "line 2: aggregator.listen = tls://a:1: has a tls:// address, " +
      "which needs tls-cert and tls-key; name both",
  ],
  [
    "[listener.x]\nlisten = tls://a:1 udp://a:1",
    "line 2: listener.x.listen = tls://a:1 udp://a:1: has a tls:// address, " +
      "which needs tls-cert and tls-key; name both",
  ],
  ["\n[listener.x]\nframing = lines", "line 2: [listener.x]: has no address; name some with listen"],
  ["[listener.x]\nlisten =", "line 2: listener.x.listen: is empty; name at least one"],
  ["[aggregator]\nframing = length", `line 2: aggregator.framing = length: ${STREAM}`],
  ["[listener.x]\nlisten = udp://a:1\nframing = length", `line 3: listener.x.framing = length: ${STREAM}`],
  [
    "[aggregator]\nlisten = udp://a:1 tcp://a:2\nhmac-key-file = f",
    "line 3: aggregator.hmac-key-file = f: signs datagrams, and tcp://a:2 takes none; " +
      "give that address a [listener.NAME] of its own",
  ],
  // Inherited, and still no protection: that must not go unsaid.
  [
    "[aggregator]\nhmac-key-file = f\n[listener.x]\nlisten = unix:///a",
    "line 4: listener.x.listen = unix:///a: has unix:///a, which hmac-key-file cannot protect; " +
      "give it a [listener.NAME] of its own, with hmac-key-file empty",
  ],
  // Addresses that two would have.
  [
    "[listener.x]\nlisten = udp://0.0.0.0:8125",
    "line 2: listener.x.listen = udp://0.0.0.0:8125: has udp://0.0.0.0:8125, " +
      "which aggregator.listen has as well; keep one of them",
  ],
  [
    "[listener.x]\nlisten = tcp://a:1\n[listener.y]\nlisten = tls://a:1\ntls-cert = c\ntls-key = k",
    "line 4: listener.y.listen = tls://a:1: has tls://a:1, which listener.x.listen has as well; " +
      "keep one of them",
  ],
  [
    "[listener.x]\nlisten = unix:///a\n[listener.y]\nlisten = unixgram:///a",
    "line 4: listener.y.listen = unixgram:///a: has unixgram:///a, which listener.x.listen has as well; " +
      "keep one of them",
  ],
  [
    "[aggregator]\nlisten = udp://a:1 udp://a:1",
    "line 2: aggregator.listen = udp://a:1 udp://a:1: has udp://a:1 twice; keep one of them",
  ],
  // What would go round.
  [
    "[repeater]\naddress = udp://localhost:8125",
    "line 2: repeater.address = udp://localhost:8125: has udp://localhost:8125, " +
      "where aggregator.listen takes it in again; name another address",
  ],
  [
    "[repeater]\naddress = tcp://a:1\n[listener.x]\nlisten = tcp://a:1",
    "line 2: repeater.address = tcp://a:1: has tcp://a:1, " +
      "where listener.x.listen takes it in again; name another address",
  ],
  [
    "[listener.x]\nlisten = udp://localhost:1\n[repeater]\naddress = udp://[::1]:1",
    "line 4: repeater.address = udp://[::1]:1: has udp://[::1]:1, " +
      "where listener.x.listen takes it in again; name another address",
  ],
  // Times.
  [
    "[aggregator]\ninterval = 1s\nlate-window = 7s",
    "line 3: aggregator.late-window = 7s: is longer than 6 intervals; choose at most 6s",
  ],
  // Names.
  [
    "[naming.timer]\npostfixes = max=a min=b max=c",
    "line 2: naming.timer.postfixes = max=a min=b max=c: says two things of max; keep one of them",
  ],
  [
    "[naming.default]\ntag-values = sum=a sum=b",
    "line 2: naming.default.tag-values = sum=a sum=b: says two things of sum; keep one of them",
  ],
  // Memory.
  [
    "[aggregator]\nmemory-limit = 1151m",
    "line 2: aggregator.memory-limit = 1151m: is too little: 1088m go to other things than tables " +
      "(process 320m, receivers 176m, receive-buffer 16m, backlog-bytes-max 256m, history-bytes 64m, " +
      "queue-bytes 256m); choose at least 1152m, or lower those",
  ],
];

for (const [text, ...faults] of BAD) {
  test(`contradictions of ${JSON.stringify(text)}`, () => assert.equal(faultsOf(text), faults.join("\n")));
}

test("several contradictions come in one report", () => {
  const text = "[aggregator]\nsinks = file x\ntls-cert = c\n[carbon]\nprotocol = udp\nformat = pickle";
  assert.equal(faultsOf(text).split("\n").length, 4);
});

test("a faulty value contradicts nothing", () => {
  const text = "[carbon]\nprotocol = udp\nformat = pickel\n[aggregator]\nframing = length\nlisten = udp//";
  const lines = faultsOf(text).split("\n");
  assert.equal(lines.length, 2, lines.join("\n"));
});

const OPEN =
  "aggregator.management can be reached from other machines and aggregator.management-token is empty; " +
  "requests that change or reveal something are refused";

/** Texts that work, and what is probably not meant in them. */
const ODD: readonly (readonly [text: string, ...warnings: string[]])[] = [
  ["[carbon.x]\naddress = a:1", "carbon.x gets nothing, because aggregator.sinks does not name carbon.x"],
  ["[carbon.x]\naddress = a:1\n[aggregator]\nsinks = carbon.x"],
  ["[carbon]\naddress =\n[aggregator]\nsinks = console"],
  [
    "[idle]\ncounter = 10s\ngauge = 30s\nset = forever",
    "idle.counter is shorter than aggregator.interval and does nothing; choose at least that",
  ],
  ["[aggregator]\nmanagement = 0.0.0.0:8137", OPEN],
  ["[aggregator]\nmanagement = 0.0.0.0:8137\nmanagement-token = x"],
  ["[aggregator]\nmanagement = [::1]:8137\nadmin = 127.0.0.1:8126"],
  [
    "[aggregator]\nadmin = 0.0.0.0:8126",
    "aggregator.admin can be reached from other machines and asks nobody for a password",
  ],
  [
    "[aggregator]\ntls-client-ca = ca",
    "aggregator.tls-client-ca asks nobody for a certificate, because nothing listens on tls://",
  ],
  ["[aggregator]\ntls-client-ca = ca\n[listener.x]\nlisten = tls://a:1\ntls-cert = c\ntls-key = k"],
  [
    "[listener.x]\nlisten = tcp://a:1\ntls-client-ca = ca",
    "listener.x.tls-client-ca asks nobody for a certificate, because nothing listens on tls://",
  ],
  // The system chooses ports 0.
  ["[aggregator]\nlisten = udp://a:0 tcp://a:9\n[listener.x]\nlisten = udp://a:0 udp://a:9"],
  // Other ports, addresses and protocols of the machine.
  ["[repeater]\naddress = udp://127.0.0.1:8126 tcp://127.0.0.1:8125 udp://10.0.0.1:8125"],
  ["[aggregator]\nlisten = udp://127.0.0.1:1\n[repeater]\naddress = udp://127.0.0.2:1 udp://[::1]:1"],
  // Said for those that inherit it.
  ["[aggregator]\nlisten = udp://a:1 tcp://a:1\nframing = length\n[listener.x]\nlisten = udp://b:1"],
  ["[aggregator]\nlate-window = 3m"],
  ["[aggregator]\nmemory-limit = 1152m"],
  ["[aggregator]\nmemory-limit = 1096m\nmemory-max = 8m"],
];

for (const [text, ...warnings] of ODD) {
  test(`warnings of ${JSON.stringify(text)}`, () => assert.deepEqual(warningsOf(text), warnings));
}

test("there may be as many caps as the kernel has room for", () => {
  const caps = (count: number, prefix = "a") => {
    const lines = Array.from({ length: count }, (_, index) => `series-cap[] = ${prefix}${index}=5`);
    return `[aggregator]\n${lines.join("\n")}`;
  };
  parseConfig(caps(256), "x.ini");
  assert.match(faultsOf(caps(257)), /has 257 caps with .* choose at most 256 caps with 65536 bytes/);
  assert.match(faultsOf(caps(80, "a".repeat(900))), /has 80 caps with 72150 bytes of prefixes/);
});

test("tables get what memory-limit leaves", () => {
  const config = parseConfig(
    [
      "[aggregator]\nlisten = udp://a:1 tcp://a:1\nthreads = 2\nreceive-buffer = 1m\nmemory-limit = 4g",
      "backlog-bytes-max = 100m\nhistory = 0\nsinks = carbon carbon.x file",
      "[listener.x]\nlisten = udp://a:2\nthreads = 3\nreceive-buffer = 2m",
      "[carbon]\naddress = a:1 b:1\nqueue-bytes = 10m\n[carbon.x]\naddress = a:1\nqueue-bytes = 20m",
      "[carbon.y]\naddress = a:1",
      "[file]\npath = f\nqueue-bytes = 5m\n[repeater]\naddress = udp://b:1 tcp://b:1\nqueue-bytes = 7m",
    ].join("\n"),
    "x.ini",
  );
  assert.equal(receiverCount(config), 6);
  assert.deepEqual(
    Object.fromEntries(memoryShares(config).map(({ name, bytes }) => [name, bytes / 2 ** 20])),
    {
      process: 320,
      receivers: 1056,
      "receive-buffer": 9,
      "backlog-bytes-max": 100,
      "queue-bytes": 45,
      repeater: 7,
    },
  );
  assert.equal(tableBytesMax(config), Math.min(2048, 4096 - 1537) * 2 ** 20);
  const small = { ...config, aggregator: { ...config.aggregator, memoryLimitBytes: 3 * 2 ** 30 } };
  assert.equal(tableBytesMax(small), (3072 - 1537) * 2 ** 20);
  const none = { ...config, aggregator: { ...config.aggregator, memoryLimitBytes: 0 } };
  assert.equal(tableBytesMax(none), 2 ** 31);
});
