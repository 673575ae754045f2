/** An outlet in the test's own thread, driven through its real ports. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { type Handoff, newBacklog } from "../../relay/outlet/handoff.ts";
import {
  newOutletCounters,
  type OutletCounter,
  outletConservationError,
  readOutletCounters,
} from "../../relay/outlet/ledger.ts";
import type { ChannelOrder, OutletMessage, OutletOptions, OutletReport } from "../../relay/outlet/order.ts";
import { Outlet } from "../../relay/outlet/outlet.ts";
import { Segment } from "../../relay/outlet/segment.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import { systemRandom } from "../../shared/random.ts";
import { waitFor } from "./wait-for.ts";

/** Short pauses, and bounds that nothing reaches unless a test lowers them. */
export const RIG_OPTIONS: OutletOptions = {
  queueBytesMax: 16 << 20,
  queueAgeMs: 60_000,
  connectTimeoutMs: 2_000,
  writeTimeoutMs: 5_000,
  retryDelayMs: 5,
  retryDelayMultiplier: 1.5,
  retryDelayMaxMs: 50,
  tls: { verify: true },
  holdBytesMax: 64 << 20,
  holdAgeMs: 600_000,
  spoolBytesMax: 64 << 20,
  replayLinesPerSecond: 1_000_000,
};

/** A folder of its own for each caller. */
export function newSpoolDir(): string {
  return mkdtempSync(join(tmpdir(), "statsrelay-spool-"));
}

/** Makes an order; by default of TCP to a port of loopback with the policy `keep`. */
export function channelOrder(id: number, fields: Partial<ChannelOrder>): ChannelOrder {
  return {
    id,
    key: `main 127.0.0.1:${id}`,
    text: `127.0.0.1:${id}`,
    protocol: "tcp",
    host: "127.0.0.1",
    policy: "keep",
    counters: newOutletCounters(),
    backlog: newBacklog(),
    ...fields,
  };
}

/** Makes what a receiver posts. packets: texts of whole lines. */
export function handoff(channel: number, packets: readonly string[]): Handoff {
  const pieces = packets.map((text) => Buffer.from(text, "latin1"));
  const bytes = new Uint8Array(Buffer.concat(pieces)).buffer;
  const table = new Uint32Array(
    pieces.flatMap((piece) => [piece.length, piece.filter((b) => b === 10).length]),
  );
  return { channel, bytes, table };
}

export class OutletRig {
  readonly reports: OutletReport[] = [];
  /** Events that were logged. */
  readonly events: string[] = [];
  readonly #control: MessagePort;
  readonly #receiver: MessagePort;
  readonly #orders = new Map<number, ChannelOrder>();
  #isDrained = false;

  /** t: the test, at whose end a rig that it did not drain ends too: a failed one shall not keep its file. */
  constructor(t?: { after(end: () => Promise<void>): void }) {
    t?.after(() => this.drain(0));
    const control = new MessageChannel();
    const receiver = new MessageChannel();
    const note = (event: string) => void this.events.push(event);
    const log: Log = { error: note, warn: note, info: note, debug: note };
    new Outlet(control.port2, { clock: systemClock, random: systemRandom, log });
    this.#control = control.port1;
    this.#receiver = receiver.port1;
    this.#control.on("message", (report: OutletReport) => this.reports.push(report));
    this.#control.postMessage({ kind: "port", port: receiver.port2 }, [receiver.port2]);
  }

  /** The whole wanted set of channels. */
  order(orders: readonly ChannelOrder[], options: Partial<OutletOptions> = {}): void {
    for (const order of orders) this.#orders.set(order.id, order);
    this.tell({ kind: "channels", channels: orders, options: { ...RIG_OPTIONS, ...options } });
  }

  tell(message: OutletMessage): void {
    this.#control.postMessage(message);
  }

  /** Hands packets over, as one receiver's batch. */
  send(id: number, packets: readonly string[]): void {
    const one = handoff(id, packets);
    const backlog = new Int32Array(this.#orders.get(id)!.backlog);
    Atomics.add(backlog, 0, one.bytes.byteLength + one.table.byteLength);
    this.#receiver.postMessage(one, [one.bytes, one.table.buffer as ArrayBuffer]);
  }

  /** Counters of a channel; every line in them is accounted for. */
  counters(id: number): Record<OutletCounter, number> {
    const counters = readOutletCounters(this.#orders.get(id)!.counters);
    assert.equal(outletConservationError(counters), 0, JSON.stringify(counters));
    return counters;
  }

  /** Bytes under way to a channel. */
  backlog(id: number): number {
    return new Int32Array(this.#orders.get(id)!.backlog)[0]!;
  }

  /** Waits until a channel's counters are as claimed. */
  async until(id: number, what: string, claim: (counters: Record<OutletCounter, number>) => boolean) {
    try {
      await waitFor(what, () => claim(this.counters(id)));
    } catch (error) {
      throw new Error(`${(error as Error).message}; ${JSON.stringify(this.counters(id))}`);
    }
  }

  /** Segments in a spool that hold whole copies of gauges. */
  gaugeCopies(spoolDir: string): number {
    const segments = readdirSync(spoolDir).map((name) => Segment.adopt(join(spoolDir, name)));
    return segments.filter((segment) => segment?.kind === "gauges").length;
  }

  /** Drains and waits for the answer. May be called again. */
  async drain(deadlineMs = 5_000): Promise<void> {
    if (this.#isDrained) return;
    this.#isDrained = true;
    this.tell({ kind: "drain", deadlineMs });
    await waitFor("drained", () => this.reports.some(({ kind }) => kind === "drained"));
    this.#receiver.close();
  }
}
