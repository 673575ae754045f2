// Timers of very many samples: every order statistic is the one that a sort gives, to the last bit.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { seededRandom } from "../../shared/random.ts";
import { chooseIo } from "../../shared/udp.ts";
import { startAggregator } from "../support/daemons.ts";
import { RowFile } from "../support/row-file.ts";

const SAMPLES = 1_000_000;
const SAMPLED = 100_000;
/** As they are configured, and the share of 1 that they mean. */
const PERCENTILES: Readonly<Record<string, number>> = {
  "01": 0.01,
  "0.1": 0.001,
  "10": 0.1,
  "50": 0.5,
  "75": 0.75,
  "90": 0.9,
  "95": 0.95,
  "99": 0.99,
  "999": 0.999,
  "99.99": 0.9999,
  "100": 1,
};
const random = seededRandom(12);

/** Durations as they are: many small ones, a long tail; some are alike, and some are negative. */
function samplesOf(count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, index) => {
    if (index % 10 === 0) return Math.round(random.between(-5, 50));
    return Math.exp(random.between(-6, 12));
  });
}

/** Lines of a timer, every second one packed with further values as DogStatsD clients do. */
function* linesOf(name: string, samples: Float64Array, rate: string): Generator<string> {
  const suffix = rate === "1" ? "" : `|@${rate}`;
  for (let start = 0; start < samples.length; start += 21) {
    yield `${name}:${samples[start]}|ms${suffix}\n`;
    const packed = samples.subarray(start + 1, start + 21);
    if (packed.length > 0) yield `${name}:${packed.join(":")}|h${suffix}\n`;
  }
}

/** Sends lines over one stream; resolves when the system has them all. */
async function stream(port: number, lines: Iterable<string>): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  let chunk = "";
  for (const line of lines) {
    chunk += line;
    if (chunk.length < 1 << 16) continue;
    if (!socket.write(chunk)) await once(socket, "drain");
    chunk = "";
  }
  socket.end(chunk);
  await once(socket, "close");
}

/** Linear between neighbours: type 7 of Hyndman and Fan. sorted: in rising order. */
function percentile(sorted: Float64Array, fraction: number): number {
  const position = fraction * (sorted.length - 1);
  const [below, above] = [Math.floor(position), Math.ceil(position)];
  if (below === above) return sorted[below]!;
  return sorted[below]! * (above - position) + sorted[above]! * (position - below);
}

/** What a timer must come to, by its postfix. weight: what each sample stands for. */
function expectedOf(samples: Float64Array, weight: number): [string, number][] {
  const sorted = samples.toSorted();
  const sum = sorted.reduce((total, value) => total + value * weight, 0);
  return [
    ["count", samples.length * weight],
    ["updates", samples.length],
    ["last", samples.at(-1)!],
    ["min", sorted[0]!],
    ["max", sorted.at(-1)!],
    ["sum", sum],
    ["mean", sum / (samples.length * weight)],
    ...Object.entries(PERCENTILES).map(([name, fraction]): [string, number] => [
      `percentile.${name}`,
      percentile(sorted, fraction),
    ]),
  ];
}

test("a million samples of one timer in an interval, and as many as 100,000 with a rate", async () => {
  const file = new RowFile();
  const percentiles = Object.keys(PERCENTILES)
    .map((name) => `percentile-${name}`)
    .join(" ");
  const aggregator = await startAggregator(await chooseIo("auto"), {
    aggregator: "interval = 1h\nsinks[] = file\nlisten[] = tcp://127.0.0.1:0\nlisten[] = tcp://127.0.0.1:0",
    aggregation: `timer = count updates last min max sum mean ${percentiles}`,
    file: file.config,
  });
  const [whole, sampled] = [samplesOf(SAMPLES), samplesOf(SAMPLED)];
  await Promise.all([
    stream(aggregator.ports[0]!, linesOf("big.lat", whole, "1")),
    stream(aggregator.ports[1]!, linesOf("big.sampled", sampled, "0.25")),
  ]);
  const metrics = await aggregator.until("all samples", (now) => {
    return now.sum("bioyino_samples_merged_total") === SAMPLES + SAMPLED;
  });
  assert.equal(metrics.sum("bioyino_lines_dropped_total"), 0);
  assert.equal(metrics.sum("bioyino_samples_lost_total"), 0);
  assert.equal((await aggregator.stop()).code, 0);
  const rows = new Map(file.rows().map(({ name, value }) => [name, value]));
  const wrong: string[] = [];
  for (const [name, samples, weight] of [
    ["big.lat", whole, 1],
    ["big.sampled", sampled, 4],
  ] as const) {
    for (const [aggregate, value] of expectedOf(samples, weight)) {
      const found = rows.get(`${name}.${aggregate}`);
      if (!Object.is(found, value)) wrong.push(`${name}.${aggregate}: ${found}, not ${value}`);
    }
  }
  assert.deepEqual(wrong, [], [...rows.keys()].join(" "));
  file.remove();
});
