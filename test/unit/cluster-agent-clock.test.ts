// An agent's idea of the cluster's time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentClock } from "../../cluster/agent-clock.ts";

/** A clock, and a member whose clock is ahead of this machine's. */
class Rig {
  nowMs = 5000;
  wallMs = 1_000_000;
  /** What the member's clock shows, less this machine's monotonic clock. */
  memberMs = 1_002_000;
  answersAfterMs: number | undefined = 10;
  asked = 0;
  readonly clock: AgentClock;
  #answer: { readonly atMs: number; readonly askedMs: number; readonly clockMs: number } | undefined;

  constructor() {
    const clock = { monotonicMs: () => this.nowMs, wallMs: () => this.wallMs + this.nowMs };
    this.clock = new AgentClock(clock);
  }

  /** The cluster's time less this machine's monotonic time. */
  get offsetMs(): number {
    return this.clock.nowMs() - this.nowMs;
  }

  run(forMs: number): void {
    for (const untilMs = this.nowMs + forMs; this.nowMs < untilMs; this.nowMs += 10) {
      if (this.#answer !== undefined && this.#answer.atMs <= this.nowMs) {
        this.clock.receive(this.#answer.askedMs, this.#answer.clockMs);
        this.#answer = undefined;
      }
      if (this.nowMs % 50 === 0) this.clock.tick((askedMs) => this.#ask(askedMs));
    }
  }

  #ask(askedMs: number): void {
    this.asked += 1;
    if (this.answersAfterMs === undefined) return;
    const clockMs = askedMs + this.answersAfterMs / 2 + this.memberMs;
    this.#answer = { atMs: askedMs + this.answersAfterMs, askedMs, clockMs };
  }
}

test("the first timely answer is taken as it is", () => {
  const rig = new Rig();
  assert.equal(rig.offsetMs, rig.wallMs);
  rig.run(100);
  assert.equal(rig.offsetMs, rig.memberMs);
  assert.equal(rig.clock.isKnown, true);
});

test("late answers say nothing, and after a while the wall clock has to do", () => {
  const rig = new Rig();
  rig.answersAfterMs = 260;
  rig.run(4000);
  assert.ok(rig.asked > 5);
  assert.equal(rig.clock.isKnown, false);
  rig.wallMs += 70;
  rig.run(1100);
  assert.equal(rig.offsetMs, rig.wallMs);
  assert.equal(rig.clock.isKnown, true);
});

test("what differs a little is slewed away, never back", () => {
  const rig = new Rig();
  rig.run(100);
  const before = rig.offsetMs;
  rig.memberMs -= 100;
  rig.clock.connected();
  for (let turn = 0; turn < 200; turn++) {
    const then = rig.clock.nowMs();
    rig.run(10);
    assert.ok(rig.clock.nowMs() > then);
  }
  assert.ok(rig.offsetMs < before && rig.offsetMs > before - 60, `${rig.offsetMs - before}`);
  rig.run(10_000);
  assert.equal(rig.offsetMs, before - 100);
});

test("the quickest of the last answers counts", () => {
  const rig = new Rig();
  rig.run(100);
  // Late by 200 ms, all of it on the way back: what it says is wrong by 100 ms.
  rig.clock.receive(rig.nowMs - 200, rig.nowMs - 200 + rig.memberMs);
  rig.run(1000);
  assert.equal(rig.offsetMs, rig.memberMs);
});

test("a step of the cluster is followed once it has lasted", () => {
  const rig = new Rig();
  rig.run(100);
  const before = rig.offsetMs;
  rig.memberMs += 60_000;
  rig.run(4000);
  assert.equal(rig.offsetMs, before);
  rig.run(8000);
  assert.equal(rig.offsetMs, before + 60_000);
});

test("a wall clock that jumps is no matter", () => {
  const rig = new Rig();
  rig.run(100);
  rig.wallMs += 90_000;
  rig.answersAfterMs = undefined;
  rig.run(60_000);
  assert.equal(rig.offsetMs, rig.memberMs);
});
