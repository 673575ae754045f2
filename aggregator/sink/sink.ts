/** Sinks: where a leader writes its rows. The registry below is the one place that names them all. */
import type { Clock } from "../../shared/clock.ts";
import type { SuiteConfig } from "../../shared/config.ts";
import type { Random } from "../../shared/random.ts";
import type { DogItem } from "../event/event.ts";
import type { RowBatch } from "../row.ts";
import { createCarbonSinks } from "./carbon.ts";
import { createConsoleSinks } from "./console.ts";
import type { ConsoleOutput } from "./console-output.ts";
import { createFileSinks } from "./file.ts";
import type { SinkLosses } from "./queue.ts";
import type { DoubtPolicy, SinkClass } from "./repetition.ts";
import type { WriteFence } from "./write-fence.ts";

/**
 * A sink as it is now. Counts are since its start, and at any moment rows accepted (and restored) = sent +
 * lost + queued + spooled + handed over; events likewise, without a spool.
 */
export interface SinkStatus {
  readonly name: string;
  /**
   * `retrying` from a failure until the next success; `fenced` while rows wait for this node to lead;
   * `retiring` while one that was removed delivers.
   */
  readonly state: "idle" | "sending" | "retrying" | "fenced" | "retiring";
  /** Memory of the rows not yet delivered, those on their way included. */
  readonly queuedBytes: number;
  readonly queuedRows: number;
  /** Age of the oldest row not yet delivered, in milliseconds; 0 when there is none. */
  readonly oldestMs: number;
  /** Rows that the remote has acknowledged. */
  readonly rowsSent: number;
  /** Rows sent once more, each time counted. */
  readonly rowsRetried: number;
  readonly rowsLost: SinkLosses;
  /** How far the oldest row not yet delivered lies behind the wall clock, by its timestamp, in seconds. */
  readonly lagSec?: number;
  /** Rows that wait on disk, and the bytes that they take there. */
  readonly spooledRows?: number;
  readonly spooledBytes?: number;
  /** Rows found on disk, which an earlier process had accepted, or which are to be sent once more. */
  readonly rowsRestored?: number;
  /** Rows dropped here, since another leader writes them. */
  readonly rowsHandedOver?: number;
  /** Rows that it was not given: of amendments and repetitions that it would not replace others by. */
  readonly rowsNotAmended?: number;
  /** Rows that it was not given, since it may have them already and would add them up. */
  readonly rowsInDoubt?: number;
  /** Rows, among those queued, of sinks that this one has replaced. */
  readonly retiringRows?: number;
  /** Events and service checks, where the sink can carry them. */
  readonly eventsAccepted?: number;
  readonly eventsSent?: number;
  readonly eventsLost?: number;
  /** Wall clock of the last success, in milliseconds since 1970. */
  readonly lastSuccessMs?: number;
  /** What the last failure was; stays after a recovery. */
  readonly lastError?: string;
}

/** Where rows go. A sink has its own queue and its own connection, so none waits for another. */
export interface Sink {
  /** As in the configuration, with the address where there are several: `carbon[10.0.0.1:2003]`. */
  readonly name: string;
  readonly sinkClass: SinkClass;
  /** For a sink that adds up; `skip` where it is absent. */
  readonly onDoubt?: DoubtPolicy;
  /**
   * Takes a batch over, in order. Never blocks and never throws: what cannot be kept is counted in rowsLost.
   * The batch and its bytes must not change any more. A receipt is settled once, whatever becomes of the
   * batch; but for one that is handed over.
   */
  accept(batch: RowBatch): void;
  /**
   * Takes an event or a service check over, and counts it. Returns false, and counts nothing, when it can
   * carry none as it is configured; absent where it never can. Never blocks and never throws.
   */
  acceptEvent?(item: DogItem): boolean;
  /**
   * Goes on by another configuration, with what it has queued. Returns false when it cannot, or when its
   * section asks for other sinks than there are; then it is replaced, as is one that has no such method.
   */
  configure?(config: SinkConfig): boolean;
  status(): SinkStatus;
  /** The fence is closed: what is on its way is given up at once, and waits. */
  revoke?(): void;
  /** The fence may have opened. */
  resume?(): void;
  /**
   * Drops what waits, in memory and on disk, of a cluster's intervals that somebody else writes; nobody is
   * told of it. Returns the rows.
   */
  handOver?(isTheirs: (interval: number) => boolean): number;
  /**
   * Delivers what is queued without long pauses. deadlineMs: a moment of the context's clock.monotonicMs().
   * Resolves to true when everything queued was delivered. At the deadline the rest is counted as lost
   * (`shutdown`), the sink is closed, and the result is false.
   */
  drain(deadlineMs: number): Promise<boolean>;
  /** Drops the connection and counts what is queued as lost (`shutdown`). Ends a drain that is under way. */
  close(): void;
}

/** Where sinks report state changes: an event and its fields, never once per row. */
export interface SinkLog {
  error(event: string, fields: Record<string, unknown>): void;
  warn(event: string, fields: Record<string, unknown>): void;
  info(event: string, fields: Record<string, unknown>): void;
  debug(event: string, fields: Record<string, unknown>): void;
}

/** The part of the configuration that sinks read. */
export type SinkConfig = Pick<SuiteConfig, "carbon" | "file" | "console">;

/** All that a sink may use of the world, besides its own socket. */
export interface SinkContext {
  readonly config: SinkConfig;
  readonly log: SinkLog;
  readonly clock: Clock;
  readonly random: Random;
  /** Asked before rows leave; none lets everything through. */
  readonly fence?: WriteFence;
  /** How output names of this suite's own metrics begin; the console shows them apart. None by default. */
  readonly ownPrefixes?: readonly string[];
  /** Where the console sink writes; standard output by default. */
  readonly output?: ConsoleOutput;
}

/** Makes the sinks of one name, perhaps none. name: as in `sinks`, such as `carbon` or `carbon.NAME`. */
export type SinkFactory = (context: SinkContext, name: string) => Sink[];

/** Every kind of sink there is, by what stands before the dot of its names. */
export const SINKS: Readonly<Record<string, SinkFactory>> = {
  carbon: createCarbonSinks,
  file: createFileSinks,
  console: createConsoleSinks,
};

/** Makes the sinks of one name, which the configuration has checked. */
export function openSink(name: string, context: SinkContext): Sink[] {
  return SINKS[name.split(".")[0]!]?.(context, name) ?? [];
}

/**
 * Makes the sinks named, which the configuration has checked. Nothing is connected before there are rows.
 */
export function openSinks(names: readonly string[], context: SinkContext): Sink[] {
  return names.flatMap((name) => openSink(name, context));
}
