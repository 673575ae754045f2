/** The option table, the files that show it, and what a good configuration turns into. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { loadConfig, type Override, parseConfig, type SuiteConfig } from "../../shared/config.ts";
import { type NAMED, PARENTS } from "../../shared/config-named.ts";
import { optionsOf, SECTIONS } from "../../shared/config-options.ts";
import { defaultOf, listRule, parentOf } from "../../shared/config-rows.ts";
import { parseDuration, parseSize, printDuration, printSize } from "../../shared/config-values.ts";
import { OperatorError } from "../../shared/errors.ts";
import { AGGREGATE_FORMS } from "../../shared/metric.ts";

const top = findTop(dirname(fileURLToPath(import.meta.url)));
/** The named sections that suite.ini shows as comments. */
const SHOWN = ["route.mirror", "listener.agent", "carbon.archive"];
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

/** Keys as suite.ini shows them, section by section. */
function shownKeys(): string[] {
  const shown: string[] = [];
  let section = "";
  let isExplained = false;
  for (const line of readFileSync(suiteFile, "utf8").split("\n")) {
    const [, mark, header] = /^(# )?\[(.*)\]$/.exec(line) ?? [];
    const [, key, brackets, value] = /^(?:# )?([a-z-]+)(\[\])? =(.*)$/.exec(line) ?? [];
    if (header !== undefined) {
      section = header;
      assert.equal(mark !== undefined, SHOWN.includes(header), `[${header}] is a comment, or not`);
    }
    if (key !== undefined) {
      assert.ok(isExplained || line.startsWith("#"), `${section}.${key} is not explained`);
      const isInherited = line.startsWith("#");
      shown.push(`${section}.${key}${isInherited ? "" : ` =${value}`}`);
      const option = optionsOf(section)?.get(key);
      if (brackets !== undefined) assert.ok(listRule(option!) !== undefined, `${key} is no list`);
    }
    isExplained = line.startsWith("#") || (isExplained && key !== undefined);
  }
  return shown;
}

test("suite.ini has every key in the order of the table, explained, at its default", () => {
  const wanted = [...SECTIONS].flatMap(([name, options]) => [
    ...[...options].map(([key, option]) =>
      parentOf(option) === undefined ? `${name}.${key} = ${defaultOf(option)}`.trimEnd() : `${name}.${key}`,
    ),
    ...SHOWN.filter((shown) => PARENTS[shown.split(".")[0] as keyof typeof NAMED] === name).flatMap((shown) =>
      [...optionsOf(shown)!.keys()].map((key) => `${shown}.${key}`),
    ),
  ]);
  assert.deepEqual(shownKeys(), wanted);
});

/** A section that suite.ini shows as a comment, as it would stand in a file. */
function shownSection(name: string): string {
  const lines = readFileSync(suiteFile, "utf8").split("\n");
  const from = lines.indexOf(`# [${name}]`);
  const to = lines.findIndex((line, index) => index > from && line.startsWith("["));
  return lines
    .slice(from, to)
    .map((line) => line.replace(/^# (?=\[|[a-z-]+(?:\[\])? =)/, ""))
    .join("\n");
}

test("the sections that suite.ini shows as comments are good ones", () => {
  const text = `${SHOWN.map(shownSection).join("\n")}\n[aggregator]\nsinks = carbon carbon.archive`;
  const warnings: string[] = [];
  const { relay, aggregator, carbon } = parseConfig(text, "x.ini", [], (warning) => warnings.push(warning));
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    relay.routes.map(({ name, match, mode, sharePercent }) => [name, match, mode, sharePercent]),
    [["mirror", ["app.**"], "copy", 5]],
  );
  assert.deepEqual(
    aggregator.listeners.map(({ name, listen, framing, socketMode }) => [name, listen, framing, socketMode]),
    [["agent", [{ kind: "unix", path: "/run/bioyino/agent.sock" }], "length", 0o666]],
  );
  assert.deepEqual(
    carbon.others.map(({ name, protocol, format, connections }) => [name, protocol, format, connections]),
    [["archive", "tls", "pickle", 4]],
  );
});

test("suite.ini names every aggregate", () => {
  const text = readFileSync(suiteFile, "utf8").replace(/^[^#].*$/gm, "");
  const isNamed = (form: string): boolean => new RegExp(`(?<![\\w-])${form}(?![\\w-])`).test(text);
  assert.deepEqual(
    AGGREGATE_FORMS.filter((form) => !isNamed(form)),
    [],
  );
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
  const { relay, aggregator, carbon, aggregation, naming, ...others } = loadConfig();
  // Key for key in config-relay.test.ts.
  assert.deepEqual([relay.threads, relay.receiveBufferBytes, relay.routes], [1, 16 * 2 ** 20, []]);
  assert.deepEqual([aggregator.memoryBytesMax, aggregator.backlogBytesMax], [2 ** 31, 2 ** 28]);
  assert.deepEqual([carbon.queueAgeMs, carbon.retryDelayMultiplier], [3_600_000, 2]);
  assert.deepEqual(
    aggregation.timer.map((one) => one.name).filter((name) => name.startsWith("percentile")),
    ["percentile-75", "percentile-95", "percentile-98", "percentile-99", "percentile-999"],
  );
  assert.deepEqual(naming.timer, {
    destination: "smart",
    prefix: "",
    suffix: "",
    tag: "aggregate",
    prefixOverrides: [],
    postfixes: [],
    tagValues: [],
  });
  // Those of the aggregator, its sinks and its cluster are in tests of their own.
  assert.deepEqual(others.log, { level: "info", format: "json" });
  assert.deepEqual([others.fileKind, others.console], ["suite", { rows: 40 }]);
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
  const { timer, set } = naming;
  assert.deepEqual([timer.destination, timer.prefix, timer.tag], ["both", "", "t"]);
  assert.deepEqual([set.destination, set.prefix, set.tag], ["both", "p", "aggregate"]);
});

test("addresses", () => {
  const urls = "udp://[::1]:0 udp://localhost:1 unixgram:///run/a.sock tcp://*:2 unix:///run/b";
  const text = `[relay]\nlisten = ${urls}\nmanagement =\n`;
  const { relay } = parse(
    `${text}[aggregator]\nmanagement = [::1]:0\nstats-prefix = a.b..\nstats-interval = 0`,
  );
  assert.deepEqual(relay.listen, [
    { kind: "udp", host: "::1", port: 0 },
    { kind: "udp", host: "localhost", port: 1 },
    { kind: "unixgram", path: "/run/a.sock" },
    { kind: "tcp", host: "*", port: 2 },
    { kind: "unix", path: "/run/b" },
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
    "[route.x]",
    "match[]",
    "/(/",
    "->",
    "bind_port",
    "destinations",
    "a:1*2",
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
