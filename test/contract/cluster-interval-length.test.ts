/** State of intervals of another length is not taken for state of these. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { NodeState } from "../../cluster/disk/node-state.ts";
import { openStateFolder } from "../../cluster/disk/state-folder.ts";

const REGISTER = { pending: { term: 7, revision: 1, manifest: [{ source: "a0.0.1", from: 0, to: 1 }] } };

/** Opens the state folder with a length of intervals, as often as it is called, and notes what is logged. */
function newFolder(context: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "cluster-interval-"));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  const folder = join(root, "state");
  const logged: unknown[] = [];
  const log = { warn: (event: string, fields: object = {}) => void logged.push({ event, ...fields }) };
  const during = async <T>(intervalMs: number, act: (state: NodeState) => Promise<T> | T): Promise<T> => {
    const state = await openStateFolder(folder, log, intervalMs);
    try {
      return await act(state);
    } finally {
      await state.close();
    }
  };
  return { folder, logged, during };
}

function save(state: NodeState, interval: number): Promise<boolean> {
  return new Promise((resolve) => state.saveRegister(interval, REGISTER, resolve));
}

function intervalsOf({ saved }: NodeState): number[] {
  return saved.registers.map(([interval]) => interval);
}

test("registers of intervals of another length are removed, and the vote stays", async (context) => {
  const { folder, logged, during } = newFolder(context);
  await during(5000, async (state) => {
    assert.equal(await save(state, 359_057_189), true);
    await new Promise((resolve) => state.saveVote({ term: 7, votedFor: "node-b" }, resolve));
  });
  await during(5000, (state) => assert.deepEqual(intervalsOf(state), [359_057_189]));
  assert.deepEqual(logged, []);
  await during(30_000, (state) => {
    assert.deepEqual(intervalsOf(state), []);
    assert.equal(state.saved.isEmpty, true, "so that it asks the others");
    assert.deepEqual(state.saved.vote, { term: 7, votedFor: "node-b" });
  });
  assert.deepEqual(logged, [{ event: "state.interval_changed", folder, wasMs: 5000, intervalMs: 30_000 }]);
  await during(30_000, (state) => save(state, 59_842_882));
  await during(30_000, (state) => assert.deepEqual(intervalsOf(state), [59_842_882]));
  assert.equal(logged.length, 1);
});

test("registers stay where the length cannot be read", async (context) => {
  const { folder, logged, during } = newFolder(context);
  await during(5000, (state) => save(state, 1));
  writeFileSync(join(folder, "interval"), "");
  await during(5000, (state) => assert.deepEqual(intervalsOf(state), [1]));
  assert.deepEqual(logged, []);
  await during(1000, (state) => assert.deepEqual(intervalsOf(state), [], "it is known again"));
});
