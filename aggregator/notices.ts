/** What the store tells the log: gathered, since any line may cause it, and told once in a while. */
import type { Refusal } from "./limits.ts";
import type { Clash } from "./offenders.ts";

/** Time between two notices of one event. */
const NOTICE_MS = 1000;

/** An event for the log. */
export interface Notice {
  readonly level: "error" | "warn";
  readonly event: string;
  readonly fields: object;
}

export class Notices {
  readonly #refusals = new Map<Refusal, number>();
  #clash: Clash | undefined;
  #clashCount = 0;
  #nextMs = Number.NEGATIVE_INFINITY;

  /** Samples that a bound kept from a series of their own. */
  addRefusal(refusal: Refusal, samples: number): void {
    this.#refusals.set(refusal, (this.#refusals.get(refusal) ?? 0) + samples);
  }

  /** A key that came with several types. count: how many there are now, with this one. */
  addClash(clash: Clash, count: number): void {
    this.#clash = clash;
    this.#clashCount += count;
  }

  /**
   * Returns what is to be logged now. nowMs: a clock that never goes back. findPrefix: of the names that were
   * refused most; asked where something was.
   */
  take(nowMs: number, findPrefix: () => string | undefined): Notice[] {
    if (nowMs < this.#nextMs) return [];
    const notices = [...this.#takeRefusals(findPrefix), ...this.#takeClash()];
    if (notices.length > 0) this.#nextMs = nowMs + NOTICE_MS;
    return notices;
  }

  #takeRefusals(findPrefix: () => string | undefined): Notice[] {
    if (this.#refusals.size === 0) return [];
    const samples = Object.fromEntries(this.#refusals);
    this.#refusals.clear();
    return [{ level: "warn", event: "store.limit", fields: { samples, prefix: findPrefix() } }];
  }

  #takeClash(): Notice[] {
    if (this.#clash === undefined) return [];
    const fields = { ...this.#clash, more: this.#clashCount - 1 };
    this.#clash = undefined;
    this.#clashCount = 0;
    return [{ level: "warn", event: "store.type_clash", fields }];
  }
}
