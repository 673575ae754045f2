/** One history of a cluster, from a seed. */
import type { WorldLog } from "../../cluster/world.ts";
import { Agent } from "./agent.ts";
import { Carbon } from "./carbon.ts";
import { Dice } from "./dice.ts";
import { Faults } from "./faults.ts";
import { Inspector } from "./inspector.ts";
import { Ledger } from "./ledger.ts";
import { Machine } from "./machine.ts";
import { Network } from "./network.ts";
import { Schedule } from "./schedule.ts";
import { newStats } from "./stats.ts";
import { drawSwarm, type Swarm, scenarioSwarm } from "./swarm.ts";
import { Verdict } from "./verdict.ts";

const FAULTS_MS = 75_000;
/** Sources go on for so long after faults have ended. */
const GOOD_MS = 12_000;
/** Until everything is delivered, and written once more where it was amended. */
const QUIET_MS = 28_000;
/** Clocks that ran ahead label so far ahead. */
const AHEAD_MS = 22_000;
const THIN_MS = 25_000;

export interface HistoryOptions {
  readonly scenario?: string;
  /** Gets a line for all that matters. */
  readonly onTrace?: (line: string) => void;
}

export class History {
  readonly epochMs = 1_700_000_000_000;
  readonly seed: number;
  readonly dice: Dice;
  readonly swarm: Swarm;
  readonly schedule = new Schedule();
  readonly stats = newStats();
  readonly ledger = new Ledger(this.schedule);
  readonly sinks: readonly Carbon[];
  readonly machines: Machine[] = [];
  readonly agents: readonly Agent[];
  readonly network: Network;
  readonly faults: Faults;
  readonly inspector: Inspector;
  readonly verdict: Verdict;
  readonly faultsEndMs = FAULTS_MS;
  /** Whether sources are silent, so that everything can come to its end. */
  isDraining = false;
  readonly #onTrace: ((line: string) => void) | undefined;

  constructor(seed: number, options: HistoryOptions = {}) {
    this.seed = seed;
    this.dice = new Dice(seed);
    this.#onTrace = options.onTrace;
    const { scenario } = options;
    this.swarm = scenario === undefined ? drawSwarm(this.dice) : scenarioSwarm(scenario);
    const { dataNodes, hasWitness, agents } = this.swarm;
    this.sinks = ["s0", "s1"].map((name) => new Carbon(name, this.schedule, this.dice, this.swarm));
    this.network = new Network(this, dataNodes + (hasWitness ? 1 : 0));
    this.faults = new Faults(this);
    this.inspector = new Inspector(this);
    this.verdict = new Verdict(this);
    for (let index = 0; index < dataNodes; index++) this.machines.push(new Machine(this, index, false));
    if (hasWitness) this.machines.push(new Machine(this, dataNodes, true));
    this.agents = Array.from({ length: agents }, (_, number) => new Agent(this, number));
  }

  /** Lives through it all; what was violated is in the ledger then. */
  run(): void {
    this.trace("history", JSON.stringify(this.swarm));
    const { schedule, stats } = this;
    const isBroken = (): boolean => this.ledger.violations.length > 0;
    for (const machine of this.machines) {
      schedule.after(this.dice.between(0, 500), () => machine.boot());
    }
    for (const agent of this.agents) schedule.after(this.dice.between(1000, 2000), () => agent.tick());
    this.network.watch();
    this.faults.begin();
    schedule.runUntil(FAULTS_MS, isBroken);
    if (!isBroken()) {
      this.trace("history", "all is well from here");
      schedule.nowMs = FAULTS_MS;
      this.faults.end();
      const aheadMs = stats.jumps > 0 ? AHEAD_MS : 0;
      schedule.after(GOOD_MS, () => {
        this.isDraining = true;
      });
      schedule.after(THIN_MS, () => this.verdict.countThin());
      schedule.runUntil(FAULTS_MS + GOOD_MS + QUIET_MS + aheadMs, isBroken);
    }
    for (const machine of this.machines) if (machine.isUp) this.inspector.ended(machine);
    if (!isBroken()) this.verdict.judge();
    stats.events = schedule.events;
    stats.messages = this.network.messages;
    stats.inDoubt = this.inspector.inDoubt.size;
    stats.leaderships = this.ledger.leaderships;
  }

  leader(): Machine | undefined {
    return this.machines.find(({ isUp, election }) => isUp && election?.leadership().role === "leader");
  }

  trace(who: string, what: string): void {
    this.#onTrace?.(`${(this.schedule.nowMs / 1000).toFixed(3).padStart(8)} ${who.padEnd(7)} ${what}`);
  }

  /** A process's log goes into the trace. */
  logOf(machine: Machine): WorldLog {
    const write = (event: string, fields: Record<string, unknown>): void => {
      // Decided, and perhaps written by somebody else later.
      if (event === "interval.in-doubt") this.inspector.inDoubt.add(Number(fields.interval));
      if (this.#onTrace !== undefined) this.trace(machine.name, `${event} ${JSON.stringify(fields)}`);
    };
    return { error: write, warn: write, info: write, debug: write };
  }
}
