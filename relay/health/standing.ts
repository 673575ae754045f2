/** What the checks of one destination add up to: rise and fall counts, and the delay of a return. */
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import type { Verdict } from "./probe.ts";

/** Bounds of a standing. */
export interface StandingOptions {
  /** Good checks in a row that a destination which is down needs; at least 1. */
  readonly rise: number;
  /** Bad checks in a row that take a destination down; at least 1. */
  readonly fall: number;
  /** How long it must then stay good before it counts as well again, in milliseconds. */
  readonly returnDelayMs: number;
}

/** Begins well. */
export class Standing {
  readonly #options: StandingOptions;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  /** Checks in a row that speak against `isWell`. */
  #contrary = 0;
  #return: TimerHandle | undefined;
  #isWell: boolean;

  /** onChange: called when isWell has changed. isWell: where to begin, for one that goes on. */
  constructor(options: StandingOptions, clock: Clock, onChange: () => void, isWell = true) {
    this.#options = options;
    this.#clock = clock;
    this.#onChange = onChange;
    this.#isWell = isWell;
  }

  /** What the checks say, whatever the ring makes of it. */
  get isWell(): boolean {
    return this.#isWell;
  }

  /** Counts one check. */
  take(verdict: Verdict): void {
    if (verdict.kind === "unknown") return;
    const isGood = verdict.kind === "good";
    if (isGood === this.#isWell) {
      this.#contrary = 0;
      // One bad check while a return is waited for makes it begin anew.
      this.close();
      return;
    }
    this.#contrary += 1;
    if (this.#isWell && this.#contrary >= this.#options.fall) this.#turn(false);
    else if (!this.#isWell && this.#contrary >= this.#options.rise) this.#rise();
  }

  /** Forgets a return that is waited for. */
  close(): void {
    this.#return?.cancel();
    this.#return = undefined;
  }

  #rise(): void {
    const { returnDelayMs } = this.#options;
    if (returnDelayMs === 0) this.#turn(true);
    else this.#return ??= this.#clock.setTimer(returnDelayMs, () => this.#turn(true));
  }

  #turn(isWell: boolean): void {
    this.close();
    this.#contrary = 0;
    this.#isWell = isWell;
    this.#onChange();
  }
}
