/** Live tails: who watches which series. The store tells of what is merged; this hands it to the watchers. */
import type { TailLine } from "../questions.ts";
import type { TailedLines } from "../tails.ts";
import type { Ask } from "./store-client.ts";

/** Tails at a time. */
export const TAILS_MAX = 16;

/** What the store posts about tailed series. */
export type TailedMessage = { readonly kind: "tailed" } & TailedLines;

/** One watcher. Must not throw. */
export interface TailWatcher {
  line(line: TailLine): void;
  skipped(count: number): void;
  /** There is nothing more to come: why. */
  end(reason: string): void;
}

/** A tail that is on. */
export interface Tail {
  /** Turns it off; may be called again. */
  close(): void;
}

export class TailHub {
  readonly #ask: Ask;
  readonly #watchers = new Map<number, TailWatcher>();
  #nextTail = 1;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  get count(): number {
    return this.#watchers.size;
  }

  /** Whether another one has room. */
  get hasRoom(): boolean {
    return this.#watchers.size < TAILS_MAX;
  }

  /** Turns a tail on. match: a pattern that has been checked. The caller has looked at hasRoom. */
  open(match: string, watcher: TailWatcher): Tail {
    const tail = this.#nextTail++;
    this.#watchers.set(tail, watcher);
    this.#ask({ kind: "tail", tail, match }).catch((error: unknown) => {
      if (!this.#watchers.delete(tail)) return;
      watcher.end(error instanceof Error ? error.message : String(error));
    });
    return { close: () => this.#close(tail) };
  }

  #close(tail: number): void {
    if (!this.#watchers.delete(tail)) return;
    // Where the store does not answer, its next lines for this tail find nobody.
    this.#ask({ kind: "untail", tail }).catch(() => {});
  }

  /** Hands out what the store tells. */
  take({ lines, leftOut }: TailedMessage): void {
    for (const line of lines) this.#watchers.get(line.tail)?.line(line);
    for (const { tail, lines: count } of leftOut) this.#watchers.get(tail)?.skipped(count);
  }

  /** Ends all tails. */
  close(reason: string): void {
    const watchers = [...this.#watchers.values()];
    this.#watchers.clear();
    for (const watcher of watchers) watcher.end(reason);
  }
}
