/**
 * Leadership that a store outside gives: etcd, Consul or Kubernetes. This is the part that they share:
 * when to try, when to renew, and when to stop.
 *
 *   follower --acquire--> leader --renew--> leader ... --lease over, lost, given up--> release --> follower
 *
 * The lease is counted on this machine's monotonic clock from before the request was sent that the store
 * granted, less a margin, and is over without anybody telling. So two leases overlap only where the store
 * breaks its word, or where this machine's clock runs slower than the store's by more than the margin. Even
 * then terms differ, and the registers refuse the lower one.
 *
 * Each leadership has a term of its own, above all that the store and this node have seen: also one that
 * follows another of the same node. Terms live in the store, beside the lock.
 */
import { Backoff } from "../../shared/backoff.ts";
import type { TimerHandle } from "../../shared/clock.ts";
import type { Election, Leadership } from "./election.ts";
import { FaultLog } from "./fault-log.ts";
import { EndpointFault, type HttpEndpoints } from "./http-endpoints.ts";
import type {
  ExternalContext,
  ExternalOptions,
  HeldLock,
  LockStore,
  OtherLock,
  Standing,
} from "./lock-store.ts";

const MARGIN_MIN_MS = 500;
const MARGIN_SHARE = 0.1;
/** Steps follow each other no faster than this, whatever a store says. */
const STEP_MIN_MS = 100;
const BACKOFF = { delayMs: 200, multiplier: 2 };
/** Where nobody has the lock, and still it cannot be had, it is tried again after this. */
const VACANT_MS = 1000;
/** How long somebody tries again and again whom the leader asked to take over. */
const EAGER_MS = 2000;
/** A machine that slept has a wall clock ahead of its monotonic one. */
const SLEPT_MS = 200;

interface Held {
  readonly term: number;
  readonly leaseUntilMs: number;
  /** Wall clock less monotonic clock when it was asked for. */
  readonly wallLeadMs: number;
}

/** An election by a lock in a store. Its timers begin with it and end with stop(). */
export class ExternalElection implements Election {
  readonly #store: LockStore;
  readonly #endpoints: HttpEndpoints;
  readonly #name: string;
  readonly #ttlMs: number;
  readonly #context: ExternalContext;
  readonly #backoff: Backoff;
  readonly #faults: FaultLog;
  #held: Held | undefined;
  /** The highest term that the store told of, and who has it. */
  #seen: { readonly term: number; readonly leader: string | undefined } = { term: 0, leader: undefined };
  #seenMs = 0;
  /** The highest term that anybody told of. */
  #floor = 0;
  #isEligible = false;
  #isStopped = false;
  #outUntilMs = 0;
  #eagerUntilMs = 0;
  /** This node gave the lock up, and has to say so. */
  #mustRelease = false;
  /** It is not known what became of an attempt to get the lock. */
  #isInDoubt = false;
  #isWatching = false;
  #step: Promise<void> | undefined;
  #isWoken = false;
  #timer: TimerHandle | undefined;
  /** No step begins before. */
  #earliestMs = 0;

  constructor(
    store: LockStore,
    endpoints: HttpEndpoints,
    { name, ttlMs }: Pick<ExternalOptions, "name" | "ttlMs">,
    context: ExternalContext,
  ) {
    this.#store = store;
    this.#endpoints = endpoints;
    this.#name = name;
    this.#ttlMs = Math.max(ttlMs, store.ttlMinMs);
    this.#context = context;
    this.#backoff = new Backoff({ ...BACKOFF, delayMaxMs: this.#ttlMs / 3 }, context.random);
    this.#faults = new FaultLog(store.kind, context);
    this.#wake();
  }

  /** Steps and watches under way: what still waits for the store. */
  get pendingCount(): number {
    return (this.#step === undefined ? 0 : 1) + (this.#isWatching ? 1 : 0);
  }

  tick(_nowMs: number): void {
    this.#expire();
    if (this.#held !== undefined && this.#hasSlept(this.#held)) this.#wake();
  }

  receive(): void {}

  setMembers(): void {}

  /** A lease that is over makes a follower, whether or not anybody noticed. */
  leadership(): Leadership {
    this.#expire();
    const term = Math.max(this.#floor, this.#seen.term);
    if (this.#held !== undefined) {
      const leaseUntilMs = this.#hasSlept(this.#held) ? 0 : this.#held.leaseUntilMs;
      return { role: "leader", term, leader: this.#name, leaseUntilMs };
    }
    // Whoever leads in a lower term than others know of is on its way out; and no store, no knowledge.
    const isKnown = this.#seen.term === term && this.#nowMs() < this.#seenMs + 2 * this.#ttlMs;
    const leader = isKnown ? this.#seen.leader : undefined;
    const role = leader === undefined && this.#mayStand() ? "candidate" : "follower";
    return { role, term, leader, leaseUntilMs: 0 };
  }

  setEligible(isEligible: boolean): void {
    if (isEligible === this.#isEligible) return;
    this.#isEligible = isEligible;
    if (!isEligible) this.#giveUp("not eligible");
    this.#wake();
  }

  sawTerm(term: number): void {
    if (term <= this.#floor) return;
    this.#floor = term;
    if (this.#held !== undefined && this.#held.term < term) this.#giveUp("a higher term was seen");
    this.#wake();
  }

  /** Stays out for two times to live, so that others get it, or until it is asked to take over. */
  resign(_successor?: string): void {
    this.#outUntilMs = this.#nowMs() + 2 * this.#ttlMs;
    this.#eagerUntilMs = 0;
    this.#giveUp("resigned");
    this.#wake();
  }

  /** Tries for two seconds, since whoever asked may not have let go yet. */
  takeOver(_nowMs: number): void {
    this.#outUntilMs = 0;
    this.#eagerUntilMs = this.#nowMs() + EAGER_MS;
    this.#wake();
  }

  /** Frees the lock, which may take as long as a few requests. */
  async stop(): Promise<void> {
    this.#giveUp("stopped");
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#endpoints.cancel();
    await this.#step;
    if (this.#mustRelease || this.#isInDoubt) await this.#attempt(() => this.#store.release());
    this.#endpoints.close();
  }

  #nowMs(): number {
    return this.#context.clock.monotonicMs();
  }

  #mayStand(): boolean {
    return this.#isEligible && !this.#isStopped && this.#nowMs() >= this.#outUntilMs;
  }

  #wallLeadMs(): number {
    return this.#context.clock.nowMs() - this.#nowMs();
  }

  /** Whether the monotonic clock may have stood still since: then the lease waits for the next renewal. */
  #hasSlept({ wallLeadMs }: Held): boolean {
    return this.#wallLeadMs() - wallLeadMs > SLEPT_MS;
  }

  #expire(): void {
    if (this.#held === undefined || this.#nowMs() < this.#held.leaseUntilMs) return;
    this.#giveUp("lease over");
    this.#wake();
  }

  #giveUp(reason: string): void {
    if (this.#held === undefined) return;
    const { term } = this.#held;
    this.#held = undefined;
    this.#seen = { term, leader: undefined };
    this.#mustRelease = true;
    this.#context.log.info("election.given-up", { engine: this.#store.kind, term, reason });
  }

  /** Makes the next step come as soon as it may. */
  #wake(): void {
    if (this.#step !== undefined) this.#isWoken = true;
    else this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#isStopped) return;
    const waitMs = Math.max(delayMs, this.#earliestMs - this.#nowMs(), 0);
    this.#timer = this.#context.clock.setTimer(waitMs, () => {
      this.#step = this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isWoken = false;
    let delayMs = 0;
    const restMs = await this.#attempt(async () => {
      delayMs = await this.#act();
    });
    this.#step = undefined;
    this.#earliestMs = this.#nowMs() + Math.max(restMs, STEP_MIN_MS);
    this.#schedule(this.#isWoken ? 0 : delayMs);
    if (restMs === 0) this.#watch();
  }

  /** Runs calls of the store. Returns for how long it should be left alone; its faults are logged. */
  async #attempt(calls: () => Promise<void>): Promise<number> {
    try {
      await calls();
    } catch (error) {
      if (!(error instanceof EndpointFault)) throw error;
      if (this.#isStopped) return 0;
      this.#faults.failed(error);
      const backoffMs = this.#endpoints.hasFresh ? 0 : this.#backoff.next();
      return Math.max(backoffMs, Math.min(error.retryAfterMs, this.#ttlMs));
    }
    this.#backoff.reset();
    this.#faults.worked();
    return 0;
  }

  /** Does what is due, and returns when something is due again, in milliseconds. */
  async #act(): Promise<number> {
    if (this.#mustRelease || (this.#isInDoubt && !this.#mayStand())) {
      await this.#store.release();
      this.#mustRelease = false;
      this.#isInDoubt = false;
    }
    const wallLeadMs = this.#wallLeadMs();
    if (this.#held !== undefined) return this.#keep(this.#held, await this.#store.renew(), wallLeadMs);
    if (!this.#mayStand()) return this.#follow(await this.#store.look());
    this.#isInDoubt = true;
    const standing = await this.#store.acquire(Math.max(this.#floor, this.#seen.term));
    this.#isInDoubt = false;
    return standing.isHeld ? this.#lead(standing, wallLeadMs) : this.#follow(standing);
  }

  #keep(held: Held, standing: Standing, wallLeadMs: number): number {
    this.#expire();
    // It was given up meanwhile, and so has to be released.
    if (this.#held !== held) return 0;
    if (!standing.isHeld || standing.term !== held.term) {
      this.#giveUp("lost in the store");
      return 0;
    }
    const leaseUntilMs = Math.max(held.leaseUntilMs, this.#leaseUntilMs(standing));
    this.#held = { term: held.term, leaseUntilMs, wallLeadMs };
    return this.#paceMs();
  }

  #lead(standing: HeldLock, wallLeadMs: number): number {
    const { term } = standing;
    const leaseUntilMs = this.#leaseUntilMs(standing);
    const isWorthIt = leaseUntilMs > this.#nowMs() && term > this.#floor && this.#mayStand();
    this.#sawInStore(term, undefined);
    if (!isWorthIt) {
      this.#mustRelease = true;
      return 0;
    }
    this.#held = { term, leaseUntilMs, wallLeadMs };
    this.#sawInStore(term, this.#name);
    this.#eagerUntilMs = 0;
    this.#context.log.info("election.leading", { engine: this.#store.kind, term });
    return this.#paceMs();
  }

  #follow({ term, leader: holder, retryMs }: OtherLock): number {
    // What this node left behind is no leader.
    const leader = holder === this.#name ? undefined : holder;
    this.#sawInStore(term, leader);
    if (!this.#mayStand()) return this.#paceMs();
    if (this.#nowMs() < this.#eagerUntilMs) return STEP_MIN_MS;
    if (retryMs !== undefined) return Math.min(retryMs, this.#paceMs());
    return leader === undefined ? this.#context.random.between(VACANT_MS / 2, VACANT_MS) : this.#paceMs();
  }

  /** Old answers do not count. */
  #sawInStore(term: number, leader: string | undefined): void {
    if (term >= this.#seen.term) {
      this.#seen = { term, leader };
      this.#seenMs = this.#nowMs();
    }
    this.#floor = Math.max(this.#floor, term);
  }

  #leaseUntilMs({ expiresMs }: HeldLock): number {
    return expiresMs - Math.max(MARGIN_MIN_MS, this.#ttlMs * MARGIN_SHARE);
  }

  /** A third of the time to live, so that one renewal may fail; nodes do not come at the same time. */
  #paceMs(): number {
    return (this.#ttlMs / 3) * this.#context.random.between(0.8, 1);
  }

  /** Asks to be told of a change, where the store can; else, or where that fails, the pace has to do. */
  #watch(): void {
    if (this.#isStopped || this.#isWatching || !this.#isEligible || this.#store.change === undefined) return;
    this.#isWatching = true;
    void this.#store
      .change()
      .catch((error: unknown) => {
        if (!(error instanceof EndpointFault)) throw error;
        return false;
      })
      .then((hasChanged) => {
        this.#isWatching = false;
        if (hasChanged) this.#wake();
      });
  }
}
