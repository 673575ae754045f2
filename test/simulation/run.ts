/**
 * `npm run sim -- --seeds A..B`: histories of a range of seeds on all cores. Ends with 1 where one is wrong.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { EXIT_USAGE } from "../../shared/errors.ts";
import { liveAll } from "./crew.ts";
import { History } from "./history.ts";
import { render } from "./report.ts";
import { SCENARIOS } from "./swarm.ts";

const USAGE = `usage: npm run sim -- [--seeds A..B] [--scenario NAME] [--threads N] [--seconds N] [--trace]
  --seeds A..B     histories to live through, default 1..1000
  --scenario NAME  one kind of fault only:
                   ${Object.keys(SCENARIOS).join(" ")}
  --threads N      default: one a core
  --seconds N      begins no more histories after this
  --trace          tells what happens in the first of them, and lives through no other`;

interface Options {
  readonly first: number;
  readonly last: number;
  readonly scenario: string | undefined;
  readonly threads: number;
  readonly seconds: number;
  readonly isTraced: boolean;
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: "string", default: "1..1000" },
        scenario: { type: "string" },
        threads: { type: "string", default: String(availableParallelism()) },
        seconds: { type: "string", default: "86400" },
        trace: { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) {
      console.log(USAGE);
      process.exit(0);
    }
    const [first = Number.NaN, last = first] = values.seeds.split("..").map(Number);
    const [threads, seconds] = [Number(values.threads), Number(values.seconds)];
    const { scenario, trace: isTraced } = values;
    if (!(Number.isSafeInteger(first) && Number.isSafeInteger(last) && first <= last)) {
      throw new Error("--seeds takes A..B");
    }
    if (!(Number.isInteger(threads) && threads >= 1 && threads <= 256)) {
      throw new Error("--threads takes 1..256");
    }
    if (!(seconds > 0)) throw new Error("--seconds takes a number above 0");
    if (scenario !== undefined && !Object.hasOwn(SCENARIOS, scenario)) {
      throw new Error(`no scenario is called ${scenario}`);
    }
    return { first, last, scenario, threads, seconds, isTraced };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    process.exit(EXIT_USAGE);
  }
}

function trace(seed: number, scenario: string | undefined): void {
  const onTrace = (line: string): void => console.log(line);
  const history = new History(seed, { onTrace, ...(scenario !== undefined && { scenario }) });
  try {
    history.run();
  } finally {
    for (const violation of history.ledger.violations) console.log(`VIOLATION ${violation}`);
  }
  process.exitCode = history.ledger.violations.length > 0 ? 1 : 0;
}

const { first, last, scenario, threads, seconds, isTraced } = readOptions();
if (isTraced) {
  trace(first, scenario);
} else {
  const beganMs = Date.now();
  const endMs = beganMs + seconds * 1000;
  const outcome = await liveAll({ first, last, step: 1, scenario, endMs, failuresMax: 10 }, threads);
  console.log(render(outcome, (Date.now() - beganMs) / 1000, threads, scenario));
  process.exitCode = outcome.failures.length > 0 ? 1 : 0;
}
