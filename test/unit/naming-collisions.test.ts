/** Outputs that could share a name are refused before anything is opened. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Namer } from "../../aggregator/naming.ts";
import { parseConfig } from "../../shared/config.ts";
import { EXIT_CONFIG, OperatorError } from "../../shared/errors.ts";
import { binAggregate } from "../../shared/metric.ts";

function refusal(text: string): string {
  try {
    parseConfig(text, "suite.ini");
  } catch (error) {
    assert.ok(error instanceof OperatorError);
    assert.equal(error.exitCode, EXIT_CONFIG);
    return error.message;
  }
  return "";
}

/** Configurations, and what their refusal says. */
const REFUSED: readonly (readonly [text: string, said: RegExp])[] = [
  [
    "[naming.default]\npostfixes = updates=",
    /line 2: .*counter value and counter updates would both be written as NAME; give one of them another/,
  ],
  [
    "[naming.timer]\npostfixes = max=min",
    /line 2: .*timer min and timer max would both be written as NAME\.min;/,
  ],
  [
    "[naming.timer]\ntag-values = max=min",
    /line 2: .*timer min and timer max would both be written as NAME;aggregate=min;TAG;/,
  ],
  [
    "[naming.gauge]\ndestination = tag\ntag-values = updates=",
    /line [23]: .*gauge value and gauge updates would both be written as NAME;/,
  ],
  [
    "[naming.gauge]\npostfixes = value=sum",
    /line 2: .*gauge value and timer sum would both be written as NAME\.sum;/,
  ],
  [
    "[naming.counter]\nprefix = p.\n[naming.set]\nprefix = p\npostfixes = count=updates updates=x",
    /counter updates and set count would both be written as p\.NAME\.updates;/,
  ],
  [
    "[aggregation]\nnaming = veneur\ntimer = count rate",
    /line 3: .*timer count and timer rate would both be written as NAME\.count;/,
  ],
  [
    "[aggregation]\nnaming = veneur\ntimer = percentile-99 percentile-990",
    /line 3: .*would both be written as NAME\.99percentile;/,
  ],
  [
    "[aggregation]\nnaming = prometheus\n[naming.timer]\npostfixes = max=a-b min=a.b",
    /line 4: .*timer min and timer max would both be written as NAME_a_b;/,
  ],
];

for (const [text, said] of REFUSED) {
  test(`refused: ${text.replaceAll("\n", " ")}`, () => assert.match(refusal(text), said));
}

/** Configurations that share no name, or only where one name comes with several types. */
const FINE: readonly string[] = [
  "",
  "[naming.default]\npostfixes = updates=\nprefix-overrides = updates=dbg",
  "[naming.default]\ndestination = tag",
  "[naming.default]\ndestination = both",
  "[naming.gauge]\npostfixes = value=sum\nprefix = g",
  "[aggregation]\ntimer = none\n[naming.gauge]\npostfixes = value=sum",
  "[naming.timer]\nsuffix = t",
  ...["etsy", "etsy-legacy", "veneur", "prometheus"].map((preset) => `[aggregation]\nnaming = ${preset}`),
];

for (const text of FINE) {
  test(`fine: ${text.replaceAll("\n", " ") || "the defaults"}`, () => assert.equal(refusal(text), ""));
}

test("all collisions are reported, and none of lists that cannot be read", () => {
  const report = refusal("[naming.default]\npostfixes = updates= max=min");
  assert.equal(report.match(/would both/g)?.length, 3);
  assert.doesNotMatch(refusal("[aggregation]\nnaming = veneur\ntimer = count rate oops"), /would both/);
});

test("bins of different histograms may be the same", () => {
  const { naming, aggregation } = parseConfig("", "suite.ini");
  const bins = [50, Number.POSITIVE_INFINITY].map(binAggregate);
  const { counter, gauge, set, timer } = aggregation;
  assert.ok(new Namer(naming, { counter, gauge, set, timer: [...timer, ...bins, ...bins] }));
});

test("a namer refuses what no check has seen", () => {
  const { naming, aggregation } = parseConfig("", "suite.ini");
  const timer = { ...naming.timer, postfixes: [{ aggregate: "max", text: "min" }] };
  assert.throws(() => new Namer({ ...naming, timer }, aggregation), {
    name: "OperatorError",
    message: /timer min and timer max would both be written as NAME\.min/,
  });
});
