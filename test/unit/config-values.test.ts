/** Kinds of values: what they take, what they refuse, and that what they print is read again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bindAddress, intakeAddress, repeaterAddress } from "../../shared/config-addresses.ts";
import { histogram } from "../../shared/config-shaping.ts";
import {
  aggregateText,
  durationOrForever,
  fileMode,
  percentThreshold,
  type ValueType,
} from "../../shared/config-values.ts";

/** What a kind of value is like. */
interface KindCase<Value> {
  readonly type: ValueType<Value>;
  readonly good: Readonly<Record<string, Value>>;
  /** Texts, and what is wrong with them. */
  readonly bad: Readonly<Record<string, string>>;
  /** Texts of which many are good. */
  readonly texts: fc.Arbitrary<string>;
}

const NO_PERCENT = "is no percentile; choose within -100..100, but not 0";
const NO_BOUND = "has a bound that is no number; write numbers, or inf";
const NO_EQUAL = "has no equal sign; write AGGREGATE=TEXT";
const BAD_TEXT = "has a blank, comma or semicolon in its text; remove it";
const NUMBERS = fc.oneof(
  fc.double({ noNaN: true }).map(String),
  fc.integer().map(String),
  fc.constantFrom(
    "0",
    "-0",
    "1e3",
    "+5",
    "007",
    "90.0",
    "99.999999",
    "99.9999999",
    "0x10",
    "1_0",
    "Infinity",
  ),
);
const PORTS = fc.oneof(fc.nat(70_000).map(String), fc.constantFrom("", "x", "00080"));
const HOSTS = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.ipV6().map((host) => `[${host}]`),
  fc.constantFrom("*", "localhost", "a-b.c", "", "[", "fe80::1%eth0", "::ffff:1.2.3.4"),
);
const HOST_PORTS = fc.tuple(HOSTS, PORTS).map(([host, port]) => `${host}:${port}`);

const percentile: KindCase<number> = {
  type: percentThreshold,
  good: { "90": 90, "-10": -10, "99.9": 99.9, "100": 100, "-100": -100, "0.000001": 0.000001, "90.50": 90.5 },
  bad: {
    "0": NO_PERCENT,
    "-0": NO_PERCENT,
    "0.0": NO_PERCENT,
    "100.1": NO_PERCENT,
    "-101": NO_PERCENT,
    "0.0000001": NO_PERCENT,
    "+5": NO_PERCENT,
    "9e1": NO_PERCENT,
    "": NO_PERCENT,
    p90: NO_PERCENT,
  },
  texts: fc.oneof(
    NUMBERS,
    fc.double({ min: -101, max: 101, noNaN: true }).map((value) => value.toFixed(6)),
  ),
};

const bins: KindCase<unknown> = {
  type: histogram,
  good: {
    "app.** = 10 100 inf": { pattern: "app.**", bins: [10, 100, Number.POSITIVE_INFINITY] },
    "** = -5,1e3": { pattern: "**", bins: [-5, 1000] },
    "a =": { pattern: "a", bins: [] },
    "/a = b/ = -0 .5": { pattern: "/a = b/", bins: [0, 0.5] },
  },
  bad: {
    "app.**": "has no equal sign between blanks; write PATTERN = 10 100 inf",
    "= 10": "has no equal sign between blanks; write PATTERN = 10 100 inf",
    "a = ten": NO_BOUND,
    "a = 0x10": NO_BOUND,
    "a = -inf": NO_BOUND,
    "a = Infinity": NO_BOUND,
    "a = 1e999": NO_BOUND,
    "a = 2 1": "has bounds that do not ascend; sort them",
    "a = 1 1.0": "has bounds that do not ascend; sort them",
    "a = inf inf": "has bounds that do not ascend; sort them",
    [`a = ${Array.from({ length: 33 }, (_, i) => i).join(" ")}`]: "has more than 32 bins; remove some",
  },
  texts: fc
    .tuple(fc.constantFrom("a", "a.**", "/x = y/", ""), fc.array(NUMBERS, { maxLength: 4 }))
    .map(([from, bounds]) => `${from} = ${bounds.sort((a, b) => Number(a) - Number(b)).join(" ")}`),
};

const idle: KindCase<number> = {
  type: durationOrForever,
  good: { "0": 0, "5m": 300_000, forever: Number.POSITIVE_INFINITY, "8760h": 31_536_000_000 },
  bad: {
    never: "is no duration; write 0, 5m, 24h or forever",
    Infinity: "is no duration; write 0, 5m, 24h or forever",
    "8760h1ms": "is longer than 8760h; write forever",
  },
  texts: fc.oneof(
    fc.constant("forever"),
    fc.nat(10 ** 9).map(String),
    fc.tuple(fc.nat(10_000), fc.constantFrom("h", "m", "s", "ms")).map((parts) => parts.join("")),
  ),
};

const mode: KindCase<number | undefined> = {
  type: fileMode,
  good: { "": undefined, "0660": 0o660, "660": 0o660, "0000": 0, "777": 0o777 },
  bad: {
    "0o660": "is no file mode; write octal digits such as 0660",
    "8": "is no file mode; write octal digits such as 0660",
    "4755": "is no file mode; write octal digits such as 0660",
  },
  texts: fc.nat(0o2000).map((value) => value.toString(8).padStart(3, "0")),
};

const label: KindCase<unknown> = {
  type: aggregateText,
  good: {
    "max=upper": { aggregate: "max", text: "upper" },
    "MAX=": { aggregate: "max", text: "" },
    "percentile-99.9=p=99": { aggregate: "percentile-99.9", text: "p=99" },
  },
  bad: { max: NO_EQUAL, "": NO_EQUAL, "max=a b": BAD_TEXT, "max=a;b": BAD_TEXT, "max=a\u0007": BAD_TEXT },
  texts: fc
    .tuple(fc.constantFrom("max", "Sum", "percentile-75", "upper-p90", "p"), fc.string({ unit: "grapheme" }))
    .map((parts) => parts.join("=")),
};

const listen: KindCase<unknown> = {
  type: intakeAddress,
  good: {
    "tls://*:0": { kind: "tls", host: "*", port: 0 },
    "tls://[::1]:6514": { kind: "tls", host: "::1", port: 6514 },
    "unix:///run/a": { kind: "unix", path: "/run/a" },
  },
  bad: {
    "tls://a": "is no address; write HOST:PORT or [IPV6]:PORT",
    "ssl://a:1": 'has the scheme "ssl"; choose one of udp, tcp, tls, unixgram, unix',
    "a:1": "has no scheme; write udp://a:1",
  },
  texts: fc.oneof(
    fc.tuple(fc.constantFrom("udp", "tcp", "tls"), HOST_PORTS).map((parts) => parts.join("://")),
    fc.string().map((path) => `unix:///${path}`),
  ),
};

const bind: KindCase<unknown> = {
  type: bindAddress,
  good: {
    "": undefined,
    "1.2.3.4": { host: "1.2.3.4", port: 0 },
    "1.2.3.4:0": { host: "1.2.3.4", port: 0 },
    "[::1]:5": { host: "::1", port: 5 },
  },
  bad: {
    "*:1": "is no address; write IP, IP:PORT or [IPV6]:PORT",
    "eth0:1": "is a name; write an address of this machine",
    "1.2.3.4:65536": "is no address; write IP, IP:PORT or [IPV6]:PORT",
  },
  texts: fc.oneof(HOSTS, HOST_PORTS),
};

const repeat: KindCase<unknown> = {
  type: repeaterAddress,
  good: { "tcp://[::1]:2": { protocol: "tcp", host: "::1", port: 2 } },
  bad: {
    "tls://a:1": "needs a scheme; write udp:// or tcp://HOST:PORT",
    "udp://a:0": 'has the port "0"; choose within 1..65535',
    "udp://*:1": 'has "*" for a host; write a name, an IPv4 address or [IPV6]',
  },
  texts: fc.tuple(fc.constantFrom("udp", "tcp"), HOST_PORTS).map((parts) => parts.join("://")),
};

const KINDS: Readonly<Record<string, KindCase<unknown>>> = {
  percentThreshold: percentile as KindCase<unknown>,
  histogram: bins,
  durationOrForever: idle as KindCase<unknown>,
  fileMode: mode as KindCase<unknown>,
  aggregateText: label,
  intakeAddress: listen,
  bindAddress: bind,
  repeaterAddress: repeat,
};

for (const [name, { type, good, bad, texts }] of Object.entries(KINDS)) {
  test(`${name} takes and refuses what it should`, () => {
    for (const [text, value] of Object.entries(good)) assert.deepEqual(type.parse(text), { value }, text);
    for (const [text, fault] of Object.entries(bad)) assert.deepEqual(type.parse(text), { fault }, text);
  });

  test(`${name} reads what it prints`, () => {
    let good = 0;
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = type.parse(text);
        if ("fault" in parsed) return;
        good += 1;
        const printed = type.print(parsed.value);
        assert.deepEqual(type.parse(printed), parsed, printed);
      }),
      { numRuns: 500 },
    );
    assert.ok(good >= 20, `only ${good} texts were good`);
  });
}
