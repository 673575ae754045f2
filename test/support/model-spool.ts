/** The disk of an agent as a model. */
import type { AgentSpool, SpooledDelta } from "../../cluster/agent-world.ts";
import type { Delta } from "../../cluster/delta.ts";
import type { AgentHistory } from "./agent-simulation.ts";

/** A disk in memory. */
export class ModelSpool implements AgentSpool {
  readonly #history: AgentHistory;
  readonly #bytesMax: number;
  #records: { readonly delta: Delta; isRead: boolean }[] = [];
  #faultyUntilMs = 0;
  /** Counts the processes that used it; nothing of an earlier one goes on. */
  #process = 0;
  lostSamples = 0;

  constructor(history: AgentHistory, bytesMax: number) {
    this.#history = history;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#records.reduce((sum, { delta }) => sum + delta.bytes.length, 0);
  }
  get isUsable(): boolean {
    return this.#history.nowMs >= this.#faultyUntilMs;
  }
  get hasUnread(): boolean {
    return this.#records.some(({ isRead }) => !isRead);
  }

  fail(forMs: number): void {
    this.#faultyUntilMs = this.#history.nowMs + forMs;
  }

  /** The process that used it has gone: all that was not released is unread again. */
  crash(): void {
    for (const record of this.#records) record.isRead = false;
    this.#process += 1;
  }

  #later(run: () => void): void {
    const process = this.#process;
    this.#history.after(this.#history.between(1, 40), () => {
      if (process === this.#process) run();
    });
  }

  append(deltas: readonly Delta[], done: (isSaved: boolean) => void): void {
    this.#later(() => {
      if (!this.isUsable) {
        done(false);
        return;
      }
      const bytes = deltas.reduce((sum, delta) => sum + delta.bytes.length, 0);
      while (this.bytes + bytes > this.#bytesMax) {
        const oldest = this.#records.findIndex(({ isRead }) => !isRead);
        if (oldest < 0) {
          done(false);
          return;
        }
        this.lostSamples += this.#records.splice(oldest, 1)[0]!.delta.samples;
      }
      for (const delta of deltas) this.#records.push({ delta, isRead: false });
      done(true);
    });
  }

  read(bytesMax: number, done: (deltas: readonly SpooledDelta[]) => void): void {
    this.#later(() => {
      const read: SpooledDelta[] = [];
      let bytes = 0;
      for (const record of this.isUsable ? this.#records : []) {
        if (record.isRead) continue;
        if (bytes >= bytesMax) break;
        bytes += record.delta.bytes.length;
        record.isRead = true;
        const release = (): void => {
          this.#records = this.#records.filter((other) => other !== record);
        };
        read.push({ delta: record.delta, release });
      }
      done(read);
    });
  }
}
