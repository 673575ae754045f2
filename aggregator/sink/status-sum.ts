/** Statuses of sinks that stood for the same name one after the other, as one. */
import type { SinkLossReason } from "./queue.ts";
import type { SinkStatus } from "./sink.ts";

/** Numbers that are summed where one of the two has them. */
const OPTIONAL_COUNTS = [
  "spooledRows",
  "spooledBytes",
  "rowsRestored",
  "rowsHandedOver",
  "rowsNotAmended",
  "rowsInDoubt",
  "retiringRows",
  "eventsAccepted",
  "eventsSent",
  "eventsLost",
] as const;

/** A status of a sink that gets no more rows. */
export function asRetiring(status: SinkStatus): SinkStatus {
  return { ...status, state: "retiring", retiringRows: status.queuedRows + (status.retiringRows ?? 0) };
}

/** Adds rows that a predecessor has left on disk, and the bytes that they take there. */
export function addSpooled(status: SinkStatus, rows: number, bytes: number): SinkStatus {
  const { spooledRows = 0, spooledBytes = 0 } = status;
  return { ...status, spooledRows: spooledRows + rows, spooledBytes: spooledBytes + bytes };
}

/** Rows that a sink was not given, by reason. */
export interface WithheldRows {
  readonly not_amended: number;
  readonly in_doubt: number;
}

/** Adds rows that the sink was not given. */
export function addWithheld(status: SinkStatus, { not_amended, in_doubt }: WithheldRows): SinkStatus {
  const { rowsNotAmended = 0, rowsInDoubt = 0 } = status;
  return { ...status, rowsNotAmended: rowsNotAmended + not_amended, rowsInDoubt: rowsInDoubt + in_doubt };
}

/** Adds what a predecessor counts to what a sink counts. The name, state and last error are the sink's. */
export function addStatus(sink: SinkStatus, predecessor: SinkStatus): SinkStatus {
  const rowsLost = { ...sink.rowsLost };
  for (const reason of Object.keys(rowsLost) as SinkLossReason[])
    rowsLost[reason] += predecessor.rowsLost[reason];
  const sum: { -readonly [Key in keyof SinkStatus]: SinkStatus[Key] } = {
    ...sink,
    queuedBytes: sink.queuedBytes + predecessor.queuedBytes,
    queuedRows: sink.queuedRows + predecessor.queuedRows,
    oldestMs: Math.max(sink.oldestMs, predecessor.oldestMs),
    rowsSent: sink.rowsSent + predecessor.rowsSent,
    rowsRetried: sink.rowsRetried + predecessor.rowsRetried,
    rowsLost,
  };
  for (const count of OPTIONAL_COUNTS) {
    const value = (sink[count] ?? 0) + (predecessor[count] ?? 0);
    if (sink[count] !== undefined || predecessor[count] !== undefined) sum[count] = value;
  }
  if (sink.lagSec !== undefined || predecessor.lagSec !== undefined)
    sum.lagSec = Math.max(sink.lagSec ?? 0, predecessor.lagSec ?? 0);
  const lastSuccessMs = Math.max(sink.lastSuccessMs ?? 0, predecessor.lastSuccessMs ?? 0);
  if (lastSuccessMs > 0) sum.lastSuccessMs = lastSuccessMs;
  const lastError = sink.lastError ?? predecessor.lastError;
  if (lastError !== undefined) sum.lastError = lastError;
  return sum;
}
