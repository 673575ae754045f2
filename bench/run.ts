/** `npm run bench`: both daemons beside the least that their work can cost, on loopback. */
import { parseArgs } from "node:util";
import { EXIT_START, EXIT_USAGE } from "../shared/errors.ts";
import { compareAggregator } from "./aggregator.ts";
import { measureEtsy } from "./etsy.ts";
import { measureIdle } from "./idle.ts";
import type { Comparison, Load } from "./measure.ts";
import { describePinning } from "./pinning.ts";
import { compareRelay } from "./relay.ts";
import { describeMachine, renderComparison } from "./report.ts";
import { findTools, type Tools } from "./tools.ts";

const USAGE = `usage: npm run bench -- [--runs N] [--seconds N] [--only WORD]... [FOLDER]
  --runs N      runs of each scenario, default 5
  --seconds N   length of each load, default 3
  --only WORD   scenarios whose title contains the word, such as relay, aggregator, etsy, idle
  FOLDER        C sources of the tools: gso.c sink.c floor.c rfloor.c (also: STATSD_TOOLS)`;

type Compare = (
  title: string,
  tools: Tools,
  load: Load,
  runs: number,
  tick: () => void,
) => Promise<Comparison | string>;

interface Scenario {
  readonly title: string;
  readonly compare: Compare;
  readonly load: Omit<Load, "seconds">;
}

const SERIES = 10_000;
const SCENARIOS: readonly Scenario[] = [
  {
    title: "relay, 400 k datagrams/s x 1 metric, 4 destinations",
    compare: compareRelay,
    load: { packetsPerSecond: 400_000, metricsPerPacket: 1, series: SERIES },
  },
  {
    title: "relay, 60 k datagrams/s x 25 metrics, 4 destinations",
    compare: compareRelay,
    load: { packetsPerSecond: 60_000, metricsPerPacket: 25, series: SERIES },
  },
  {
    title: "aggregator, 400 k datagrams/s x 1 metric, 10 k series",
    compare: compareAggregator,
    load: { packetsPerSecond: 400_000, metricsPerPacket: 1, series: SERIES },
  },
  {
    title: "aggregator, 60 k datagrams/s x 25 metrics, 10 k series",
    compare: compareAggregator,
    load: { packetsPerSecond: 60_000, metricsPerPacket: 25, series: SERIES },
  },
  {
    title: "etsy statsd, 20 k datagrams/s x 1 metric, 10 k series",
    compare: measureEtsy,
    load: { packetsPerSecond: 20_000, metricsPerPacket: 1, series: SERIES },
  },
  {
    title: "etsy statsd, 4 k datagrams/s x 25 metrics, 10 k series",
    compare: measureEtsy,
    load: { packetsPerSecond: 4_000, metricsPerPacket: 25, series: SERIES },
  },
];
const IDLE_TITLE = "idle memory";

interface Options {
  readonly runs: number;
  readonly seconds: number;
  readonly folder: string | undefined;
  isWanted(title: string): boolean;
}

function readOptions(): Options {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        runs: { type: "string", default: "5" },
        seconds: { type: "string", default: "3" },
        only: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) {
      console.log(USAGE);
      process.exit(0);
    }
    const runs = Number(values.runs);
    const seconds = Number(values.seconds);
    if (!(Number.isInteger(runs) && runs >= 1 && runs <= 100)) throw new Error("--runs takes 1..100");
    if (!(seconds >= 0.5 && seconds <= 60)) throw new Error("--seconds takes 0.5..60");
    const isWanted = (title: string): boolean =>
      values.only.length === 0 || values.only.some((word) => title.includes(word));
    return { runs, seconds, folder: positionals[0], isWanted };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    process.exit(EXIT_USAGE);
  }
}

async function runAll(options: Options, tools: Tools): Promise<void> {
  const { runs, seconds } = options;
  console.log(`${describeMachine()}\n${describePinning()}`);
  console.log(`${runs} runs of ${seconds} s each: median (least..greatest)\n`);
  for (const { title, compare, load } of SCENARIOS) {
    if (!options.isWanted(title)) continue;
    process.stderr.write(`${title} `);
    const outcome = await compare(title, tools, { ...load, seconds }, runs, () => process.stderr.write("."));
    process.stderr.write("\n");
    console.log(
      typeof outcome === "string" ? `${title}\n  left out: it ${outcome}\n` : renderComparison(outcome),
    );
  }
  if (!options.isWanted(IDLE_TITLE)) return;
  const { relayBytes, aggregatorBytes } = await measureIdle();
  const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
  console.log(`${IDLE_TITLE}: statsrelay ${mib(relayBytes)}, bioyino ${mib(aggregatorBytes)}`);
}

const options = readOptions();
if (process.platform !== "linux") {
  console.error("the benchmarks read /proc, so they need Linux");
  process.exit(EXIT_START);
}
const tools = findTools(options.folder, (line) => console.log(line));
try {
  await runAll(options, tools);
} finally {
  tools.close();
}
