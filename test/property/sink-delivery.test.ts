// The queue of a sink, its disk spool and its receipts under all that can happen to them, in any order.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { DeliveryReceipt } from "../../aggregator/sink/delivery-ticket.ts";
import { BatchQueue, type Chunk } from "../../aggregator/sink/queue.ts";
import { BATCH_OVERHEAD_BYTES } from "../../aggregator/sink/queued-batch.ts";
import { Spool } from "../../aggregator/sink/spool/spool.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { FakeLog } from "../support/sinks.ts";
import { ForwardClock } from "../support/spooling.ts";

const RUNS = 200;
const AGE_MS = 10_000;
const ROWS = 5;
const BATCH_BYTES = batchOf(numberedRows("interval000.row", ROWS)).bytes.byteLength + BATCH_OVERHEAD_BYTES;

const folder = mkdtempSync(join(tmpdir(), "sink-delivery-"));
after(() => rmSync(folder, { recursive: true }));
let folderCount = 0;

/** What happens next; `pick` chooses among what there is. */
type Step =
  | { readonly kind: "push"; readonly interval: number; readonly isLast: boolean }
  | { readonly kind: "take" | "deliver" | "fail" | "expire" | "load"; readonly pick: number }
  | { readonly kind: "spill"; readonly count: number; readonly isLater: boolean }
  | { readonly kind: "fence" | "yield"; readonly floor: number }
  /** Turns of the event loop, in which the disk gets on. */
  | { readonly kind: "wait"; readonly turns: number };

const interval = fc.integer({ min: 0, max: 2 });
const pick = fc.nat({ max: 7 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("push" as const), interval, isLast: fc.boolean() }) },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constantFrom("take", "take", "deliver", "deliver", "fail", "load"),
      pick,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("expire" as const), pick }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("spill" as const),
      count: fc.integer({ min: 1, max: 3 }),
      isLater: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("fence", "yield"), floor: interval }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), turns: fc.integer({ min: 1, max: 6 }) }),
  },
) as fc.Arbitrary<Step>;

/** What a batch was told. */
interface Fate {
  readonly interval: number;
  settled: boolean[];
  isDelivered: boolean;
  isHandedOver: boolean;
}

/** A sink without sockets: the test is its remote. */
class Rig {
  readonly clock = new ForwardClock();
  readonly log = new FakeLog();
  readonly fates = new Map<number, Fate>();
  readonly spool: Spool;
  readonly queue: BatchQueue;
  readonly chunks: Chunk[] = [];
  readonly pending = new Set<Promise<void>>();
  lost = 0;
  delivered = 0;
  handedOver = 0;
  fenceFrom = Number.POSITIVE_INFINITY;
  #isSpilling = false;
  #isLoading = false;

  constructor() {
    const lose = (_reason: string, rows: number): void => {
      this.lost += rows;
    };
    this.queue = new BatchQueue({ bytesMax: BATCH_BYTES * 6, ageMs: AGE_MS }, this.clock, lose);
    this.spool = new Spool(
      join(folder, String(folderCount++)),
      // Some segments of a few batches each, so that the oldest ones are pushed out.
      { bytesMax: BATCH_BYTES * 4, ageMs: AGE_MS * 2 },
      "sink",
      this.log,
      this.clock,
      lose,
      () => this.queue.unload(),
    );
    assert.equal(this.spool.open(), undefined);
  }

  push(step: Extract<Step, { kind: "push" }>): void {
    const id = this.fates.size;
    const fate: Fate = { interval: step.interval, settled: [], isDelivered: false, isHandedOver: false };
    this.fates.set(id, fate);
    const receipt = new DeliveryReceipt((isDelivered) => fate.settled.push(isDelivered));
    const rows = numberedRows(`interval${String(id).padStart(3, "0")}.row`, ROWS);
    const fields = { interval: step.interval, revision: id % 3, timestampSec: step.interval * 10 };
    this.queue.push(batchOf(rows, { ...fields, lastOfInterval: step.isLast, isOrdered: true, receipt }));
  }

  take(): void {
    const fence = { mayWrite: (one: number) => one < this.fenceFrom };
    const chunk = this.queue.take(BATCH_BYTES * 3, this.spool.hasUnread, fence);
    if (chunk === undefined) return;
    const intervals = new Set(chunk.batches.map((batch) => batch.interval));
    assert.equal(intervals.size, 1, "a chunk mixes intervals");
    assert.ok(fence.mayWrite(chunk.batches[0]!.interval), "the fence was closed");
    this.#assertNoOvertaking(chunk);
    this.chunks.push(chunk);
  }

  deliver(index: number): void {
    const [chunk] = this.chunks.splice(index % Math.max(1, this.chunks.length), 1);
    if (chunk === undefined) return;
    for (const batch of chunk.batches) this.fates.get(idOf(batch.bytes))!.isDelivered = true;
    this.queue.settle(chunk);
    this.delivered += chunk.rowCount;
  }

  fail(index: number): void {
    const [chunk] = this.chunks.splice(index % Math.max(1, this.chunks.length), 1);
    if (chunk !== undefined) this.queue.giveBack(chunk);
  }

  async spill(count: number): Promise<void> {
    if (this.#isSpilling) return;
    const batches = this.queue.spill(BATCH_BYTES * count);
    if (batches.length === 0) return;
    this.#isSpilling = true;
    const offsetMs = this.clock.nowMs() - this.clock.monotonicMs();
    const records = batches.map(({ batch, acceptedMs }) => ({ batch, acceptedMs: offsetMs + acceptedMs }));
    const isWritten = await this.spool.append(records, (copies) => this.queue.spilled(batches, copies));
    if (!isWritten) this.queue.keep(batches);
    this.#isSpilling = false;
  }

  async load(count: number): Promise<void> {
    if (this.#isLoading) return;
    this.#isLoading = true;
    const { unloadCount } = this.queue;
    const batches = await this.spool.load(BATCH_BYTES * count);
    this.#isLoading = false;
    const nowMs = this.clock.nowMs();
    for (const { batch, acceptedMs, copy } of batches) {
      if (unloadCount !== this.queue.unloadCount) copy.unload();
      else this.queue.restore(batch, this.clock.monotonicMs() - Math.max(0, nowMs - acceptedMs), copy);
    }
  }

  yieldFrom(floor: number): void {
    const isTheirs = (one: number): boolean => one >= floor;
    for (const chunk of this.chunks.splice(0)) {
      if (isTheirs(chunk.batches[0]!.interval)) this.queue.giveBack(chunk);
      else this.chunks.push(chunk);
    }
    this.queue.unload();
    this.handedOver += this.spool.handOver(isTheirs) + this.queue.handOver(isTheirs);
    for (const fate of this.fates.values()) {
      if (isTheirs(fate.interval) && fate.settled.length === 0) fate.isHandedOver = true;
    }
  }

  /** Waits for what is under way, in the order in which it was begun. */
  async settle(): Promise<void> {
    await Promise.all(this.pending);
    this.pending.clear();
  }

  check(): void {
    const known = this.delivered + this.lost + this.handedOver + this.queue.rowCount + this.spool.rows;
    assert.equal(known, this.fates.size * ROWS, "rows are unaccounted for");
    for (const [id, { settled, isDelivered, isHandedOver }] of this.fates) {
      assert.ok(settled.length <= 1, `batch ${id} was settled ${settled.length} times`);
      if (settled.length === 1) assert.equal(settled[0], isDelivered, `batch ${id} was told wrongly`);
      if (isHandedOver) assert.deepEqual(settled, [], `batch ${id} is somebody else's`);
    }
  }

  /** Nothing of the same timestamp and another revision may be on its way: carbon keeps what comes last. */
  #assertNoOvertaking(chunk: Chunk): void {
    const [first = assert.fail()] = chunk.batches;
    for (const other of this.chunks) {
      const [one = assert.fail()] = other.batches;
      assert.ok(one.interval !== first.interval || one.revision === first.revision, "two revisions at once");
    }
  }
}

/** The number of a batch, which its first name begins with. */
function idOf(bytes: Uint8Array): number {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  return Number(/interval(\d{3})/.exec(text)?.[1]);
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function play(rig: Rig, step: Step): Promise<void> {
  if (step.kind === "push") rig.push(step);
  else if (step.kind === "take") rig.take();
  else if (step.kind === "deliver") rig.deliver(step.pick);
  else if (step.kind === "fail") rig.fail(step.pick);
  else if (step.kind === "fence") rig.fenceFrom = step.floor === 0 ? Number.POSITIVE_INFINITY : step.floor;
  else if (step.kind === "yield") rig.yieldFrom(step.floor);
  else if (step.kind === "wait") await turns(step.turns);
  else if (step.kind === "load") rig.pending.add(rig.load(1 + (step.pick % 3)));
  else if (step.kind === "spill") {
    rig.pending.add(rig.spill(step.count));
    if (!step.isLater) await rig.settle();
  } else {
    rig.clock.aheadMs += AGE_MS / 3;
    rig.queue.expire();
    rig.spool.tick();
  }
}

test("every batch is settled once, and truly, or is somebody else's", async () => {
  const steps = fc.array(step, { minLength: 20, maxLength: 120 });
  const property = fc.asyncProperty(steps, async (all) => {
    const rig = new Rig();
    for (const one of all) {
      await play(rig, one);
      // While something is written to disk it may be counted nowhere for a moment; it is settled then.
      if (rig.pending.size === 0) rig.check();
    }
    await rig.settle();
    rig.check();
    // In the end everything can be delivered.
    rig.fenceFrom = Number.POSITIVE_INFINITY;
    for (let turn = 0; turn < 200 && (!rig.queue.isEmpty || rig.spool.rows > 0); turn++) {
      while (rig.chunks.length > 0) rig.deliver(0);
      rig.take();
      if (rig.chunks.length === 0) await rig.load(2);
    }
    while (rig.chunks.length > 0) rig.deliver(0);
    rig.check();
    assert.deepEqual([rig.queue.rowCount, rig.spool.rows, rig.log.entries], [0, 0, []]);
    for (const [id, { settled, isHandedOver }] of rig.fates) {
      assert.equal(settled.length + Number(isHandedOver), 1, `batch ${id} was forgotten`);
    }
    rig.spool.close();
  });
  await fc.assert(property, { numRuns: RUNS, includeErrorInReport: true });
});
