/** The store as a cluster drives it: who folds the same deltas in the same order writes the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreOrders, type StoreReply, type WriteRows } from "../../aggregator/store-orders.ts";
import { readLabel } from "../../shared/wire.ts";
import { RIG_FIRST as FIRST, newStore, RIG_INTERVAL_MS } from "../support/store-rig.ts";

const IDLE = { counterMs: 0, gaugeMs: 0, timerMs: 0, setMs: 0, gaugeLevelMs: Number.POSITIVE_INFINITY };

/** A node's store, driven by hand. */
async function newNode(
  node: bigint,
  options: Parameters<typeof newStore>[0] = {},
  levelsBytesMax: number | undefined = undefined,
) {
  const rig = await newStore(options);
  const replies: StoreReply[] = [];
  const label = { node, incarnation: 1n, intervalMs: RIG_INTERVAL_MS };
  const reply = (message: StoreReply): void => void replies.push(message);
  const orders = new StoreOrders(rig.store, label, rig.counters, reply, levelsBytesMax);
  const folded = new Map<number, number>();
  let ids = 0;
  const take = (order: Parameters<StoreOrders["take"]>[0]) => orders.take(order, () => {});
  const fold = async (...frames: Uint8Array[]) => {
    for (const frame of frames) {
      const { interval } = readLabel(frame)!;
      folded.set(interval, (folded.get(interval) ?? 0) + 1);
      await take({ kind: "fold", frame, isAgain: false });
    }
  };
  const write = async (interval: number, more: Partial<WriteRows> = {}) => {
    rig.flushed.delete(interval);
    ids += 1;
    await take({
      kind: "write",
      order: { id: ids, cause: "first", deliveredTo: [], isInDoubt: false, yieldCount: 0 },
      interval,
      revision: 0,
      isPartial: false,
      deltas: folded.get(interval) ?? 0,
      isFirst: true,
      ...more,
    });
    return Object.fromEntries(rig.flushed.get(interval) ?? []);
  };
  const close = async (interval: number) => {
    folded.delete(interval);
    await take({ kind: "close", interval });
  };
  const drop = async (interval: number) => {
    folded.delete(interval);
    await take({ kind: "drop", interval });
  };
  /** The levels that an interval starts from, folded as well. */
  const prepare = async (interval: number) => {
    await take({ kind: "prepare", id: 1, interval });
    const reply = replies.pop()!;
    assert.ok(reply.kind === "prepared");
    if (reply.levels !== undefined) await fold(reply.levels);
    return reply.levels;
  };
  const copy = async () => {
    await take({ kind: "export", id: 2 });
    const reply = replies.pop()!;
    assert.ok(reply.kind === "exported");
    return reply.kept;
  };
  return { ...rig, take, fold, write, close, drop, prepare, copy, replies };
}

test("levels that one node has prepared make all others write the same", async () => {
  const [leader, other] = [await newNode(1n), await newNode(2n)];
  const set = leader.frameOf(FIRST, ["g:10|g"]);
  await leader.fold(set);
  assert.equal(await leader.prepare(FIRST), undefined, "a gauge that was set starts from nothing");
  assert.deepEqual(await leader.write(FIRST), { g: 10 });
  await leader.close(FIRST);
  const changed = leader.frameOf(FIRST + 1, ["g:+5|g", "fresh:+1|g"]);
  await leader.fold(changed);
  const levels = await leader.prepare(FIRST + 1);
  assert.equal(readLabel(levels!)?.entries, 1, "one of the gauges has a level");
  assert.deepEqual(await leader.write(FIRST + 1), { g: 15, fresh: 1 });
  // The other has not seen the first interval, and still has the same numbers.
  await other.fold(changed, levels!);
  assert.deepEqual(await other.write(FIRST + 1), { g: 15, fresh: 1 });
  assert.deepEqual([leader.replies, other.replies], [[], []]);
});

test("a follower that closes what another wrote starts the next interval from it", async () => {
  const follower = await newNode(2n);
  await follower.fold(follower.frameOf(FIRST, ["g:10|g"]));
  await follower.close(FIRST);
  await follower.fold(follower.frameOf(FIRST + 1, ["g:-1|g"]));
  await follower.prepare(FIRST + 1);
  assert.deepEqual(await follower.write(FIRST + 1), { g: 9 });
});

test("an amendment writes the names of what was added, with all that they have", async () => {
  const node = await newNode(1n);
  const early = node.frameOf(FIRST, ["a:1|c", "b:1|c"]);
  const late = node.frameOf(FIRST, ["b:2|c", "c:4|c"]);
  await node.fold(early);
  assert.deepEqual(await node.write(FIRST), { a: 1, b: 1 });
  await node.close(FIRST);
  await node.fold(early, late);
  const order = { id: 9, cause: "amend", deliveredTo: [], isInDoubt: false, yieldCount: 0 } as const;
  const amended = await node.write(FIRST, { order, revision: 1, isFirst: false, only: [late] });
  assert.deepEqual(amended, { b: 3, c: 4 });
  assert.equal(node.batches.at(-1)?.revision, 1);
});

test("an amendment leaves a level that a later interval has set", async () => {
  const node = await newNode(1n);
  const early = node.frameOf(FIRST, ["g:1|g"]);
  await node.fold(early);
  await node.close(FIRST);
  await node.fold(node.frameOf(FIRST + 1, ["g:7|g"]));
  await node.close(FIRST + 1);
  await node.fold(early, node.frameOf(FIRST, ["g:2|g", "late:3|g"]));
  await node.close(FIRST);
  await node.fold(node.frameOf(FIRST + 2, ["g:+1|g", "late:+1|g"]));
  await node.prepare(FIRST + 2);
  assert.deepEqual(await node.write(FIRST + 2), { g: 8, late: 4 });
});

test("what is dropped is gone, and folded anew it is whole", async () => {
  const node = await newNode(1n);
  const frame = node.frameOf(FIRST, ["a:1|c"]);
  await node.fold(frame);
  await node.drop(FIRST);
  await node.fold(frame);
  assert.deepEqual(await node.write(FIRST), { a: 1 });
  assert.deepEqual(node.replies, []);
});

test("a table that is not what the order was made for is told of", async () => {
  const node = await newNode(1n);
  await node.fold(node.frameOf(FIRST, ["a:1|c"]));
  await node.write(FIRST, { deltas: 2 });
  assert.deepEqual(node.replies, [{ kind: "incomplete", interval: FIRST, deltas: 2, found: 1 }]);
});

test("a node that begins takes over what outlives intervals", async () => {
  const [old, fresh] = [await newNode(1n, { idle: { ...IDLE, gaugeMs: 60_000 } }), await newNode(2n)];
  assert.equal(await old.copy(), undefined, "nothing has been closed");
  await old.fold(old.frameOf(FIRST, ["g:10|g", "h:20|g"]));
  await old.close(FIRST);
  const copy = await old.copy();
  await fresh.take({ kind: "import", kept: copy! });
  await fresh.fold(fresh.frameOf(FIRST + 1, ["g:+1|g"]));
  await fresh.prepare(FIRST + 1);
  assert.deepEqual(await fresh.write(FIRST + 1), { g: 11 });
  // Of the copy nothing may go wrong, whatever it is.
  for (const bytes of [new Uint8Array(3), new Uint8Array(40).fill(255), copy!.slice(0, -3)]) {
    await fresh.take({ kind: "import", kept: bytes });
  }
  assert.equal(fresh.counters.get("invalidFrames"), 3);
});

test("idle series are written once for an interval, by whoever writes it first", async () => {
  const node = await newNode(1n, { idle: { ...IDLE, gaugeMs: 60_000 } });
  await node.fold(node.frameOf(FIRST, ["g:10|g"]));
  assert.deepEqual(await node.write(FIRST), { g: 10 });
  await node.close(FIRST);
  assert.deepEqual(await node.write(FIRST + 1), { g: 10 }, "an empty interval shows it");
  await node.close(FIRST + 1);
  const settle = { id: 3, cause: "settle", deliveredTo: [], isInDoubt: false, yieldCount: 0 } as const;
  assert.deepEqual(await node.write(FIRST + 1, { order: settle, isFirst: false }), {});
});

test("who takes over an interval that it has closed already writes idle series in it as well", async () => {
  const node = await newNode(1n, { idle: { ...IDLE, gaugeMs: 60_000 } });
  await node.fold(node.frameOf(FIRST, ["idle:10|g"]));
  await node.close(FIRST);
  const frame = node.frameOf(FIRST + 1, ["a:1|c"]);
  await node.fold(frame);
  // Some of the sinks have it, as its leader has told before it went.
  await node.close(FIRST + 1);
  await node.fold(frame);
  const order = { id: 7, cause: "takeover", deliveredTo: [], isInDoubt: false, yieldCount: 0 } as const;
  assert.deepEqual(await node.write(FIRST + 1, { order }), { a: 1, idle: 10 });
});

test("more levels than fit into a delta are left out, and counted", async () => {
  const node = await newNode(1n, {}, 10);
  await node.fold(node.frameOf(FIRST, ["g:10|g"]));
  await node.close(FIRST);
  await node.fold(node.frameOf(FIRST + 1, ["g:+5|g"]));
  assert.equal(await node.prepare(FIRST + 1), undefined);
  assert.equal(node.counters.get("forgottenBases"), 1);
});

test("many intervals are open at a time where others bound them", async () => {
  const node = await newNode(1n);
  const frames = Array.from({ length: 12 }, (_, index) => node.frameOf(FIRST + index, ["a:1|c"]));
  await node.fold(...frames);
  assert.deepEqual(await node.write(FIRST + 11), { a: 1 });
  assert.deepEqual(node.replies, []);
});

test("own rows count from the interval before, whichever node wrote that", async () => {
  const node = await newNode(1n);
  let asked = 0;
  node.store.writer.ownRows = () => {
    asked += 1;
    return [{ name: Buffer.from("own"), value: asked }];
  };
  await node.close(FIRST);
  assert.deepEqual(await node.write(FIRST + 1), { own: 2 });
  await node.close(FIRST + 1);
  assert.equal(asked, 2, "what is closed behind its writing was counted");
});

/** Closes an interval with these lines, as the first that are heard of it. */
async function closeWith(node: Awaited<ReturnType<typeof newNode>>, interval: number, lines: string[]) {
  const frame = node.frameOf(interval, lines);
  await node.fold(frame);
  const levels = await node.prepare(interval);
  const rows = await node.write(interval);
  await node.close(interval);
  return { rows, frames: levels === undefined ? [frame] : [frame, levels] };
}

/** Closes it again with one more frame; returns its rows. */
async function amend(
  node: Awaited<ReturnType<typeof newNode>>,
  interval: number,
  frames: readonly Uint8Array[],
  lines: string[],
) {
  await node.fold(...frames, node.frameOf(interval, lines));
  await node.prepare(interval);
  const rows = await node.write(interval, { isFirst: false, revision: 1 });
  await node.close(interval);
  return rows;
}

test("late changes of a gauge start from its level then, and are part of all later ones", async () => {
  const node = await newNode(1n);
  const frames: Uint8Array[][] = [];
  for (let k = 0; k < 3; k++) frames.push((await closeWith(node, FIRST + k, ["a:+10|g", "x:1|c"])).frames);
  // One whose lines were cut off comes back.
  await closeWith(node, FIRST + 3, ["a:+10|g", "b:+1|g"]);
  assert.deepEqual(await amend(node, FIRST + 1, frames[1]!, ["a:+5|g", "b:+2|g"]), { a: 25, b: 2, x: 1 });
  assert.deepEqual(await amend(node, FIRST + 2, frames[2]!, ["b:+4|g"]), { a: 30, b: 6, x: 1 });
  assert.deepEqual((await closeWith(node, FIRST + 4, ["a:+1|g", "b:+1|g"])).rows, { a: 46, b: 8 });
});

test("late changes of a gauge end where it was set", async () => {
  const node = await newNode(1n);
  const { frames } = await closeWith(node, FIRST, ["a:+10|g"]);
  await closeWith(node, FIRST + 1, ["a:100|g"]);
  await closeWith(node, FIRST + 2, ["a:+1|g"]);
  assert.deepEqual(await amend(node, FIRST, frames, ["a:+5|g"]), { a: 15 });
  assert.deepEqual((await closeWith(node, FIRST + 3, ["a:+1|g"])).rows, { a: 102 });
});

test("a gauge that was set late is what later changes are added to", async () => {
  const node = await newNode(1n);
  await closeWith(node, FIRST, ["a:+10|g"]);
  const { frames } = await closeWith(node, FIRST + 1, ["x:1|c"]);
  await closeWith(node, FIRST + 2, ["a:+1|g"]);
  assert.deepEqual(await amend(node, FIRST + 1, frames, ["a:50|g"]), { a: 50, x: 1 });
  assert.deepEqual((await closeWith(node, FIRST + 3, ["a:+1|g"])).rows, { a: 52 });
});

test("nodes that amend in another order have the same levels", async () => {
  const lines = (k: number) => [`a:+${k + 1}|g`, "b:+1|g"];
  const late = [["a:+100|g"], ["b:+50|g", "c:+7|g"], ["c:+1|g"]];
  const results = [];
  for (const order of [
    [0, 1, 2],
    [2, 0, 1],
    [1, 2, 0],
  ]) {
    const node = await newNode(1n);
    const frames: Uint8Array[][] = [];
    for (let k = 0; k < 4; k++) frames.push((await closeWith(node, FIRST + k, lines(k))).frames);
    for (const k of order) await amend(node, FIRST + k, frames[k]!, late[k]!);
    results.push((await closeWith(node, FIRST + 4, ["a:+0|g", "b:+0|g", "c:+0|g"])).rows);
  }
  assert.deepEqual(results[0], { a: 110, b: 54, c: 8 });
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});

test("what becomes part of an interval while the next one is being decided goes on behind that", async () => {
  const node = await newNode(1n);
  const { frames } = await closeWith(node, FIRST, ["a:+10|g"]);
  const next = node.frameOf(FIRST + 1, ["a:+1|g"]);
  await node.fold(next);
  await node.prepare(FIRST + 1);
  assert.deepEqual(await amend(node, FIRST, frames, ["a:+5|g"]), { a: 15 });
  assert.deepEqual(await node.write(FIRST + 1), { a: 11 }, "as it was decided");
  await node.close(FIRST + 1);
  assert.deepEqual((await closeWith(node, FIRST + 2, ["a:+1|g"])).rows, { a: 17 });
});

test("an interval that is amended once more keeps what the one before it has got meanwhile", async () => {
  const node = await newNode(1n);
  const first = await closeWith(node, FIRST, ["a:+10|g"]);
  const second = await closeWith(node, FIRST + 1, ["a:+1|g"]);
  assert.deepEqual(await amend(node, FIRST, first.frames, ["a:+5|g"]), { a: 15 });
  await amend(node, FIRST + 1, second.frames, ["a:+2|g"]);
  assert.deepEqual((await closeWith(node, FIRST + 2, ["a:+1|g"])).rows, { a: 19 });
});
