/** Nodes that want the lock of a fake store, on a clock that the test turns; their promises are checked. */
import assert from "node:assert/strict";
import type { ExternalElection } from "../../cluster/election/external.ts";
import {
  createExternalElection,
  type ExternalKind,
  type ExternalOptionsByKind,
} from "../../cluster/election/external-engines.ts";
import type { Clock } from "../../shared/clock.ts";
import { seededRandom } from "../../shared/random.ts";
import { EventLog } from "./event-log.ts";
import type { FakeStore } from "./fake-store.ts";
import { ManualClock } from "./manual-clock.ts";

const WALL_MS = 1_700_000_000_000;
const SLICE_MS = 25;
/** An answer over loopback takes fewer turns of the event loop, unless something is stuck. */
const TURNS_MAX = 20_000;

/** What is wrong with a node's clocks. */
export interface ClockFault {
  /** How far its wall clock is ahead. */
  readonly wallAheadMs?: number;
  /** How fast both of its clocks run; 1 is right. */
  readonly rate?: number;
}

/** A node that stands. */
export interface Contender {
  readonly name: string;
  readonly election: ExternalElection;
  readonly log: EventLog;
}

/** A leadership that was seen. */
export interface Reign {
  readonly leader: string;
  readonly term: number;
  readonly sinceMs: number;
}

export class LockContenders {
  readonly clock = new ManualClock();
  readonly contenders = new Map<string, Contender>();
  /** In the order in which they began; terms go up. */
  readonly reigns: Reign[] = [];
  /** Set before the first node is added. */
  store: FakeStore | undefined;
  /** Whether nobody led since the last reign. */
  #isVacant = false;
  #seed = 1;
  #wallAheadMs = 0;

  /** Adds a node that may stand. */
  add<Kind extends ExternalKind>(
    kind: Kind,
    options: Omit<ExternalOptionsByKind[Kind], "endpoints"> & { readonly endpoints?: readonly string[] },
    { wallAheadMs = 0, rate = 1 }: ClockFault = {},
  ): Contender {
    const log = new EventLog();
    const clock: Clock = {
      nowMs: () => WALL_MS + this.clock.monotonicMs() * rate + this.#wallAheadMs + wallAheadMs,
      monotonicMs: () => this.clock.monotonicMs() * rate,
      setTimer: (delayMs, fire) => this.clock.setTimer(delayMs / rate, fire),
    };
    const { name } = options;
    const endpoints = options.endpoints ?? [this.store!.endpoint(name)];
    const complete = { ...options, endpoints } as ExternalOptionsByKind[Kind];
    const context = { clock, random: seededRandom(this.#seed++), log: log.log };
    const election = createExternalElection(kind, complete, context);
    election.setEligible(true);
    const contender = { name, election, log };
    this.contenders.set(name, contender);
    return contender;
  }

  /** Sets all wall clocks on, and leaves the monotonic ones, as after a sleep of the machine. */
  jumpWall(byMs: number): void {
    this.#wallAheadMs += byMs;
  }

  /** Names of those that lead now; checks that it is one at most, and that terms go up. */
  leaders(): string[] {
    const leaders: string[] = [];
    for (const { name, election } of this.contenders.values()) {
      const { role, term, leader, leaseUntilMs } = election.leadership();
      if (role !== "leader") {
        assert.equal(leaseUntilMs, 0, `${name} follows with a lease`);
        assert.notEqual(leader, name, `${name} follows itself`);
        continue;
      }
      assert.equal(leader, name);
      leaders.push(name);
      const last = this.reigns.at(-1);
      if (last?.leader === name && last.term === term && !this.#isVacant) continue;
      assert.ok(last === undefined || term > last.term, `term ${term} of ${name} after ${last?.term}`);
      this.reigns.push({ leader: name, term, sinceMs: this.clock.monotonicMs() });
    }
    assert.ok(leaders.length <= 1, `several lead: ${leaders.join(", ")}`);
    this.#isVacant = leaders.length === 0;
    return leaders;
  }

  get leader(): string | undefined {
    return this.leaders()[0];
  }

  /** Lets time pass, and answers arrive. */
  async pass(byMs: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + byMs;
    while (this.clock.monotonicMs() < endMs) {
      this.clock.advance(Math.min(SLICE_MS, endMs - this.clock.monotonicMs()));
      for (const { election } of this.contenders.values()) election.tick(this.clock.monotonicMs());
      this.leaders();
      await this.settle();
      this.leaders();
    }
  }

  /** Lets time pass until the condition holds. Returns how long it took; throws where it takes too long. */
  async until(what: string, isSo: () => boolean, withinMs: number): Promise<number> {
    const startedMs = this.clock.monotonicMs();
    while (!isSo()) {
      const passedMs = this.clock.monotonicMs() - startedMs;
      assert.ok(passedMs < withinMs, `${what}: not within ${withinMs} ms`);
      await this.pass(SLICE_MS);
    }
    return this.clock.monotonicMs() - startedMs;
  }

  /** Resolves when all that was asked has been answered, but for what the store holds back. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      const elections = [...this.contenders.values()].map(({ election }) => election);
      const pending = elections.reduce((sum, { pendingCount }) => sum + pendingCount, 0);
      if (pending === this.store!.heldCount) return;
    }
    throw new Error("answers that never arrive");
  }

  /** Ends all nodes; the store must answer again. */
  async stop(): Promise<void> {
    await Promise.all([...this.contenders.values()].map(({ election }) => election.stop()));
    this.contenders.clear();
  }
}
