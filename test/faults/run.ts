/** `npm run test:faults`: real faults done to a cluster of real processes, each on a machine of its own. */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { EXIT_START, EXIT_USAGE } from "../../shared/errors.ts";
import { seededRandom } from "../../shared/random.ts";
import {
  endWithOuterProcess,
  FaultNetwork,
  isInsideNetwork,
  networkFault,
  runInNetwork,
} from "../support/fault-network.ts";
import type { Check, Row } from "./check.ts";
import { CHECKS } from "./registry.ts";
import { describeRow, renderTable, writeReadme } from "./report.ts";

const IDS = CHECKS.flatMap(({ ids }) => ids);

const USAGE = `usage: npm run test:faults [-- OPTION...]
  --checks LIST      rows of the acceptance list, such as R1,R4; all without it:
                     ${IDS.join(" ")}
  --short            the short form: few checks, each once or twice
  --runs N           how often each fault is done
  --seed N           of phases and durations
  --logs FOLDER      keeps the logs of all nodes
  --previous FOLDER  dist of an older build, for the upgrade
  --write-readme     writes the table into README.md
  --json             one line of JSON for each row`;

/** Machines that checks use. */
const MACHINES = ["a", "b", "c", "w"];

interface Options {
  readonly ids: readonly string[];
  readonly isShort: boolean;
  readonly runs: number | undefined;
  readonly seed: number;
  readonly logs: string | undefined;
  readonly previous: string | undefined;
  readonly isForReadme: boolean;
  readonly isJson: boolean;
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        checks: { type: "string" },
        short: { type: "boolean", default: false },
        runs: { type: "string" },
        seed: { type: "string" },
        logs: { type: "string" },
        previous: { type: "string" },
        "write-readme": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const ids = values.checks === undefined ? IDS : values.checks.split(",");
    const stranger = ids.find((id) => !IDS.includes(id));
    if (stranger !== undefined) throw new Error(`no check is called ${stranger}`);
    const runs = values.runs === undefined ? undefined : Number(values.runs);
    if (runs !== undefined && !(Number.isInteger(runs) && runs >= 1 && runs <= 1000)) {
      throw new Error("--runs takes 1..1000");
    }
    const seed = Number(values.seed ?? Date.now() % 1_000_000);
    if (!Number.isInteger(seed)) throw new Error("--seed takes a whole number");
    return {
      ids,
      isShort: values.short,
      runs,
      seed,
      logs: values.logs,
      previous: values.previous,
      isForReadme: values["write-readme"],
      isJson: values.json,
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    process.exit(EXIT_USAGE);
  }
}

/** Does one check; one that breaks off gives red rows. */
async function runCheck(check: Check, network: FaultNetwork, options: Options): Promise<Row[]> {
  const { isShort, seed, logs, previous } = options;
  const runs = options.runs ?? (isShort ? check.shortRuns : check.runs);
  const random = seededRandom(seed);
  const name = check.ids.join("+");
  try {
    const folder = logs === undefined ? undefined : `${logs}/${name}`;
    return await check.run({ network, random, runs, isShort, logs: folder, previous });
  } catch (error) {
    const words = {
      title: "broken off",
      target: "",
      scale: "",
      figure: "",
      recoveryMs: undefined,
      leftOut: "",
    };
    const numbers = { sent: 0, lost: 0, duplicated: 0, late: 0, wrongInterval: 0, flushLagMs: 0, runs };
    const offences = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
    return check.ids.map((id) => ({ ...words, ...numbers, id, offences }));
  }
}

async function runAll(options: Options): Promise<number> {
  endWithOuterProcess();
  const network = await FaultNetwork.open(MACHINES);
  const rows: Row[] = [];
  for (const check of CHECKS) {
    if (!check.ids.some((id) => options.ids.includes(id))) continue;
    if (options.isShort && check.shortRuns === 0) continue;
    for (const row of await runCheck(check, network, options)) {
      rows.push(row);
      console.log(options.isJson ? JSON.stringify(row) : describeRow(row));
    }
  }
  if (!options.isJson) console.log(`\n${renderTable(rows, options.seed)}`);
  if (options.isForReadme) writeReadme(rows, options.seed);
  return rows.some(({ offences }) => offences.length > 0) ? 1 : 0;
}

const options = readOptions();
if (isInsideNetwork()) process.exit(await runAll(options));
const fault = networkFault();
if (fault !== undefined) {
  console.error(`faults cannot be made here: ${fault}`);
  process.exit(EXIT_START);
}
process.exit(await runInNetwork(fileURLToPath(import.meta.url), process.argv.slice(2)));
