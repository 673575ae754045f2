/** A set of sinks as a node of a cluster has it: orders with tickets, and a fence that the test moves. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeliveryTicket, type TicketOrder } from "../../aggregator/sink/delivery-ticket.ts";
import type { SinkConfig, SinkContext, SinkStatus } from "../../aggregator/sink/sink.ts";
import type { WriteFence } from "../../aggregator/sink/write-fence.ts";
import { SinkSet } from "../../aggregator/sink-set.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";
import { parseConfig } from "../../shared/config.ts";
import { seededRandom } from "../../shared/random.ts";
import { batchOf, numberedRows } from "./rows.ts";
import { FakeLog, stopSinks } from "./sinks.ts";

const defaults = parseConfig("[carbon]\nretry-delay = 4ms\nretry-delay-max = 20ms\n", "test");
const sets: SinkSet[] = [];
const folders: string[] = [];

/** Closes every set, stops carbons, and removes every folder. */
export async function stopOrdered(): Promise<void> {
  for (const set of sets.splice(0)) set.close();
  await stopSinks();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** An empty folder that stopOrdered removes. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "ordered-"));
  folders.push(folder);
  return folder;
}

/** Lets intervals below `from` through. */
export class TestFence implements WriteFence {
  from = Number.POSITIVE_INFINITY;
  /** Questions asked. */
  askedCount = 0;
  /** Told of each question before it is answered. */
  onAsk: () => void = () => {};

  mayWrite(interval: number): boolean {
    this.askedCount++;
    this.onAsk();
    return interval < this.from;
  }
}

/** Each row has the interval's timestamp: ten seconds each. */
export function timestampOf(interval: number): number {
  return 1_700_000_000 + interval * 10;
}

export class OrderedSinks {
  readonly log = new FakeLog();
  readonly fence = new TestFence();
  readonly set: SinkSet;
  /** What tickets told, as `interval.revision sink isDelivered`, with the port of a carbon left out. */
  readonly told: string[] = [];
  readonly context: SinkContext;

  constructor(
    names: string[],
    changes: Partial<SinkConfig>,
    more: Partial<SinkContext> = {},
    clock: Clock = systemClock,
  ) {
    const config = { ...defaults, ...changes };
    const { log, fence } = this;
    this.context = { config, log, clock, random: seededRandom(1), fence, ...more };
    this.set = new SinkSet(names, this.context);
    sets.push(this.set);
  }

  /** The section [carbon] for some ports of loopback. */
  static carbon(ports: readonly number[], more: object = {}): Pick<SinkConfig, "carbon"> {
    const address = ports.map((port) => ({ host: "127.0.0.1", port }));
    return { carbon: { ...defaults.carbon, address, ...more } };
  }

  /** The section [file] for a path. */
  static file(path: string, more: Partial<SinkConfig["file"]> = {}): Pick<SinkConfig, "file"> {
    return { file: { ...defaults.file, path, ...more } };
  }

  /** Hands over an order of some batches, of `rows` rows each. Returns its ticket. */
  give(interval: number, changes: Partial<TicketOrder> = {}, batchCount = 1, rows = 10): DeliveryTicket {
    const order = { interval, revision: 0, cause: "first", isInDoubt: false, deliveredTo: [], ...changes };
    const ticket = new DeliveryTicket(order as TicketOrder, (sink, isDelivered) => {
      this.told.push(`${interval}.${order.revision} ${sink} ${isDelivered}`);
    });
    for (let batch = 1; batch <= batchCount; batch++) {
      const prefix = `interval${interval}.revision${order.revision}.batch${batch}`;
      this.set.accept(
        batchOf(numberedRows(prefix, rows), {
          interval,
          revision: order.revision,
          timestampSec: timestampOf(interval),
          lastOfInterval: batch === batchCount,
          ticket,
        }),
      );
    }
    return ticket;
  }

  /** The status of the first sink, or of the one named. */
  status(name?: string): SinkStatus {
    const statuses = this.set.statuses();
    const status = name === undefined ? statuses[0] : statuses.find((one) => one.name === name);
    if (status === undefined) throw new Error(`no status of ${name}`);
    return status;
  }

  /** Rows that every sink knows of: accepted and restored ones are all there. */
  known(name?: string): number {
    const { rowsSent, queuedRows, spooledRows = 0, rowsLost, rowsHandedOver = 0 } = this.status(name);
    const lost = Object.values(rowsLost).reduce((sum, rows) => sum + rows, 0);
    return rowsSent + queuedRows + spooledRows + lost + rowsHandedOver;
  }

  drained(): Promise<boolean> {
    return this.set.drain(systemClock.monotonicMs() + 20_000);
  }
}

/** The intervals that lines of carbon are of, each once, in the order in which they came. */
export function intervalsOf(lines: readonly string[]): number[] {
  return [...new Set(lines.map((line) => Number(/^interval(\d+)\./.exec(line)?.[1])))];
}
