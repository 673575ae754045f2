// Histories of an agent from seeds: whatever fails, each delta is at a member in the end, or declared lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentHistory, type AgentHistoryOptions } from "../support/agent-simulation.ts";
import { keyOf } from "../support/model-member.ts";

const ROOMY: AgentHistoryOptions = {
  holdBytesMax: 1 << 20,
  spoolBytesMax: 0,
  faultMs: 800,
  crashesAgent: false,
};
/** Of each kind of history. */
const SEEDS = 25;
const LENGTH_MS = 60_000;

interface Outcome {
  readonly history: AgentHistory;
  /** Samples that no member has, and that were not in the memory of a process that crashed. */
  readonly missing: number;
}

/** Lets a history happen, then lets all faults end. */
function live(seed: number, options: AgentHistoryOptions): Outcome {
  const history = new AgentHistory(seed, options);
  history.run(LENGTH_MS);
  history.isQuiet = true;
  const isDone = history.runUntil(() => {
    return history.agent.standing().heldDeltas === 0 && (history.spool?.bytes ?? 0) === 0;
  }, 60_000);
  assert.ok(isDone, `seed ${seed}: deltas still wait a minute after the last fault`);
  // What is on its way between members arrives.
  history.run(10_000);
  const lost = history.missing().filter((delta) => !history.crashed.has(keyOf(delta)));
  return { history, missing: lost.reduce((sum, { samples }) => sum + samples, 0) };
}

function eachSeed(options: AgentHistoryOptions, look: (seed: number, outcome: Outcome) => void): void {
  for (let seed = 1; seed <= SEEDS; seed++) look(seed, live(seed, options));
}

test("where there is room, nothing is lost whatever fails", () => {
  let failovers = 0;
  let repeated = 0;
  eachSeed(ROOMY, (seed, { history, missing }) => {
    assert.equal(missing, 0, `seed ${seed}`);
    assert.equal(history.dropped, 0, `seed ${seed}`);
    assert.ok(history.added.size > 300);
    failovers += history.agent.standing().failovers;
    repeated += history.members.reduce((sum, member) => sum + member.repeated, 0);
  });
  // The histories have what they are for.
  assert.ok(failovers > SEEDS * 5, `${failovers} failovers`);
  assert.ok(repeated > SEEDS * 5, `${repeated} repetitions`);
});

test("in little memory the oldest are dropped, and all that is missing was counted", () => {
  const holdBytesMax = 2000;
  let missingSum = 0;
  eachSeed({ ...ROOMY, holdBytesMax }, (seed, { history, missing }) => {
    // One that was sent, and dropped before it was acknowledged, may have arrived after all.
    assert.ok(missing <= history.dropped, `seed ${seed}: ${missing} missing, ${history.dropped} counted`);
    assert.ok(history.heldBytesMost <= holdBytesMax, `seed ${seed}: ${history.heldBytesMost} bytes`);
    missingSum += missing;
  });
  assert.ok(missingSum > 0, "nothing was dropped at all");
});

test("with a disk little memory is enough, and what is on it outlives the agent", () => {
  let crashes = 0;
  const options = { ...ROOMY, holdBytesMax: 20_000, spoolBytesMax: 1 << 20, crashesAgent: true };
  eachSeed(options, (seed, { history, missing }) => {
    assert.equal(missing, 0, `seed ${seed}`);
    assert.equal(history.dropped, 0, `seed ${seed}`);
    crashes += history.crashed.size;
  });
  assert.ok(crashes > 0, "no process crashed");
});

test("what neither memory nor disk has room for is counted", () => {
  let missingSum = 0;
  eachSeed({ ...ROOMY, holdBytesMax: 2000, spoolBytesMax: 3000, crashesAgent: true }, (seed, outcome) => {
    const { history, missing } = outcome;
    assert.ok(missing <= history.dropped, `seed ${seed}: ${missing} missing, ${history.dropped} counted`);
    missingSum += missing;
  });
  assert.ok(missingSum > 0, "nothing was dropped at all");
});

test("what a crash of the agent costs was held for a few seconds at most, where there is a disk", () => {
  const options = { ...ROOMY, spoolBytesMax: 1 << 20, faultMs: 0 };
  const history = new AgentHistory(1, options);
  history.isIsolated = true;
  history.way.cut();
  history.run(30_000);
  history.crashAgent();
  const lost = [...history.crashed].map((key) => history.added.get(key)!.interval);
  assert.ok(
    lost.length > 0 && Math.min(...lost) >= history.interval - 4,
    `lost back to ${Math.min(...lost)}`,
  );
  history.isIsolated = false;
  history.isQuiet = true;
  assert.ok(history.runUntil(() => history.spool?.bytes === 0, 20_000));
  history.run(1000);
  assert.equal(history.missing().length, history.crashed.size);
});
