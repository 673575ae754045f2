/** Faults of the disk of a state folder. */
import type { WorldLog } from "../world.ts";

/** They are told of at most this often. */
const TELL_MS = 60_000;

/** Counts faults of a disk, and tells of them now and then. */
export class DiskFaults {
  readonly #folder: string;
  readonly #log: Pick<WorldLog, "warn">;
  readonly #toldMs = new Map<string, number>();
  failedWrites = 0;

  constructor(folder: string, log: Pick<WorldLog, "warn">) {
    this.#folder = folder;
    this.#log = log;
  }

  /** A write failed. file: which. error: what the file system says. */
  count(file: string, error: unknown): void {
    this.failedWrites += 1;
    this.tell(file, error);
  }

  /** As count, for what is no write. */
  tell(file: string, error: unknown): void {
    const nowMs = Date.now();
    const toldMs = this.#toldMs.get(file);
    if (toldMs !== undefined && Math.abs(nowMs - toldMs) < TELL_MS) return;
    this.#toldMs.set(file, nowMs);
    const reason = error instanceof Error ? error.message : String(error);
    this.#log.warn("state.fault", { folder: this.#folder, file, reason });
  }
}
