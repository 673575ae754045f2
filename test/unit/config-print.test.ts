/** What --print-config and --help show. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  describeOptions,
  type Override,
  parseConfig,
  printConfig,
  type SuiteConfig,
} from "../../shared/config.ts";
import { PLACEHOLDERS } from "../../shared/config-named.ts";
import { OPTIONS, optionsOf, SECTIONS, type SectionName } from "../../shared/config-options.ts";
import { listRule } from "../../shared/config-rows.ts";

function parse(text: string, overrides: readonly Override[] = []): SuiteConfig {
  return parseConfig(text, "x.ini", overrides);
}

/** Texts of which each option takes some. */
const SAMPLES = (
  "0 1 2 7 64 100 1400 2000 60000 1.5 2.25 10ms 1s 1m30s 5m 1h 720h 1k 64k 4m 16m 1g 4g none error debug " +
  "json text auto mmsg dgram fnv1a-jump djb2-mod murmur3-shards sorted drop next yes keep graphite 0.1 " +
  "33.3 a.=5 b=1 http:80/x tcp:1 statsd:2 refusal go full copy move tcp tls 0123456789abcdef udp test " +
  "carbon console no up down smart name tag both value p99 count percentile-99.9 udp://[::1]:0 " +
  "udp://a.b:65535 unixgram:///a;b/#c unixgram:///\u00e9\"' tcp://*:3 unix:///e " +
  'a:1 [::1]:2 10.0.0.1:3:x :4:\u00e9;" b:http tcp://c:5*3 unixgram:///d*2 ' +
  "app.** /^a\\.[b,c]{1,2}#\\d$/ forever etsy-legacy prometheus bioyino statsd dogstatsd etsy off length " +
  "lines 0660 777 -10 99.9 file carbon.x max=upper sum= percentile-99.9=a.b:c;d tls://[::1]:0 tls://*:0 " +
  "127.0.0.1 ::1 127.0.0.1:5 [::1]:6 udp://a:1 tcp://[::1]:2 pickle plaintext samples tsv veneur " +
  "a@b:1 agent witness internal one all https://a http://[::1]:5"
)
  .split(" ")
  .concat("a.* -> b.$1", "/x;y z/ -> q", "a.** = 10 1e3 inf", "** =", "/a = b/ = -0.5 0 1e300");

/** Options that contradict others at nearly every value; they are printed in tests of their own. */
const CONTRARY = [
  ...["shards", "replicas", "destinations-file", "tls-cert", "tls-key"],
  ...["aggregator.sinks", "memory-limit", "hmac-key-file", "late-window", "connections", "framing"],
  // See config-checks-cluster.test.ts.
  ...["mode", "node", "peers", "witness", "token", "token-file", "tls-ca", "cluster.listen", "password"],
  ...["username", "heartbeat", "lease", "election-timeout-min", "election-timeout-max", "ttl"],
  ...["session-ttl", "lease-duration", "request-timeout", "bioyino-listen"],
];
/** Lists in which an aggregate can be named once. */
const ONCE = ["prefix-overrides", "postfixes", "tag-values"];

/** Values that one option takes; none where it is left alone. */
function valuesOf(section: string, key: string): fc.Arbitrary<string[] | undefined> {
  const option = optionsOf(section)!.get(key)!;
  const takes = (text: string): boolean => "value" in option.type.parse(text);
  // The same address in two sections, or TLS without a certificate, would be a fault.
  const isIntake = key === "listen" && section !== "relay";
  const samples = isIntake ? ["udp://[::1]:0", "tcp://*:0"] : SAMPLES.filter(takes);
  assert.ok(samples.length > 0, `no sample for ${section}.${key}`);
  const isText = option.type.shape.includes("without");
  const text = isText ? fc.string({ unit: "grapheme" }).filter(takes) : fc.constantFrom(...samples);
  const rule = listRule(option);
  const isEmptyFine = rule?.empty === "blank";
  const lengths = { minLength: isEmptyFine ? 0 : 1, ...(ONCE.includes(key) ? { maxLength: 1 } : {}) };
  const values = rule === undefined ? text.map((one) => [one]) : fc.array(text, lengths);
  if ([key, `${section}.${key}`].some((one) => CONTRARY.includes(one))) return fc.constant(undefined);
  return fc.option(values, { nil: undefined });
}

function overridesOf(section: string, key: string): fc.Arbitrary<Override[]> {
  return valuesOf(section, key).map((values): Override[] =>
    values === undefined ? [] : [{ section, key, values, origin: "--x" }],
  );
}

/** A section as it may stand in a file. */
function textOf(section: string): fc.Arbitrary<string> {
  const lines = [...optionsOf(section)!].map(([key, option]) =>
    valuesOf(section, key).map((values): string[] => {
      if (values === undefined) return [];
      const isList = listRule(option) !== undefined;
      if (isList && values.length === 0) return [`${key} =`];
      return values.map((value) => `${key}${isList ? "[]" : ""} = ${JSON.stringify(value)}`);
    }),
  );
  const text = fc.tuple(...lines).map((list) => [`[${section}]`, ...list.flat()].join("\n"));
  // A route without destinations is a fault, and so is a listener without an address.
  const needed = { route: "\ndestinations[]", listener: "\nlisten[]" }[section.split(".")[0]!] ?? "";
  return text.filter((one) => !section.includes(".") || one.includes(needed));
}

/** Whether a text is a configuration; if it is one, its print is compared. */
function comparePrint(text: string, check: (config: SuiteConfig) => void): boolean {
  let config: SuiteConfig;
  try {
    config = parse(text);
  } catch {
    return false;
  }
  check(config);
  assert.deepEqual(parse(printConfig(config)), config);
  return true;
}

test("a printed configuration parses to the same one", () => {
  const options = [...SECTIONS].flatMap(([section, rows]) =>
    [...rows.keys()].map((key) => overridesOf(section, key)),
  );
  let compared = 0;
  fc.assert(
    fc.property(fc.tuple(...options), (chosen) => {
      let config: SuiteConfig;
      try {
        config = parse("", chosen.flat());
      } catch {
        // Values that are fine one by one may contradict each other.
        fc.pre(false);
        return;
      }
      assert.deepEqual(parse(printConfig(config)), config);
      compared++;
    }),
    { numRuns: 200 },
  );
  assert.equal(compared, 200);
});

/** Kinds of named sections: their parents, and what they are called in the configuration. */
const KINDS = [
  ["route", "relay", ({ relay }: SuiteConfig) => relay.routes],
  ["listener", "aggregator", ({ aggregator }: SuiteConfig) => aggregator.listeners],
  ["carbon", "carbon", ({ carbon }: SuiteConfig) => carbon.others],
] as const;

for (const [kind, parent, listOf] of KINDS) {
  test(`printed sections [${kind}.NAME] parse to the same ones`, () => {
    let compared = 0;
    const texts = fc.tuple(textOf(`${kind}.b`), textOf(parent), textOf(`${kind}.a`));
    fc.assert(
      fc.property(texts, (sections) => {
        const isGood = comparePrint(sections.join("\n"), (config) => {
          const names = listOf(config).map(({ name }) => name);
          assert.deepEqual(names, ["b", "a"]);
        });
        fc.pre(isGood);
        compared++;
      }),
      { numRuns: 100 },
    );
    assert.equal(compared, 100);
  });
}

test("sections and sinks that need each other survive printing", () => {
  const text = [
    "[aggregator]\nsinks = carbon.x file console\nlisten = tls://a:1 udp://b:2\ntls-cert = c\ntls-key = k",
    "memory-limit = 8g\nlate-window = 60s",
    "[listener.s]\nlisten = udp://b:3\nhmac-key-file = f\ntls-cert =\ntls-key =",
    "[listener.d]\nlisten = unix:///d\nframing = length\nsocket-mode = 660",
    "[carbon]\nconnections = 4\ntls-cert = cc\ntls-key = kk",
    "[carbon.x]\naddress = y:1\nconnections = 1\nprotocol = udp\ntls-cert =\ntls-key =\n[file]\npath = /p q",
  ].join("\n");
  assert.ok(comparePrint(text, () => {}));
});

test("an empty list and a silenced type survive printing", () => {
  const config = parse("[aggregation]\nset = none\n[carbon]\naddress =\n[aggregator]\nsinks = console");
  const printed = printConfig(config);
  assert.match(printed, /^set = none$/m);
  assert.match(printed, /^address =$/m);
  assert.deepEqual(parse(printed), config);
});

test("blanks at either end survive printing", () => {
  for (const tags of [" a", "a ", " ", "a  b"]) {
    const config = parse(`[relay]\nmetrics-tags = ${JSON.stringify(tags)}`);
    assert.equal(config.relay.metricsTags, tags);
    assert.deepEqual(parse(printConfig(config)), config);
  }
});

test("help names every key", () => {
  for (const section of [...(Object.keys(OPTIONS) as SectionName[]), ...PLACEHOLDERS] as const) {
    const lines = describeOptions(section);
    assert.equal(lines[0], `[${section}]`);
    assert.equal(lines.length, 1 + 2 * optionsOf(section)!.size);
  }
  const [, key, doc] = describeOptions("console");
  assert.equal(key, "  rows = 40");
  assert.equal(doc, "      Rows of a flush that are shown (1..10000).");
});
