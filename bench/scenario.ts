/** What can be measured, by part: `npm run bench -- relay-tcp` runs the parts whose names begin so. */
import { compareAggregator } from "./aggregator.ts";
import { CLUSTER_LOADS } from "./cluster.ts";
import { WIRE_PART } from "./cluster-wire.ts";
import { measureEtsy } from "./etsy.ts";
import { FLUSH_LOADS } from "./flush.ts";
import type { Comparison, Load } from "./measure.ts";
import { compareRelay, type RelayShape } from "./relay.ts";
import { compareFeatures } from "./relay-features.ts";
import type { Tools } from "./tools.ts";

/** Measures. Returns a reason instead of figures where it cannot. tick: called after each run. */
type Compare = (
  title: string,
  tools: Tools,
  load: Load,
  runs: number,
  tick: () => void,
) => Promise<Comparison | string>;

/** One table of the report. */
export interface Scenario {
  readonly part: string;
  readonly title: string;
  readonly compare: Compare;
  readonly load: Omit<Load, "seconds">;
}

/** Measured by itself, as it is no load. */
export const IDLE_PART = "idle";

const SERIES = 10_000;

function scenario(
  part: string,
  title: string,
  compare: Compare,
  packetsPerSecond: number,
  metricsPerPacket: number,
  series = SERIES,
): Scenario {
  const unit = metricsPerPacket === 1 ? "metric" : "metrics";
  const rate = `${packetsPerSecond / 1e3} k datagrams/s x ${metricsPerPacket} ${unit}`;
  const load = { packetsPerSecond, metricsPerPacket, series };
  return { part, title: title.replace("LOAD", rate), compare, load };
}

function relay(part: string, way: string, shape: RelayShape, rate: number, metrics: number): Scenario {
  const title = `relay${way}, LOAD, ${shape.destinations} destinations`;
  return scenario(part, title, compareRelay(shape), rate, metrics);
}

const UDP = { input: "udp", output: "udp" } as const;
const TCP_IN = { input: "tcp", output: "udp", destinations: 4 } as const;
const TCP_OUT = { input: "udp", output: "tcp", destinations: 4 } as const;
const FOUR = { ...UDP, destinations: 4 };
const SIXTEEN = { ...UDP, destinations: 16 };
const MANY = { ...UDP, destinations: 64 };

/** All of them, in the order of the report. */
export const SCENARIOS: readonly Scenario[] = [
  relay("relay-4", "", FOUR, 400_000, 1),
  relay("relay-4", "", FOUR, 60_000, 25),
  relay("relay-16", "", SIXTEEN, 400_000, 1),
  relay("relay-16", "", SIXTEEN, 60_000, 25),
  relay("relay-64", "", MANY, 400_000, 1),
  relay("relay-64", "", MANY, 60_000, 25),
  relay("relay-tcp-in", " TCP to UDP", TCP_IN, 40_000, 25),
  relay("relay-tcp-out", " UDP to TCP", TCP_OUT, 400_000, 1),
  relay("relay-tcp-out", " UDP to TCP", TCP_OUT, 40_000, 25),
  scenario("relay-features", "relay features, LOAD, 4 destinations", compareFeatures, 40_000, 25),
  scenario("aggregator", "aggregator, LOAD, 10 k series", compareAggregator, 400_000, 1),
  scenario("aggregator", "aggregator, LOAD, 10 k series", compareAggregator, 60_000, 25),
  scenario("series-100k", "aggregator, LOAD, 100 k series", compareAggregator, 40_000, 25, 100_000),
  scenario("series-1m", "aggregator, LOAD, 1 M series", compareAggregator, 20_000, 25, 1_000_000),
  scenario("etsy", "etsy statsd, LOAD, 10 k series", measureEtsy, 20_000, 1),
  scenario("etsy", "etsy statsd, LOAD, 10 k series", measureEtsy, 4_000, 25),
];

/** Names of all parts, each once. */
export const PARTS: readonly string[] = [
  ...new Set([
    ...SCENARIOS.map(({ part }) => part),
    ...FLUSH_LOADS.map(({ part }) => part),
    ...CLUSTER_LOADS.map(({ part }) => part),
    WIRE_PART,
    IDLE_PART,
  ]),
];
