/**
 * A history of one agent and three members that are models, from a seed: connections that break, members that
 * crash, pause and come back, times with nobody there, a disk that fails, and crashes of the agent itself.
 */
import { AgentNode } from "../../cluster/agent.ts";
import type { Delta } from "../../cluster/delta.ts";
import { type Random, seededRandom } from "../../shared/random.ts";
import { DEGRADED_MS, keyOf, ModelMember } from "./model-member.ts";
import { ModelSpool } from "./model-spool.ts";
import { ModelWay } from "./model-way.ts";

const INTERVAL_MS = 1000;
/** What wall clocks showed at the beginning. */
const EPOCH_MS = 1_700_000_000_000;
const SILENT_LOG = { error() {}, warn() {}, info() {}, debug() {} };

export interface AgentHistoryOptions {
  readonly holdBytesMax: number;
  /** 0 for no disk. */
  readonly spoolBytesMax: number;
  /** Mean time between two faults of each kind, in milliseconds; 0 for none. */
  readonly faultMs: number;
  readonly crashesAgent: boolean;
}

/** What the world did to the agent's deltas. */
export class AgentHistory {
  readonly #options: AgentHistoryOptions;
  readonly random: Random;
  readonly members: ModelMember[] = [];
  /** All that was added, by identity. */
  readonly added = new Map<string, Delta>();
  /** What was in memory only when the agent crashed. */
  readonly crashed = new Set<string>();
  /** Samples that earlier runs of the agent declared as dropped. */
  #droppedBefore = 0;
  readonly spool: ModelSpool | undefined;
  agent!: AgentNode;
  way!: ModelWay;
  nowMs = 0;
  heldBytesMost = 0;
  #events: { readonly atMs: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;
  #run = 0;
  #sequence = 0;
  #downCount = 0;
  isQuiet = false;
  isIsolated = false;

  constructor(seed: number, options: AgentHistoryOptions) {
    this.#options = options;
    this.random = seededRandom(seed);
    for (const name of ["a", "b", "c"]) this.members.push(new ModelMember(this, name));
    if (options.spoolBytesMax > 0) this.spool = new ModelSpool(this, options.spoolBytesMax);
    this.#beginAgent();
    this.#every(50, () => this.#tick());
    if (options.faultMs > 0) this.#faults();
  }

  between(min: number, max: number): number {
    return Math.floor(this.random.between(min, max));
  }

  after(delayMs: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + delayMs, order: this.#order++, run });
  }

  #every(paceMs: number, run: () => void): void {
    this.after(paceMs, () => {
      run();
      this.#every(paceMs, run);
    });
  }

  run(forMs: number): void {
    const untilMs = this.nowMs + forMs;
    for (;;) {
      let next = this.#events[0];
      for (const event of this.#events) {
        if (event.atMs < next!.atMs || (event.atMs === next!.atMs && event.order < next!.order)) next = event;
      }
      if (next === undefined || next.atMs > untilMs) break;
      this.#events = this.#events.filter((event) => event !== next);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
  }

  /** Runs until a condition holds; returns whether it did. */
  runUntil(condition: () => boolean, forMs: number): boolean {
    for (const untilMs = this.nowMs + forMs; !condition() && this.nowMs < untilMs; ) this.run(100);
    return condition();
  }

  get clusterNowMs(): number {
    return EPOCH_MS + this.nowMs;
  }
  get interval(): number {
    return Math.floor(this.clusterNowMs / INTERVAL_MS);
  }

  /** Samples that were declared lost, over all runs of the agent. */
  get dropped(): number {
    return this.#droppedBefore + this.agent.standing().droppedSamples;
  }

  /** The agent's intake makes a delta. */
  add(byteCount = this.between(50, 150)): Delta {
    const delta: Delta = {
      source: `agent.1.${this.#run}`,
      sequence: this.#sequence++,
      interval: this.interval,
      samples: this.between(1, 10),
      bytes: new Uint8Array(byteCount),
    };
    this.added.set(keyOf(delta), delta);
    this.agent.add(delta);
    return delta;
  }

  #tick(): void {
    if (!this.isQuiet && this.random.between(0, 1) < 0.4) this.add();
    this.agent.closeBelow(this.interval);
    for (const member of this.members) member.tick();
    this.agent.tick();
    this.heldBytesMost = Math.max(this.heldBytesMost, this.agent.standing().heldBytes);
  }

  #beginAgent(): void {
    this.#run += 1;
    this.#sequence = 0;
    this.way?.end();
    const way = new ModelWay(this);
    this.way = way;
    const clock = { monotonicMs: () => this.nowMs, wallMs: () => this.clusterNowMs };
    const { holdBytesMax } = this.#options;
    this.agent = new AgentNode(
      { incarnation: String(this.#run), holdBytesMax },
      { clock, way, spool: this.spool, log: SILENT_LOG },
    );
    way.open(this.agent);
  }

  /** The agent's process ends as it stands, and another begins. */
  crashAgent(): void {
    this.#droppedBefore += this.agent.standing().droppedSamples - (this.spool?.lostSamples ?? 0);
    for (const delta of this.agent.takeRest()) this.crashed.add(keyOf(delta));
    this.spool?.crash();
    this.#beginAgent();
  }

  #faults(): void {
    const { faultMs, crashesAgent } = this.#options;
    this.after(this.between(faultMs / 2, faultMs * 1.5), () => {
      if (this.isQuiet) return;
      const kind = this.between(0, crashesAgent ? 6 : 5);
      const member = this.members[this.between(0, this.members.length)]!;
      if (kind === 0) this.way.cut();
      else if (kind === 1 && this.#downCount === 0) {
        this.#downCount += 1;
        member.crash();
        this.after(this.between(500, 5000), () => {
          member.restart();
          // The next one may fail when this one has all again.
          this.after(DEGRADED_MS * 2, () => {
            this.#downCount -= 1;
          });
        });
      } else if (kind === 2) member.pause(this.between(100, 8000));
      else if (kind === 3) {
        this.isIsolated = true;
        this.way.cut();
        this.after(this.between(1000, 15_000), () => {
          this.isIsolated = false;
        });
      } else if (kind === 4) this.spool?.fail(this.between(500, 5000));
      else if (kind === 5) this.crashAgent();
      this.#faults();
    });
  }

  /** Deltas that no member has now. */
  missing(): Delta[] {
    return [...this.added.values()].filter(
      (delta) => !this.members.some(({ isUp, held }) => isUp && held.has(keyOf(delta))),
    );
  }
}
