/** The aggregator as a process: lines in over UDP, points out to a carbon of the test's own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { type Metrics, sendDatagrams, startAggregator, type TestDaemon } from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";

const kinds = (await chooseIo("auto")) === "mmsg" ? (["mmsg", "dgram"] as const) : (["dgram"] as const);

/** The identities that hold at any time. */
function assertConserved(metrics: Metrics): void {
  const received = metrics.sum("bioyino_lines_received_total");
  const accepted = metrics.sum("bioyino_lines_accepted_total");
  const dropped = metrics.sum("bioyino_lines_dropped_total");
  assert.equal(received, accepted + dropped, "received = accepted + dropped");
  assert.equal(metrics.sum("bioyino_conservation_error"), 0);
  const merged = metrics.sum("bioyino_samples_merged_total");
  const lost = metrics.sum("bioyino_samples_lost_total");
  assert.equal(
    metrics.sum("bioyino_samples_total"),
    merged + lost + metrics.sum("bioyino_samples_in_flight"),
    "samples = merged + lost + in flight",
  );
}

/** Waits until the aggregator has received so many lines and merged all that it accepted. */
function settled(aggregator: TestDaemon, lines: number): Promise<Metrics> {
  return aggregator.until(`${lines} lines`, (metrics) => {
    const isAllIn = metrics.sum("bioyino_lines_received_total") >= lines;
    return isAllIn && metrics.sum("bioyino_samples_in_flight") === 0;
  });
}

function carbonConfig(port: number): Record<string, string> {
  return { carbon: `address[] = 127.0.0.1:${port}`, aggregator: "sinks[] = carbon" };
}

/** Latest value of each name among carbon lines. */
function points(lines: readonly string[]): Map<string, number> {
  return new Map(lines.map((line) => line.split(" ")).map(([name, value]) => [name!, Number(value)]));
}

for (const io of kinds) {
  test(`${io}: every type arrives at carbon with exact numbers`, async () => {
    const carbon = await FakeCarbon.start();
    const aggregator = await startAggregator(io, carbonConfig(carbon.port));
    const lines = [
      "hits:1|c|@0.1",
      "level:7.5|g",
      "lat:10|ms",
      "lat:30|h",
      "who:ann|s",
      "who:bob|s",
      "who:ann|s",
    ];
    await sendDatagrams(aggregator.ports[0]!, [
      lines.join("\n"),
      "lat;b=2;a=1:5|ms|@0.5\r\n",
      "hits:2.5|c\n",
    ]);
    assertConserved(await settled(aggregator, 9));
    assert.equal((await aggregator.stop()).code, 0);
    const got = carbon.lines();
    const byName = new Map<string, number>();
    for (const line of got) {
      const [name, value] = line.split(" ");
      // The lines may have fallen on two sides of an interval's end; sums are the same all the same.
      if (name === "hits" || name === "lat.count") byName.set(name, (byName.get(name) ?? 0) + Number(value));
    }
    assert.equal(byName.get("hits"), 12.5);
    assert.equal(byName.get("lat.count"), 2);
    const values = points(got);
    assert.equal(values.get("level"), 7.5);
    assert.equal(values.get("lat;a=1;aggregate=count;b=2"), 2);
    assert.equal(values.get("lat;a=1;aggregate=percentile.99;b=2"), 5);
    assert.ok(values.has("who.count"));
    for (const line of got) assert.match(line, /^[^\s]+ -?[\d.e+-]+ \d+$/);
    await carbon.stop();
  });

  test(`${io}: gauges keep their level from one interval to the next`, async () => {
    const carbon = await FakeCarbon.start();
    const aggregator = await startAggregator(io, carbonConfig(carbon.port));
    await sendDatagrams(aggregator.ports[0]!, ["pool:10|g"]);
    await carbon.until((fake) => fake.lines().some((line) => line.startsWith("pool 10 ")));
    await sendDatagrams(aggregator.ports[0]!, ["pool:+5|g\npool:-2|g"]);
    await carbon.until((fake) => fake.lines().some((line) => line.startsWith("pool 13 ")));
    await sendDatagrams(aggregator.ports[0]!, ["fresh:-4|g"]);
    await carbon.until((fake) => fake.lines().some((line) => line.startsWith("fresh -4 ")));
    assertConserved(await settled(aggregator, 4));
    await aggregator.stop();
    await carbon.stop();
  });

  test(`${io}: bad input is counted under its reason and disturbs nothing`, async () => {
    const aggregator = await startAggregator(io);
    const cases: readonly (readonly [string, string | Buffer])[] = [
      ["empty_name", ":1|c"],
      ["empty_name", ";k=v:1|c"],
      ["no_value", "half.a.line"],
      ["no_value", Buffer.alloc(3000, 0x41)],
      ["no_type", "a:1"],
      ["bad_value", "a:|c"],
      ["bad_value", "a:1:x|c"],
      ["bad_value", "a:::|c"],
      ["bad_value", "a:0x10|c"],
      ["bad_value", "a: 1|c"],
      ["not_finite", "a:NaN|c"],
      ["not_finite", "a:-Inf|ms"],
      ["not_finite", "a:infinity|g"],
      ["not_finite", "a:1e999|ms"],
      ["not_finite", "a:1e300|c|@1e-300"],
      ["no_type", "a:1|"],
      ["bad_type", "a:1|x"],
      ["bad_type", "a:1|cc"],
      ["bad_rate", "a:1|c|@0"],
      ["bad_rate", "a:1|c|@-1"],
      ["bad_rate", "a:1|c|@nan"],
      ["bad_rate", "a:1|c|@1.01"],
      ["bad_rate", "a:1|c|@"],
      ["repeated_section", "a:1|c|@0.5|@0.5"],
      ["repeated_section", "a:1|c|#a:b|#c:d"],
      ["bad_timestamp", "a:1|c|T0"],
      ["too_late", "a:1|c|@0.5|T1"],
      ["bad_event", "_e{9,9}:a|b"],
      ["bad_check", "_sc|a|x"],
      ["bad_utf8", Buffer.from([0x61, 0xff, 0x3a, 0x31, 0x7c, 0x63])],
      ["bad_utf8", Buffer.from([0x61, 0xc0, 0x80, 0x3a, 0x31, 0x7c, 0x63])],
      ["control_character", "a\0b:1|c"],
      ["control_character", "a\u001b[31m:1|c"],
      ["control_character", "a\rb:1|c"],
      ["name_too_long", `${"n".repeat(513)}:1|c`],
      ["tags_too_long", `a;${"t".repeat(9001)}:1|c`],
      ["tags_too_long", `a${";t=1;s=2".repeat(129)}:1|c`],
      ["bad_tags", "a;:1|c"],
      ["member_too_long", `a:${"m".repeat(1025)}|s`],
    ];
    const good = [
      "__proto__:1|c",
      "constructor:1|c",
      "toString:3|ms",
      "hasOwnProperty;__proto__=1:1|g",
      "ok:1|c\r\n",
      "packed:1:2:3|ms|#a:b|zz",
      "segments:1|c:2|g",
    ];
    const quiet = ["", "\n", "\n\n\r\n", Buffer.alloc(0)];
    await sendDatagrams(aggregator.ports[0]!, [...cases.map(([, input]) => input), ...quiet, ...good]);
    const metrics = await settled(aggregator, cases.length + good.length);
    const expected = new Map<string, number>();
    for (const [reason] of cases) expected.set(reason, (expected.get(reason) ?? 0) + 1);
    for (const [reason, count] of expected) {
      assert.equal(metrics.sum("bioyino_lines_dropped_total", `reason="${reason}"`), count, reason);
    }
    assert.equal(metrics.sum("bioyino_lines_accepted_total"), good.length);
    assert.equal(metrics.sum("bioyino_lines_received_total"), cases.length + good.length);
    assertConserved(metrics);
    assert.equal((await aggregator.stop()).code, 0);
  });

  test(`${io}: a datagram of the greatest size is read whole`, async () => {
    const aggregator = await startAggregator(io);
    const lines = Array.from({ length: 4000 }, (_, index) => `big.${index}:1|c`);
    await sendDatagrams(aggregator.ports[0]!, [lines.join("\n")]);
    const metrics = await settled(aggregator, lines.length);
    assert.equal(metrics.sum("bioyino_lines_accepted_total"), lines.length);
    assertConserved(metrics);
    await aggregator.stop();
  });

  test(`${io}: SIGTERM flushes what was received`, async () => {
    const carbon = await FakeCarbon.start();
    const config = { ...carbonConfig(carbon.port), aggregator: "sinks[] = carbon\ninterval = 1h" };
    const aggregator = await startAggregator(io, config);
    const datagrams = Array.from({ length: 2000 }, (_, index) => `last:1|c\nlast.${index % 10}:2|ms`);
    await sendDatagrams(aggregator.ports[0]!, datagrams);
    assert.deepEqual(await aggregator.stop(), { code: 0, signal: null });
    assert.equal(points(carbon.lines()).get("last"), 2000);
    assert.equal(points(carbon.lines()).get("last.3.count"), 200);
    const [report] = aggregator.events("interval.flushed");
    assert.equal(report?.partial, true);
    await carbon.stop();
  });

  test(`${io}: own metrics take everybody's path`, async () => {
    const carbon = await FakeCarbon.start();
    const config = {
      ...carbonConfig(carbon.port),
      aggregator: "sinks[] = carbon\nstats-interval = 100ms\nstats-prefix = own.bio",
    };
    const aggregator = await startAggregator(io, config);
    await sendDatagrams(aggregator.ports[0]!, ["a:1|c\nb:x|c"]);
    await carbon.until((fake) => fake.lines().some((line) => line.startsWith("own.bio.ingress-metric 1 ")));
    await carbon.until((fake) => fake.lines().some((line) => line.startsWith("own.bio.parse-error 1 ")));
    const stats = (await (await aggregator.get("/stats?format=json")).json()) as {
      metrics: Record<string, number>;
    };
    assert.ok("ingress-metric" in stats.metrics);
    assert.match(await (await aggregator.get("/stats")).text(), /^ingress [\d.]+ \d+$/m);
    const status = (await (await aggregator.get("/status")).json()) as Record<string, unknown>;
    assert.equal(status["leader-status"], true);
    assert.equal(status["consensus-status"], "disabled");
    assert.equal((await aggregator.get("/readyz")).status, 200);
    assert.equal((await aggregator.get("/healthz")).status, 200);
    await aggregator.stop();
    await carbon.stop();
  });
}

test("several intake threads share a port and agree", {
  skip: kinds.length === 1 && "no mmsg here",
}, async () => {
  const carbon = await FakeCarbon.start();
  const aggregator = await startAggregator("mmsg", {
    ...carbonConfig(carbon.port),
    aggregator: "sinks[] = carbon\nthreads = 3\ninterval = 1h",
  });
  // A new port for each sender, so that the system spreads them over the threads.
  for (let sender = 0; sender < 30; sender++) {
    await sendDatagrams(
      aggregator.ports[0]!,
      Array.from({ length: 20 }, () => "shared:1|c\nt:1|ms\ns:m|s"),
    );
  }
  const metrics = await settled(aggregator, 1800);
  for (const thread of [0, 1, 2]) assert.ok(metrics.sum("bioyino_lines_received_total", `#${thread}"`) > 0);
  assertConserved(metrics);
  await aggregator.stop();
  const values = points(carbon.lines());
  assert.equal(values.get("shared"), 600);
  assert.equal(values.get("t.count"), 600);
  assert.equal(values.get("s.count"), 1);
  await carbon.stop();
});
