/** A log whose lines the test reads. */
import { createLog, type Log } from "../../shared/log.ts";

/** One line of the log, with its level and its fields. */
export interface LogEntry {
  readonly event: string;
  readonly level: string;
  readonly [field: string]: unknown;
}

/** The daemon's own log, written into memory. */
export class EventLog {
  readonly entries: LogEntry[] = [];
  readonly log: Log = createLog({ level: "debug", format: "json" }, "test", {
    write: (line: string) => void this.entries.push(JSON.parse(line)),
  });

  /** Names of the events so far, in order. */
  get events(): string[] {
    return this.entries.map(({ event }) => event);
  }

  /** The last line of an event; undefined for none. */
  last(event: string): LogEntry | undefined {
    return this.entries.findLast((entry) => entry.event === event);
  }
}
