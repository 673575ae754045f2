/** Whether sinks have failed since somebody looked last. */
import type { SinkStatus } from "./sink/sink.ts";

export class SinkFailures {
  #before = new Map<string, number>();

  /** Returns whether a sink is failing now, or has sent rows again or lost some since the call before. */
  look(statuses: readonly SinkStatus[]): boolean {
    const now = new Map(statuses.map((status) => [status.name, failedRows(status)]));
    const hasFailed = statuses.some(
      ({ name, state }) => state === "retrying" || now.get(name)! > (this.#before.get(name) ?? 0),
    );
    this.#before = now;
    return hasFailed;
  }
}

function failedRows({ rowsRetried, rowsLost }: SinkStatus): number {
  return Object.values(rowsLost).reduce((sum, rows) => sum + rows, rowsRetried);
}
