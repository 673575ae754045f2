/** The option table, the files that show it, and what a good configuration turns into. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import {
  describeOptions,
  loadConfig,
  type Override,
  parseConfig,
  printConfig,
  type SuiteConfig,
} from "../../shared/config.ts";
import { OPTIONS, SECTIONS, type SectionName } from "../../shared/config-options.ts";
import { parseDuration, parseSize, printDuration, printSize } from "../../shared/config-values.ts";
import { OperatorError } from "../../shared/errors.ts";

const top = findTop(dirname(fileURLToPath(import.meta.url)));
const suiteFile = join(top, "config", "suite.ini");
const folder = mkdtempSync(join(tmpdir(), "config-test-"));
after(() => rmSync(folder, { recursive: true }));

/** The nearest folder upwards that holds the examples. */
function findTop(from: string): string {
  return existsSync(join(from, "config", "suite.ini")) ? from : findTop(dirname(from));
}

function parse(text: string, overrides: readonly Override[] = []): SuiteConfig {
  return parseConfig(text, "x.ini", overrides);
}

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function faultOf(path: string): string {
  try {
    loadConfig(path);
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.exitCode, 78);
    return error.message.replace(`${folder}/`, "");
  }
  assert.fail(`accepted: ${path}`);
}

test("suite.ini has every key in the order of the table, explained, at its default", () => {
  const shown: string[] = [];
  let section = "";
  let isExplained = false;
  for (const line of readFileSync(suiteFile, "utf8").split("\n")) {
    const [, header] = /^\[(.*)\]$/.exec(line) ?? [];
    const [, key, brackets, value] = /^(?:# )?([a-z-]+)(\[\])? =(.*)$/.exec(line) ?? [];
    if (header !== undefined) section = header;
    if (key !== undefined) {
      assert.ok(isExplained || line.startsWith("#"), `${section}.${key} is not explained`);
      const isInherited = line.startsWith("#");
      shown.push(`${section}.${key}${isInherited ? "" : ` =${value}`}`);
      if (brackets !== undefined) assert.equal(SECTIONS.get(section)?.get(key)?.kind, "list");
    }
    isExplained = line.startsWith("#") || (isExplained && key !== undefined);
  }
  const wanted = [...SECTIONS].flatMap(([name, options]) =>
    [...options].map(([key, option]) =>
      option.kind === "inherited" ? `${name}.${key}` : `${name}.${key} = ${option.default}`.trimEnd(),
    ),
  );
  assert.deepEqual(shown, wanted);
});

test("suite.ini means what no file means", () => {
  assert.deepEqual(loadConfig(suiteFile), loadConfig());
});

test("quickstart.ini is valid and stays on this machine", () => {
  const { log, relay, aggregator, carbon } = loadConfig(join(top, "config", "quickstart.ini"));
  assert.equal(log.format, "text");
  assert.deepEqual(relay.listen, [{ kind: "udp", host: "127.0.0.1", port: 9125 }]);
  assert.deepEqual(relay.destinations, ["127.0.0.1:8125"]);
  assert.deepEqual(aggregator.listen, [{ kind: "udp", host: "127.0.0.1", port: 8125 }]);
  assert.deepEqual([aggregator.intervalMs, aggregator.sinks], [5000, ["carbon", "console"]]);
  assert.deepEqual(carbon.address, [{ host: "127.0.0.1", port: 2003 }]);
});

test("the defaults are typed values", () => {
  const { relay, aggregator, carbon, aggregation, naming, cluster, ...others } = loadConfig();
  assert.deepEqual(relay, {
    listen: [{ kind: "udp", host: "0.0.0.0", port: 9125 }],
    threads: 1,
    io: "auto",
    prefix: "statsrelay",
    destinations: [],
    hash: "fnv1a-jump",
    packetlen: 1400,
    flushIntervalMs: 1000,
    metricsPrefix: "",
    metricsTags: "",
    sendproto: "udp",
    management: { host: "127.0.0.1", port: 9126 },
    receiveBufferBytes: 16 * 2 ** 20,
    drainTimeoutMs: 5000,
  });
  assert.deepEqual([aggregator.memoryBytesMax, aggregator.backlogBytesMax], [2 ** 31, 2 ** 28]);
  assert.deepEqual([carbon.queueAgeMs, carbon.retryDelayMultiplier], [3_600_000, 2]);
  assert.deepEqual(
    aggregation.timer.map((one) => one.name).filter((name) => name.startsWith("percentile")),
    ["percentile-75", "percentile-95", "percentile-98", "percentile-99", "percentile-999"],
  );
  assert.deepEqual(naming.timer, { destination: "smart", prefix: "", tag: "aggregate" });
  assert.deepEqual(cluster, { snapshotIntervalMs: 1000 });
  assert.deepEqual(others, { log: { level: "info", format: "json" }, console: { rows: 40 } });
});

test("lists come from one line or from several", () => {
  const several = parse("[relay]\ndestinations[] = a:1\n\n; note\ndestinations[] = [::1]:2:x b:http");
  assert.deepEqual(several.relay.destinations, ["a:1", "[::1]:2:x", "b:http"]);
  assert.deepEqual(parse("[relay]\ndestinations = a:1,b:2 ,\tc:3").relay.destinations, ["a:1", "b:2", "c:3"]);
  assert.deepEqual(parse("[relay]\ndestinations = :1 :1").relay.destinations, [":1", ":1"]);
  assert.deepEqual(parse("[relay]\ndestinations =").relay.destinations, []);
  assert.deepEqual(parse("[aggregation]\ntimer = none\nset[] = count").aggregation.timer, []);
});

test("values are read as written, quoted or not", () => {
  const prefix = (written: string): string =>
    parse(`[relay]\nmetrics-prefix = ${written}`).relay.metricsPrefix;
  for (const text of ["true", "null", "5", "1.0", "0x10", "a=b", "[x]", "__proto__"]) {
    assert.equal(prefix(text), text);
    assert.equal(prefix(JSON.stringify(text)), text);
  }
  assert.equal(prefix('"a;b#c"'), "a;b#c");
  assert.equal(prefix("a\\;b\\#c\\\\d\\e"), "a;b#c\\d\\e");
  assert.equal(prefix('"\\u00e9"'), "é");
  assert.equal(prefix(""), "");
});

test("what a type does not say about names it takes from the default, field by field", () => {
  const { naming } = parse(
    "[naming.timer]\ntag = t\nprefix =\n[naming.default]\nprefix = p\ndestination = both",
  );
  assert.deepEqual(naming.timer, { destination: "both", prefix: "", tag: "t" });
  assert.deepEqual(naming.set, { destination: "both", prefix: "p", tag: "aggregate" });
});

test("addresses", () => {
  const text = "[relay]\nlisten = udp://[::1]:0 udp://localhost:1 unixgram:///run/a.sock\nmanagement =\n";
  const { relay } = parse(
    `${text}[aggregator]\nmanagement = [::1]:0\nstats-prefix = a.b..\nstats-interval = 0`,
  );
  assert.deepEqual(relay.listen, [
    { kind: "udp", host: "::1", port: 0 },
    { kind: "udp", host: "localhost", port: 1 },
    { kind: "unixgram", path: "/run/a.sock" },
  ]);
  assert.equal(relay.management, undefined);
  const { aggregator } = parse(
    "[aggregator]\nmanagement = [::1]:0\nstats-prefix = a.b..\nstats-interval = 0",
  );
  assert.deepEqual(aggregator.management, { host: "::1", port: 0 });
  assert.deepEqual([aggregator.statsPrefix, aggregator.statsIntervalMs], ["a.b", 0]);
});

test("a repeated aggregate is taken once, with a warning", () => {
  const warnings: string[] = [];
  const text = "[aggregation]\nset = count COUNT updates\n[aggregator]\nsinks = console console";
  const { aggregation, aggregator } = parseConfig(text, "x.ini", [], (warning) => warnings.push(warning));
  assert.deepEqual(
    aggregation.set.map((one) => one.name),
    ["count", "updates"],
  );
  assert.deepEqual(aggregator.sinks, ["console"]);
  assert.deepEqual(warnings, [
    "aggregator.sinks names console more than once; it is taken once",
    "aggregation.set names count more than once; it is taken once",
  ]);
});

test("flags override the file, and later flags earlier ones", () => {
  const set = (key: string, ...values: string[]): Override => ({
    section: "relay",
    key,
    values,
    origin: "--x",
  });
  const text = "[relay]\nthreads = 2\ndestinations = a:1 b:2";
  const { relay } = parse(text, [set("threads", "3"), set("destinations", "c:3"), set("threads", "4")]);
  assert.deepEqual([relay.threads, relay.destinations], [4, ["c:3"]]);
});

test("files that are no configuration", () => {
  assert.equal(
    faultOf(join(folder, "none.ini")),
    "none.ini: cannot be read (ENOENT); name a file that this user may read",
  );
  const isFolder = "cannot be read (EISDIR); name a file that this user may read";
  assert.ok(faultOf(folder).endsWith(isFolder));
  const noText = "is no UTF-8 text; name a configuration file";
  assert.equal(faultOf(write("zero.ini", "[log]\n\0")), `zero.ini: ${noText}`);
  assert.equal(faultOf(write("latin.ini", Uint8Array.of(0x23, 0xe9))), `latin.ini: ${noText}`);
  const tooLarge = write("large.ini", "#".repeat(2 ** 20 + 1));
  assert.equal(faultOf(tooLarge), "large.ini: is larger than 1 MiB; name a configuration file");
  assert.equal(
    faultOf(write("bad.ini", "[log]\nlevel = x")),
    "bad.ini: 1 fault\n  line 2: log.level = x: is unknown; choose one of error, warn, info, debug",
  );
});

test("byte order mark, CRLF, indentation and a full mebibyte do no harm", () => {
  const text = "\uFEFF  [ relay ]\r\n\tthreads=2 \r\n  ; note\r\n";
  assert.equal(loadConfig(write("bom.ini", text)).relay.threads, 2);
  assert.equal(parse(text).relay.threads, 2);
  const padding = "#".repeat(2 ** 20 - 20);
  assert.equal(loadConfig(write("full.ini", `[relay]\nthreads=3\n${padding}`)).relay.threads, 3);
});

test("nothing that is thrown is no report, whatever the text", () => {
  const words = fc.constantFrom(
    "[relay]",
    "[naming.set]",
    "\n",
    "=",
    "[]",
    '"',
    "'",
    "#",
    "\\",
    "threads",
    "listen",
  );
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(words).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      try {
        parse(text);
      } catch (error) {
        assert.ok(error instanceof OperatorError, String(error));
      }
    }),
  );
});

/** Texts of which each option takes some. */
const SAMPLES = (
  "0 1 2 7 64 100 1400 2000 60000 1.5 2.25 10ms 1s 1m30s 5m 1h 720h 1k 64k 4m 16m 1g 4g none error debug " +
  "json text auto mmsg dgram fnv1a-jump udp test carbon console no up down smart name tag both value p99 " +
  "count percentile-99.9 udp://[::1]:0 udp://a.b:65535 unixgram:///a;b/#c unixgram:///\u00e9\"' " +
  'a:1 [::1]:2 10.0.0.1:3:x :4:\u00e9;" b:http'
).split(" ");

/** Overrides of one option by values that it takes; none where the option is left alone. */
function overridesOf(section: string, key: string): fc.Arbitrary<Override[]> {
  const option = SECTIONS.get(section)!.get(key)!;
  const takes = (text: string): boolean => "value" in option.type.parse(text);
  const samples = SAMPLES.filter(takes);
  assert.ok(samples.length > 0, `no sample for ${section}.${key}`);
  const isText = option.type.shape.includes("without");
  const text = isText ? fc.string({ unit: "grapheme" }).filter(takes) : fc.constantFrom(...samples);
  const isEmptyFine = option.kind === "list" && option.rule.empty === "blank";
  const values =
    option.kind === "list" ? fc.array(text, { minLength: isEmptyFine ? 0 : 1 }) : text.map((one) => [one]);
  const override = values.map((list): Override[] => [{ section, key, values: list, origin: "--x" }]);
  return fc.oneof(override, fc.constant<Override[]>([]));
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

test("an empty list and a silenced type survive printing", () => {
  const config = parse("[aggregation]\nset = none\n[carbon]\naddress =\n[aggregator]\nsinks = console");
  const printed = printConfig(config);
  assert.match(printed, /^set = none$/m);
  assert.match(printed, /^address =$/m);
  assert.deepEqual(parse(printed), config);
});

test("help names every key", () => {
  for (const section of Object.keys(OPTIONS) as SectionName[]) {
    const lines = describeOptions(section);
    assert.equal(lines[0], `[${section}]`);
    assert.equal(lines.length, 1 + 2 * SECTIONS.get(section)!.size);
  }
  const [, key, doc] = describeOptions("cluster");
  assert.equal(key, "  snapshot-interval = 1s");
  assert.equal(doc, "      Pace of snapshots (10ms..1m).");
});

test("durations and sizes", () => {
  const durations = {
    "0": 0,
    "250": 250,
    "250ms": 250,
    "1.5s": 1500,
    "0.29s": 290,
    "1m30s": 90_000,
    "2h": 7.2e6,
  };
  for (const [text, ms] of Object.entries(durations)) assert.equal(parseDuration(text), ms, text);
  for (const text of ["", "s", "1 s", "-1s", "1d", "1e3", ".5s", "1.s", "0.1ms", "1s5"]) {
    assert.equal(parseDuration(text), undefined, text);
  }
  for (const [text, bytes] of Object.entries({
    "0": 0,
    "65507": 65507,
    "64k": 65536,
    "16M": 2 ** 24,
    "2g": 2 ** 31,
  })) {
    assert.equal(parseSize(text), bytes, text);
  }
  for (const text of ["", "k", "1kb", "1.5m", "-1", "1 k"]) assert.equal(parseSize(text), undefined, text);
  fc.assert(fc.property(fc.nat(), (number) => parseDuration(printDuration(number)) === number));
  fc.assert(fc.property(fc.nat(), (number) => parseSize(printSize(number)) === number));
});
