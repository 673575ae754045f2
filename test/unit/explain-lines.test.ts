import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPLAINED_LINES_MAX, Explainer, type LineExplanation } from "../../aggregator/explain/explain.ts";
import { describeExplanation } from "../../aggregator/explain/explain-text.ts";
import { parseConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";

async function explainer(ini = "", listener?: string): Promise<Explainer> {
  return Explainer.create(parseConfig(ini, "test.ini"), listener);
}

async function explain(line: string, ini = "", listener?: string): Promise<LineExplanation> {
  const [first, ...others] = (await explainer(ini, listener)).explain(line).lines;
  assert.deepEqual(others, []);
  return first!;
}

test("a counter is scaled by its rate, and named", async () => {
  const line = await explain("app.hits;z=1;a=2:3|c|@0.25");
  assert.equal(line.accepted, true);
  assert.deepEqual(line.samples, [{ key: "app.hits;a=2;z=1", type: "counter", value: 12 }]);
  assert.deepEqual(line.sections, { rate: "0.25" });
  assert.deepEqual(line.outputs, [{ aggregate: "value", name: "app.hits;a=2;z=1", value: 12 }]);
});

test("a packed and sampled timer shows each value with what it stands for", async () => {
  const line = await explain("lat:5:7|ms|@0.5|#env:prod,host:a", "[aggregation]\ntimer = count sum\n");
  assert.deepEqual(line.samples, [
    { key: "lat;env=prod;host=a", type: "timer", value: 5, weight: 2 },
    { key: "lat;env=prod;host=a", type: "timer", value: 7, weight: 2 },
  ]);
  assert.deepEqual(line.outputs, [
    { aggregate: "count", name: "lat;aggregate=count;env=prod;host=a", value: 4 },
    { aggregate: "sum", name: "lat;aggregate=sum;env=prod;host=a", value: 24 },
  ]);
});

test("gauges are set or changed, sets have members", async () => {
  assert.deepEqual((await explain("g:5|g")).samples, [{ key: "g", type: "gauge", value: 5 }]);
  assert.deepEqual((await explain("g:-5|g")).samples, [
    { key: "g", type: "gauge", value: -5, isChange: true },
  ]);
  assert.deepEqual((await explain("u:ann|s")).samples, [{ key: "u", type: "set", value: "ann" }]);
});

test("a refused line says why, and writes nothing", async () => {
  for (const [text, reason] of [
    ["bare", "no_value"],
    ["a:1", "no_type"],
    ["a:x|c", "bad_value"],
    ["a:1|c|@2", "bad_rate"],
    [":1|c", "empty_name"],
  ] as const) {
    const line = await explain(text);
    assert.deepEqual([line.accepted, line.reason], [false, reason], text);
    assert.deepEqual([line.samples, line.outputs], [[], []], text);
  }
});

test("DogStatsD's sections are shown, known or not", async () => {
  const line = await explain("a:1|c|#k:v|c:ci-1|e:it-false|card:low|zz|");
  assert.equal(line.accepted, true);
  assert.deepEqual(line.sections, {
    tags: "k:v",
    container: "ci-1",
    externalData: "it-false",
    cardinality: "low",
    unknown: ["zz", ""],
  });
});

test("a timestamp is explained by what it comes to now", async () => {
  const nowSec = Math.floor(Date.now() / 1000);
  const day = "[aggregator]\ninterval = 1h\nlate-window = 1h\n";
  const old = await explain("a:1|c|T1700000000");
  assert.deepEqual([old.accepted, old.reason, old.outputs], [false, "too_late", []]);
  assert.equal((await explain(`a:1|c|T${nowSec - 7200}`, day)).reason, "too_late");
  const earlier = await explain(`a:1|c|T${nowSec - 3600}`, day);
  assert.match(`${earlier.accepted} ${earlier.note}`, /^true counts in the interval of its timestamp/);
  assert.match((await explain(`a:1|g|T${nowSec + 7200}`, day)).note ?? "", /^its timestamp lies ahead/);
  const timer = await explain("a:1|ms|T1700000000");
  assert.match(`${timer.accepted} ${timer.note}`, /^true only counters and gauges/);
  assert.equal(timer.outputs.length > 0, true);
  assert.match(describeExplanation((await explainer()).explain("a:1|s|T1700000000")), /\n {2}only counters/);
});

test("events and checks are read, where the dialect has them", async () => {
  const event = await explain("_e{5,4}:title|text|p:low");
  assert.equal(event.accepted, true);
  assert.equal(event.event !== undefined && "fault" in event.event, false);
  assert.deepEqual(event.outputs, []);
  const broken = await explain("_e{99,4}:title|text");
  assert.deepEqual([broken.accepted, broken.reason], [false, "bad_event"]);
  assert.equal(broken.event !== undefined && "fault" in broken.event, true);
  const statsd = await explain("_e{5,4}:title|text", "[aggregator]\ndialect = statsd\n");
  assert.deepEqual([statsd.accepted, statsd.event], [false, undefined]);
});

test("a line is read by its listener's settings, and named by those of the configuration", async () => {
  const ini = `[aggregator]
dialect = bioyino
[listener.dog]
listen = udp://127.0.0.1:8126
dialect = dogstatsd
[naming.counter]
prefix = site
`;
  assert.equal((await explain("a:1|c|#k:v", ini)).accepted, false);
  const line = await explain("a:1|c|#k:v", ini, "dog");
  assert.deepEqual(line.outputs, [{ aggregate: "value", name: "site.a;k=v", value: 1 }]);
  await assert.rejects(
    explainer(ini, "cat"),
    (error) => error instanceof OperatorError && /"cat"; name one of aggregator, dog$/.test(error.message),
  );
});

test("each line stands by itself, and the sinks are named", async () => {
  const { lines, sinks, listener } = (await explainer()).explain("a:1|c\na:2|c\n\nb:3|c\r");
  assert.deepEqual(
    lines.map(({ outputs }) => outputs.map(({ value }) => value)),
    [[1], [2], [3]],
  );
  assert.deepEqual([sinks, listener], [["carbon"], "aggregator"]);
});

test("too much at once is refused", async () => {
  const one = await explainer();
  assert.throws(() => one.explain("a:1|c\n".repeat(EXPLAINED_LINES_MAX + 1)), OperatorError);
  assert.throws(() => one.explain("a".repeat(70_000)), OperatorError);
});

test("the text says what is there, and nothing that a terminal would obey", async () => {
  const text = describeExplanation((await explainer()).explain("a.b:2|c|@0.5\nbare\x1b[2J\n_sc|x|9"));
  assert.match(text, /^read as by \[aggregator\], dialect = auto; rows go to carbon\n/);
  assert.match(text, /counter a\.b: grows by 4\n/);
  assert.match(text, /a\.b {2}4 {2}\(value\)/);
  assert.match(text, /bare\\x1b\[2J\n {2}dropped, no_value: No colon: a bare name\./);
  assert.match(text, /dropped, bad_check \(bad-status\)/);
  assert.ok(!text.includes("\x1b"));
});
