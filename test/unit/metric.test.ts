/** Names of aggregates: what they mean, and what they are called in output names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AGGREGATE_FORMS,
  AGGREGATES,
  binAggregate,
  DEFAULT_AGGREGATES,
  parseAggregate,
} from "../../shared/metric.ts";

test("percentile numbers are fractions behind the point", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["5", 0.5],
    ["25", 0.25],
    ["999", 0.999],
    ["0", 0],
    ["10", 0.1],
    ["100", 1],
    ["1000", 1],
    ["99.9", 0.999],
    ["99.95", 0.9995],
    ["50", 0.5],
    ["1", 0.1],
    ["250.5", 1],
  ];
  for (const [number, fraction] of cases) {
    assert.equal(parseAggregate(`percentile-${number}`)?.fraction, fraction, number);
  }
});

test("thresholds are percents, and are called as etsy calls them", () => {
  const cases: readonly (readonly [name: string, kind: string, fraction: number, label: string])[] = [
    ["upper-p90", "upper-p", 0.9, "upper_90"],
    ["mean-p99.9", "mean-p", 99.9 / 100, "mean_99_9"],
    ["count-p100", "count-p", 1, "count_100"],
    ["sum-p0.5", "sum-p", 0.005, "sum_0_5"],
    ["sum-squares-p95", "sum-squares-p", 0.95, "sum_squares_95"],
    ["lower-top10", "lower-top", 0.1, "lower_top10"],
    ["count-top0.1", "count-top", 0.001, "count_top0_1"],
    // As JavaScript writes a millionth of a hundredth.
    ["upper-p1e-8", "upper-p", 1e-10, "upper_1e-8"],
    ["SUM-SQUARES-TOP5", "sum-squares-top", 0.05, "sum_squares_top5"],
  ];
  for (const [name, kind, fraction, label] of cases) {
    assert.deepEqual(parseAggregate(name), { kind, fraction, name: name.toLowerCase(), label });
  }
});

test("plain aggregates have their names for labels, with underscores; the value has none", () => {
  const labels = ["value", "std", "sum-squares", "sample-rate", "hmean", "SUM"].map(
    (name) => parseAggregate(name)?.label,
  );
  assert.deepEqual(labels, ["", "std", "sum_squares", "sample_rate", "hmean", "sum"]);
});

test("a bin is called by its upper bound", () => {
  const labels = [50, 0.5, 1e21, -3, Number.POSITIVE_INFINITY].map((bound) => binAggregate(bound).label);
  assert.deepEqual(
    labels,
    ["50", "0_5", "1e_21", "-3", "inf"].map((bound) => `histogram.bin_${bound}`),
  );
});

test("what is no aggregate is refused", () => {
  const names = ["", "p99", "percentile", "percentile-", "percentile-x", "percentile-1.", "upper-p"];
  const outside = ["upper-p0", "upper-p100.1", "upper-p-5", "lower-p90", "upper-top10", "bin", "bin-50"];
  for (const name of [...names, ...outside, "count-p9e1", "sum_squares", "sum-p1-p2", "toString"]) {
    assert.equal(parseAggregate(name), undefined, name);
  }
});

test("every form that is offered can be written, and every default is one", () => {
  assert.equal(AGGREGATE_FORMS.length, AGGREGATES.length - 1);
  for (const form of AGGREGATE_FORMS) assert.ok(parseAggregate(form.replace("N", "75")), form);
  for (const name of Object.values(DEFAULT_AGGREGATES).flat()) assert.ok(parseAggregate(name), name);
});
