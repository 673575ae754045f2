/** Broken INI texts and the exact report that each one gets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Override, parseConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";
import { AGGREGATE_FORMS } from "../../shared/metric.ts";

/** Returns the report, without its first line when that is as expected, and the exit code. */
function report(text: string, overrides: readonly Override[] = []): { lines: string[]; exitCode: number } {
  try {
    parseConfig(text, "x.ini", overrides);
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error));
    const [head, ...lines] = error.message.split("\n");
    const about = overrides.length === 0 ? "x.ini" : String(head).replace(/: \d+ faults?$/, "");
    assert.equal(head, `${about}: ${lines.length} fault${lines.length > 1 ? "s" : ""}`);
    return { lines: lines.map((line) => line.replace(/^ {2}/, "")), exitCode: error.exitCode };
  }
  assert.fail(`accepted: ${JSON.stringify(text)}`);
}

const RELAY_KEYS = "config/suite.ini has all of [relay]";
const CONSOLE_KEYS = "choose from rows";
const SECTION_NAMES =
  "log, relay, route.NAME, aggregator, listener.NAME, idle, aggregation, naming.default, naming.counter, " +
  "naming.gauge, naming.timer, naming.set, carbon, carbon.NAME, file, repeater, console, cluster, " +
  "raft, etcd, consul, kubernetes";
const AGGREGATES = AGGREGATE_FORMS.join(", ");
const DURATION = "is no duration of whole milliseconds; write 250ms, 30s, 5m or 1h";
const SIZE = "is no size; write bytes, or 64k, 16m, 2g";
const WHOLE = "is no whole number; write digits without blanks, signs or units";
const DESTINATION = "write HOST:PORT or HOST:PORT:INSTANCE, with an IPv6 address in brackets";
const PLACE = "put the value in double quotes, or a comment on a line of its own";
const QUOTES = "is no quoted text; close the quotes at its end, and put a backslash before any quote within";

const BROKEN: readonly (readonly [text: string, ...report: string[]])[] = [
  // Lines that mean nothing.
  ["relay", "line 1: relay: is a section; write [relay] on a line of its own"],
  ["relay = 1\n[relay]", "line 1: relay = 1: is a section; write [relay] on a line of its own"],
  ["sinks = carbon", "line 1: sinks = carbon: stands before any section; write [aggregator] above it"],
  ["threads = 1", "line 1: threads = 1: stands before any section; write [SECTION] above it"],
  ["destinations[] = a:1", "line 1: destinations[] = a:1: stands before any section; write [relay] above it"],
  ["= 1", "line 1: = 1: has no key before its =; write KEY = VALUE"],
  ["[relay]\n====", "line 2: ====: has no key before its =; write KEY = VALUE"],
  ["[relay]\nthreads", "line 2: relay.threads: has no value; write threads = VALUE"],
  ["[relay]\nlisten[]", "line 2: relay.listen[]: has no value; write listen[] = VALUE"],
  [
    "[relay]\nthis is text",
    "line 2: relay.this is text: is neither a key nor a comment; begin comments with #",
  ],
  ["[relay]\n// note", "line 2: relay.// note: is neither a key nor a comment; begin comments with #"],
  ["[relay", "line 1: [relay: is no section header; write [NAME] and nothing else on the line"],
  [
    "[relay] # mine",
    "line 1: [relay] # mine: is no section header; write [NAME] and nothing else on the line",
  ],
  ["[[relay]]", "line 1: [[relay]]: is no section header; write [NAME] and nothing else on the line"],
  [
    "[relay]\nprefix = a\u0000b",
    "line 2: prefix = a\\u{0}b: has a character that cannot be printed; remove it",
  ],
  [
    "[relay]\nprefix = a\u2028b",
    "line 2: prefix = a\\u{2028}b: has a character that cannot be printed; remove it",
  ],
  // Names.
  ["[relais]", "line 1: [relais]: is an unknown section; did you mean [relay]?"],
  ["[Relay]", "line 1: [Relay]: is an unknown section; did you mean [relay]?"],
  ["[naming]", "line 1: [naming]: is an unknown section; did you mean [naming.set]?"],
  [
    "[naming.histogram]\nx = 1",
    `line 1: [naming.histogram]: is an unknown section; choose from ${SECTION_NAMES}`,
  ],
  ["[naming\\.timer]", "line 1: [naming\\.timer]: is an unknown section; did you mean [naming.timer]?"],
  ["[__proto__]\nx = 1", `line 1: [__proto__]: is an unknown section; choose from ${SECTION_NAMES}`],
  ["[constructor]", `line 1: [constructor]: is an unknown section; choose from ${SECTION_NAMES}`],
  ["[]", `line 1: []: is an unknown section; choose from ${SECTION_NAMES}`],
  ["[relay]\nthread = 2", "line 2: relay.thread = 2: is an unknown key; did you mean threads?"],
  ["[relay]\nThreads = 2", "line 2: relay.Threads = 2: is an unknown key; did you mean threads?"],
  [
    "[relay]\nflush_interval = 1s",
    "line 2: relay.flush_interval = 1s: is an unknown key; did you mean flush-interval?",
  ],
  [
    "[relay]\nsinks = console",
    "line 2: relay.sinks = console: is an unknown key; it belongs into [aggregator]",
  ],
  ["[relay]\n__proto__ = 1", `line 2: relay.__proto__ = 1: is an unknown key; ${RELAY_KEYS}`],
  ["[relay]\nconstructor = 1", `line 2: relay.constructor = 1: is an unknown key; ${RELAY_KEYS}`],
  ["[relay]\ntoString[] = 1", `line 2: relay.toString[] = 1: is an unknown key; ${RELAY_KEYS}`],
  ["[console]\nx = 1", `line 2: console.x = 1: is an unknown key; ${CONSOLE_KEYS}`],
  ["[relay]\nlisten [] = 1", "line 2: relay.listen [] = 1: is an unknown key; did you mean listen?"],
  ["[relay]\n[log]\n[relay]", "line 3: [relay]: is there already, in line 1; put its keys together"],
  ["[log]\nlevel=info\nlevel=warn", "line 3: log.level = warn: is set already, in line 2; keep one of them"],
  [
    "[relay]\nlisten = udp://a:1\nlisten[] = udp://a:2",
    "line 3: relay.listen[] = udp://a:2: is set already, in line 2; write listen[] in both, or one list",
  ],
  [
    "[relay]\nlisten[] = udp://a:1\nlisten = udp://a:2",
    "line 3: relay.listen = udp://a:2: is set already, in line 2; write listen[] in both, or one list",
  ],
  ["[relay]\nthreads[] = 2", "line 2: relay.threads[] = 2: is no list; write threads = VALUE"],
  // Quotes and comments.
  ["[relay]\nthreads = 2 # two", `line 2: relay.threads = 2 # two: has # in it; ${PLACE}`],
  ["[relay]\nprefix = a;b", `line 2: relay.prefix = a;b: has ; in it; ${PLACE}`],
  ["[relay]\nprefix = \\\\;", `line 2: relay.prefix = \\\\;: has ; in it; ${PLACE}`],
  ['[relay]\nprefix = "a;b" ; note', `line 2: relay.prefix = "a;b" ; note: ${QUOTES}`],
  ['[relay]\nprefix = "a" "b"', `line 2: relay.prefix = "a" "b": ${QUOTES}`],
  ['[relay]\nprefix = "', `line 2: relay.prefix = ": ${QUOTES}`],
  ['[relay]\nprefix = "C:\\x"', `line 2: relay.prefix = "C:\\x": ${QUOTES}`],
  [
    "[relay]\nprefix = '5'",
    "line 2: relay.prefix = '5': has single quotes, which do not quote here; use double quotes",
  ],
  // Values.
  ["[log]\nlevel = loud", "line 2: log.level = loud: is unknown; choose one of error, warn, info, debug"],
  ["[log]\nlevel =", "line 2: log.level: is unknown; choose one of error, warn, info, debug"],
  [
    "[log]\nlevel = __proto__",
    "line 2: log.level = __proto__: is unknown; choose one of error, warn, info, debug",
  ],
  ["[relay]\nthreads = 0", "line 2: relay.threads = 0: is too small; choose within 1..64"],
  ["[relay]\nthreads = 65", "line 2: relay.threads = 65: is too large; choose within 1..64"],
  ["[relay]\nthreads = -1", `line 2: relay.threads = -1: ${WHOLE}`],
  ["[relay]\nthreads = 1e1", `line 2: relay.threads = 1e1: ${WHOLE}`],
  ["[relay]\nthreads = true", `line 2: relay.threads = true: ${WHOLE}`],
  [
    "[relay]\nthreads = 99999999999999999999",
    "line 2: relay.threads = 99999999999999999999: is too large; choose within 1..64",
  ],
  ["[relay]\npacketlen = 65508", "line 2: relay.packetlen = 65508: is too large; choose within 0..65507"],
  ["[relay]\nflush-interval = 1 day", `line 2: relay.flush-interval = 1 day: ${DURATION}`],
  ["[relay]\nflush-interval = 1.5ms", `line 2: relay.flush-interval = 1.5ms: ${DURATION}`],
  ["[relay]\nflush-interval = 9", "line 2: relay.flush-interval = 9: is too small; choose within 10ms..1m"],
  ["[relay]\nflush-interval = 1h", "line 2: relay.flush-interval = 1h: is too large; choose within 10ms..1m"],
  [
    "[aggregator]\nstats-interval = 99ms",
    "line 2: aggregator.stats-interval = 99ms: is too small; choose within 100ms..1h, or 0 for off",
  ],
  ["[relay]\nreceive-buffer = 16MB", `line 2: relay.receive-buffer = 16MB: ${SIZE}`],
  [
    "[aggregator]\nmemory-max = 17g",
    "line 2: aggregator.memory-max = 17g: is too large; choose within 1m..16g",
  ],
  [
    "[carbon]\nretry-delay-multiplier = 0.9",
    "line 2: carbon.retry-delay-multiplier = 0.9: is too small; choose within 1..100",
  ],
  [
    "[carbon]\nretry-delay-multiplier = NaN",
    `line 2: carbon.retry-delay-multiplier = NaN: ${WHOLE.replace("whole", "decimal")}`,
  ],
  [
    "[relay]\nsendproto = TCP",
    "line 2: relay.sendproto = TCP: is unknown; choose one of udp, tcp, tls, test",
  ],
  [
    "[relay]\nprefix = a b",
    "line 2: relay.prefix = a b: must not contain blanks, colons and bars; remove them",
  ],
  [
    '[relay]\nprefix = "a\\nb"',
    "line 2: relay.prefix = a\\u{a}b: contains a character that cannot be printed; remove it",
  ],
  ["[naming.timer]\ntag =", "line 2: naming.timer.tag: is empty; give it a tag key"],
  [
    "[naming.default]\ntag = a=b",
    "line 2: naming.default.tag = a=b: must not contain blanks, semicolons and equal signs; remove them",
  ],
  ["[aggregator]\nstats-prefix = ...", "line 2: aggregator.stats-prefix = ...: is empty; give it a prefix"],
  // Addresses.
  ["[relay]\nlisten = 1.2.3.4:5", "line 2: relay.listen = 1.2.3.4:5: has no scheme; write udp://1.2.3.4:5"],
  [
    "[relay]\nlisten = 9125",
    "line 2: relay.listen = 9125: is no listen URL; write udp://HOST:PORT, tcp://HOST:PORT, " +
      "unixgram:///PATH or unix:///PATH",
  ],
  [
    "[relay]\nlisten = http://a:1",
    'line 2: relay.listen = http://a:1: has the scheme "http"; choose one of udp, tcp, unixgram, unix',
  ],
  [
    "[aggregator]\nlisten = 8125",
    "line 2: aggregator.listen = 8125: is no listen URL; write udp://HOST:PORT, tcp://HOST:PORT, " +
      "tls://HOST:PORT, unixgram:///PATH or unix:///PATH",
  ],
  [
    "[aggregator]\nlisten = http://a:1",
    'line 2: aggregator.listen = http://a:1: has the scheme "http"; ' +
      "choose one of udp, tcp, tls, unixgram, unix",
  ],
  [
    "[relay]\nlisten = udp://a",
    "line 2: relay.listen = udp://a: is no address; write HOST:PORT or [IPV6]:PORT",
  ],
  [
    "[relay]\nlisten = udp://a:65536",
    'line 2: relay.listen = udp://a:65536: has the port "65536"; choose within 0..65535',
  ],
  [
    "[relay]\nlisten = udp://:1",
    'line 2: relay.listen = udp://:1: has "" for a host; write a name, an IPv4 address or [IPV6]',
  ],
  [
    "[relay]\nlisten = udp://[::1",
    "line 2: relay.listen = udp://[::1: is no address; write HOST:PORT or [IPV6]:PORT",
  ],
  [
    "[relay]\nlisten = udp://[1.2.3.4]:1",
    "line 2: relay.listen = udp://[1.2.3.4]:1: has no IPv6 address in its brackets; correct it",
  ],
  [
    "[relay]\nlisten = udp://[fe80::1%eth0]:1",
    "line 2: relay.listen = udp://[fe80::1%eth0]:1: has a zone; write the address without it",
  ],
  [
    "[relay]\nlisten = unixgram://run/x",
    "line 2: relay.listen = unixgram://run/x: needs an absolute path; write unixgram:///PATH",
  ],
  ["[relay]\nlisten =", "line 2: relay.listen: is empty; name at least one"],
  [
    "[relay]\nmanagement = 9126",
    "line 2: relay.management = 9126: is no address; write HOST:PORT or [IPV6]:PORT",
  ],
  [
    "[carbon]\naddress = 300.1.1.1:1",
    'line 2: carbon.address = 300.1.1.1:1: has "300.1.1.1" for an IPv4 address; write four numbers 0..255',
  ],
  ["[carbon]\naddress = a:0", 'line 2: carbon.address = a:0: has the port "0"; choose within 1..65535'],
  ["[relay]\ndestinations = a", `line 2: relay.destinations = a: has no port; ${DESTINATION}`],
  [
    "[relay]\ndestinations = a:1:b:c",
    `line 2: relay.destinations = a:1:b:c: has too many colons; ${DESTINATION}`,
  ],
  [
    "[relay]\ndestinations = ::1",
    `line 2: relay.destinations = ::1: is an IPv6 address alone; ${DESTINATION}`,
  ],
  // Lists, and several faults at once.
  ["[aggregator]\nsinks =", "line 2: aggregator.sinks: is empty; name at least one"],
  ["[aggregation]\ntimer =", "line 2: aggregation.timer: is empty; name some, or write none"],
  [
    "[aggregation]\ntimer = none max",
    "line 2: aggregation.timer = none: stands beside others; write none alone",
  ],
  [
    "[aggregation]\nset = count p99",
    `line 2: aggregation.set = p99: is no aggregate; choose from ${AGGREGATES}`,
  ],
  [
    "[relay]\ndestinations[] = a:1\n# between\ndestinations[] = b\ndestinations[] = c",
    `line 4: relay.destinations = b: has no port; ${DESTINATION}`,
    `line 5: relay.destinations = c: has no port; ${DESTINATION}`,
  ],
  [
    "[log]\r\nlevel = x\r\n\r\n[relays]\r\nthreads = none\r\n[console]\r\nrows = 0",
    "line 2: log.level = x: is unknown; choose one of error, warn, info, debug",
    "line 4: [relays]: is an unknown section; did you mean [relay]?",
    "line 7: console.rows = 0: is too small; choose within 1..10000",
  ],
  // What no key can tell by itself.
  [
    "[aggregator]\ninterval = 500ms",
    "line 2: aggregator.interval = 500ms: is shorter than cluster.snapshot-interval (1s); lower that as well",
  ],
  [
    "[aggregator]\ninterval = 5s\n[cluster]\nsnapshot-interval = 10s",
    "line 4: cluster.snapshot-interval = 10s: is longer than aggregator.interval (5s); choose at most that",
  ],
  [
    "[aggregator]\ninterval = 500ms\n[cluster]\nsnapshot-interval = often",
    `line 4: cluster.snapshot-interval = often: ${DURATION}`,
  ],
  [
    "[carbon]\naddress =",
    "line 2: carbon.address: is empty, but aggregator.sinks has carbon; name one, or drop that sink",
  ],
];

for (const [text, ...expected] of BROKEN) {
  test(`report of ${JSON.stringify(text)}`, () => {
    const { lines, exitCode } = report(text);
    assert.deepEqual(lines, expected);
    assert.equal(exitCode, 78);
  });
}

test("a long value is shortened", () => {
  const { lines } = report(`[log]\nlevel = ${"x".repeat(500_000)}`);
  assert.equal(
    lines[0],
    `line 2: log.level = ${"x".repeat(60)}...: is unknown; choose one of error, warn, info, debug`,
  );
});

test("a text that is full of faults is not read to its end", () => {
  const { lines } = report("junk\n".repeat(200_000));
  assert.equal(lines.length, 101);
  assert.equal(lines.at(-1), "line 101: there are too many faults; what follows was not read");
});

const tooMany: Override = { section: "relay", key: "threads", values: ["99"], origin: "--threads" };
const tooManyFault = '--threads: "99" is too large; choose within 1..64';

test("faults of flags alone exit with 2 and name the flag", () => {
  assert.deepEqual(report("", [tooMany]), { lines: [tooManyFault], exitCode: 2 });
  // What the file says of the same key does not matter any more.
  assert.deepEqual(report("[relay]\nthreads = 98", [tooMany]), { lines: [tooManyFault], exitCode: 2 });
});

test("faults of file and flags come in one report that exits with 78", () => {
  const { lines, exitCode } = report("[log]\nformat = xml", [tooMany]);
  assert.deepEqual(lines, ["line 2: log.format = xml: is unknown; choose one of json, text", tooManyFault]);
  assert.equal(exitCode, 78);
});

test("a contradiction with a default is reported at what was set", () => {
  const override: Override = {
    section: "aggregator",
    key: "interval",
    values: ["100ms"],
    origin: "--interval",
  };
  assert.deepEqual(report("", [override]), {
    lines: ['--interval: "100ms" is shorter than cluster.snapshot-interval (1s); lower that as well'],
    exitCode: 2,
  });
});
