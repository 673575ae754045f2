/** `npm run bench`: both daemons beside the least that their work can cost, on loopback. */
import { parseArgs } from "node:util";
import { EXIT_START, EXIT_USAGE } from "../shared/errors.ts";
import { CLUSTER_LOADS, measureCluster } from "./cluster.ts";
import { measureWire, WIRE_PART } from "./cluster-wire.ts";
import { endWithProcess } from "./end-with-process.ts";
import { FLUSH_LOADS, measureFlush } from "./flush.ts";
import { measureIdle } from "./idle.ts";
import { describePinning } from "./pinning.ts";
import { describeMachine, renderComparison } from "./report.ts";
import { IDLE_PART, PARTS, SCENARIOS } from "./scenario.ts";
import { findTools, type Tools } from "./tools.ts";

const USAGE = `usage: npm run bench -- [--runs N] [--seconds N] [--tools FOLDER] [PART]...
  --runs N        runs of each scenario, default 5
  --seconds N     length of each load, default 3
  --tools FOLDER  C sources of the tools: gso.c sink.c floor.c rfloor.c (also: STATSD_TOOLS)
  PART            what to measure, or how its name begins, such as relay-tcp; all without it:
                  ${PARTS.join(" ")}`;

interface Options {
  readonly runs: number;
  readonly seconds: number;
  readonly folder: string | undefined;
  isWanted(part: string): boolean;
}

function readOptions(): Options {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        runs: { type: "string", default: "5" },
        seconds: { type: "string", default: "3" },
        tools: { type: "string" },
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
    const stranger = positionals.find((word) => !PARTS.some((part) => part.startsWith(word)));
    if (stranger !== undefined) throw new Error(`no part is called ${stranger}`);
    const isWanted = (part: string): boolean =>
      positionals.length === 0 || positionals.some((word) => part.startsWith(word));
    return { runs, seconds, folder: values.tools, isWanted };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    process.exit(EXIT_USAGE);
  }
}

async function runAll(options: Options, tools: Tools): Promise<void> {
  const { runs, seconds } = options;
  console.log(`${describeMachine()}\n${describePinning()}`);
  console.log(`${runs} runs of ${seconds} s each: median (least..greatest)\n`);
  for (const { part, title, compare, load } of SCENARIOS) {
    if (!options.isWanted(part)) continue;
    process.stderr.write(`${title} `);
    const outcome = await compare(title, tools, { ...load, seconds }, runs, () => process.stderr.write("."));
    process.stderr.write("\n");
    console.log(
      typeof outcome === "string" ? `${title}\n  left out: it ${outcome}\n` : renderComparison(outcome),
    );
  }
  for (const load of FLUSH_LOADS) {
    if (!options.isWanted(load.part)) continue;
    console.log([load.title, ...(await measureFlush(tools, load, runs))].join("\n  ").concat("\n"));
  }
  for (const load of CLUSTER_LOADS) {
    if (!options.isWanted(load.part)) continue;
    console.log([load.title, ...(await measureCluster(tools, load, runs))].join("\n  ").concat("\n"));
  }
  if (options.isWanted(WIRE_PART)) {
    console.log(["snapshots between two nodes", ...(await measureWire(runs))].join("\n").concat("\n"));
  }
  if (!options.isWanted(IDLE_PART)) return;
  const { relayBytes, aggregatorBytes } = await measureIdle();
  const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
  console.log(`idle memory: statsrelay ${mib(relayBytes)}, bioyino ${mib(aggregatorBytes)}`);
}

const options = readOptions();
if (process.platform !== "linux") {
  console.error("the benchmarks read /proc, so they need Linux");
  process.exit(EXIT_START);
}
const tools = findTools(options.folder, (line) => console.log(line));
endWithProcess(() => tools.close());
await runAll(options, tools);
