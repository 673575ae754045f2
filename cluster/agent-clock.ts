/**
 * The cluster's clock as an agent knows it. It asks its member by timed round trips, and goes by the quickest
 * of the last few answers; small differences are slewed away. Before the first answer it is the wall clock.
 */
import { TIMES } from "./options.ts";
import type { WorldClock } from "./world.ts";

/** Further off than this is a step; less is drift. */
const STEP_MS = 500;
const STEP_LASTS_MS = 5000;
const SLEW_MS_PER_TICK = 1;
const ASK_MS = 2000;
const ANSWERS_MAX = 8;

interface Measured {
  readonly offsetMs: number;
  readonly roundTripMs: number;
}

export class AgentClock {
  readonly #clock: WorldClock;
  readonly #startedMs: number;
  #offsetMs: number;
  #isAdopted = false;
  #askedMs = Number.NEGATIVE_INFINITY;
  #answers: Measured[] = [];
  /** Since when the answers are further off than drift can be. */
  #stepSinceMs: number | undefined;

  constructor(clock: WorldClock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
    this.#offsetMs = clock.wallMs() - this.#startedMs;
  }

  nowMs(): number {
    return this.#clock.monotonicMs() + this.#offsetMs;
  }

  /** Whether it is the cluster's clock, or nobody has told of that for a while. */
  get isKnown(): boolean {
    return this.#isAdopted || this.#clock.monotonicMs() - this.#startedMs >= TIMES.aloneMs;
  }

  /** Another member answers from now on. */
  connected(): void {
    this.#answers = [];
    this.#askedMs = Number.NEGATIVE_INFINITY;
  }

  /** ask: sends a question, where it is time for one. */
  tick(ask: (askedMs: number) => void): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#askedMs >= (this.#isAdopted ? ASK_MS : TIMES.roundTripMs)) {
      this.#askedMs = nowMs;
      ask(nowMs);
    }
    if (!this.#isAdopted) {
      this.#offsetMs = this.#clock.wallMs() - nowMs;
      return;
    }
    const target = this.#target();
    if (target === undefined) return;
    const differenceMs = target - this.#offsetMs;
    if (Math.abs(differenceMs) <= STEP_MS) {
      this.#offsetMs += Math.max(-SLEW_MS_PER_TICK, Math.min(SLEW_MS_PER_TICK, differenceMs));
      this.#stepSinceMs = undefined;
      return;
    }
    this.#stepSinceMs ??= nowMs;
    if (nowMs - this.#stepSinceMs < STEP_LASTS_MS) return;
    this.#offsetMs = target;
    this.#stepSinceMs = undefined;
  }

  /** The member has answered: at askedMs or later its clock showed clockMs. */
  receive(askedMs: number, clockMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    const roundTripMs = nowMs - askedMs;
    if (roundTripMs < 0 || roundTripMs >= TIMES.roundTripMs) return;
    const measured = { offsetMs: clockMs + roundTripMs / 2 - nowMs, roundTripMs };
    // What was measured before a step says nothing of what comes after it.
    const before = this.#target();
    if (before !== undefined && Math.abs(before - measured.offsetMs) > STEP_MS) this.#answers = [];
    this.#answers.push(measured);
    if (this.#answers.length > ANSWERS_MAX) this.#answers.shift();
    if (this.#isAdopted) return;
    this.#isAdopted = true;
    this.#offsetMs = measured.offsetMs;
  }

  #target(): number | undefined {
    let best: Measured | undefined;
    for (const measured of this.#answers) {
      if (best === undefined || measured.roundTripMs <= best.roundTripMs) best = measured;
    }
    return best?.offsetMs;
  }
}
