import assert from "node:assert/strict";
import { test } from "node:test";
import { type MetricRow, PROCESS_METRICS, processSamples, renderMetrics } from "../../shared/stats.ts";

const lines: MetricRow = {
  name: "relay_lines_total",
  kind: "counter",
  help: "Lines taken.",
  labels: ["reason", "thread"],
};
const peers: MetricRow = { name: "peers", kind: "gauge", help: "Peers \\ now,\nconnected.", labels: [] };

test("families are grouped, with HELP and TYPE once, in the order of their first sample", () => {
  const text = renderMetrics([
    { row: lines, labels: { thread: "0", reason: "bad" }, value: 3 },
    { row: peers, labels: {}, value: 2 },
    { row: lines, labels: { thread: "1", reason: "bad" }, value: 0.5 },
  ]);
  assert.equal(
    text,
    [
      "# HELP relay_lines_total Lines taken.",
      "# TYPE relay_lines_total counter",
      'relay_lines_total{reason="bad",thread="0"} 3',
      'relay_lines_total{reason="bad",thread="1"} 0.5',
      "# HELP peers Peers \\\\ now,\\nconnected.",
      "# TYPE peers gauge",
      "peers 2",
      "",
    ].join("\n"),
  );
});

test("label values are escaped", () => {
  const row: MetricRow = { name: "a", kind: "gauge", help: "a", labels: ["path"] };
  const text = renderMetrics([{ row, labels: { path: 'a\\b"c\nd' }, value: 1 }]);
  assert.match(text, /^a\{path="a\\\\b\\"c\\nd"\} 1$/m);
});

test("values outside the finite numbers have the spelling that Prometheus reads", () => {
  const render = (value: number): string =>
    renderMetrics([{ row: peers, labels: {}, value }]).split("\n")[2] ?? "";
  assert.equal(render(Number.NaN), "peers NaN");
  assert.equal(render(Number.POSITIVE_INFINITY), "peers +Inf");
  assert.equal(render(Number.NEGATIVE_INFINITY), "peers -Inf");
  assert.equal(render(1e21), "peers 1e+21");
  assert.equal(render(2 ** 53), "peers 9007199254740992");
});

test("labels other than the row's are a broken invariant", () => {
  assert.throws(() => renderMetrics([{ row: peers, labels: { a: "b" }, value: 1 }]), /invariant/);
  assert.throws(() => renderMetrics([{ row: lines, labels: { reason: "bad" }, value: 1 }]), /invariant/);
  assert.throws(
    () => renderMetrics([{ row: lines, labels: { reason: "bad", thrad: "0" }, value: 1 }]),
    /invariant/,
  );
});

test("no sample, no text", () => {
  assert.equal(renderMetrics([]), "");
});

test("the process metrics are all there and plausible", () => {
  processSamples();
  const samples = processSamples();
  assert.deepEqual(
    samples.map(({ row }) => row),
    Object.values(PROCESS_METRICS),
  );
  const value = (row: MetricRow): number => samples.find((one) => one.row === row)?.value ?? Number.NaN;
  assert.ok(value(PROCESS_METRICS.cpuSeconds) > 0);
  assert.ok(value(PROCESS_METRICS.residentBytes) > 1e6);
  assert.ok(value(PROCESS_METRICS.startTime) > 1e9);
  assert.ok(value(PROCESS_METRICS.startTime) <= Date.now() / 1e3);
  assert.ok(value(PROCESS_METRICS.eventLoopLag) >= 0);
});
