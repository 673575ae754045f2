/** The clock that members label by. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterClock } from "../../cluster/cluster-clock.ts";
import type { Message } from "../../cluster/message.ts";
import { Peers } from "../../cluster/peers.ts";

const TICK_MS = 50;
const member = (name: string) => ({ name, isWitness: false });

/** Members' clocks over a network that answers after a delay; walls as the test sets them. */
class ClockRig {
  nowMs = 0;
  readonly wallOffsets = new Map<string, number>();
  readonly clocks = new Map<string, ClusterClock>();
  delayMs = 10;
  readonly #queue: { atMs: number; deliver: () => void }[] = [];
  readonly #names: readonly string[];

  constructor(...names: readonly string[]) {
    this.#names = names;
    for (const name of names) this.begin(name);
  }

  begin(name: string): ClusterClock {
    const peers = new Peers(name, this.#names.map(member));
    const clock = new ClusterClock(
      { monotonicMs: () => this.nowMs, wallMs: () => 1e9 + this.nowMs + (this.wallOffsets.get(name) ?? 0) },
      peers,
      {
        send: (to, message) => {
          const deliver = (): void => this.#receive(to, name, message);
          this.#queue.push({ atMs: this.nowMs + this.delayMs, deliver });
        },
        pendingBytes: () => 0,
      },
      "majority",
    );
    this.clocks.set(name, clock);
    return clock;
  }

  #receive(to: string, from: string, message: Message): void {
    const clock = this.clocks.get(to)!;
    if (message.kind === "clock-request") clock.answer(from, message.askedMs);
    else if (message.kind === "clock-answer") {
      clock.receive(from, message.askedMs, message.clockMs, message.wallMs);
    }
  }

  run(forMs: number, leader?: string): void {
    for (const untilMs = this.nowMs + forMs; this.nowMs < untilMs; ) {
      this.nowMs += 10;
      for (const one of this.#queue.splice(0)) {
        if (one.atMs <= this.nowMs) one.deliver();
        else this.#queue.push(one);
      }
      if (this.nowMs % TICK_MS !== 0) continue;
      for (const [name, clock] of this.clocks) clock.tick(name === leader ? undefined : leader);
    }
  }

  /** How far a member's clock is from the first wall, in milliseconds. */
  errorMs(name: string): number {
    return this.clocks.get(name)!.nowMs() - (1e9 + this.nowMs);
  }
}

test("a small difference is made up a millisecond at a tick", () => {
  const rig = new ClockRig("a", "b");
  rig.wallOffsets.set("a", 100);
  rig.run(1000);
  assert.equal(rig.errorMs("a"), 20);
  rig.run(9000);
  assert.equal(rig.errorMs("a"), 100);
});

test("a step of one wall clock is not followed, however long it lasts", () => {
  const rig = new ClockRig("a", "b", "c");
  rig.wallOffsets.set("a", 90_000);
  rig.run(120_000);
  assert.ok(Math.abs(rig.errorMs("a")) < 1);
});

test("a step that a majority has made is followed by these when it has lasted for 30 seconds", () => {
  const rig = new ClockRig("a", "b", "c");
  rig.run(1000);
  rig.wallOffsets.set("a", -90_000);
  rig.wallOffsets.set("b", -90_050);
  rig.run(29_000);
  assert.ok(Math.abs(rig.errorMs("a")) < 1);
  rig.run(4000);
  assert.ok(Math.abs(rig.errorMs("a") + 90_000) < 100);
  assert.ok(Math.abs(rig.errorMs("b") + 90_000) < 100);
  assert.ok(Math.abs(rig.errorMs("c")) < 1);
});

test("a leader whose wall clock is wrong follows the others, once these go by their own", () => {
  const rig = new ClockRig("a", "b", "c");
  rig.wallOffsets.set("a", 600_000);
  rig.begin("a").adoptOwn();
  rig.run(1000, "a");
  assert.ok(Math.abs(rig.errorMs("b") - 600_000) < 100, "it is the cluster's clock for now");
  rig.run(90_000, "a");
  for (const name of ["a", "b", "c"]) assert.ok(Math.abs(rig.errorMs(name)) < 100, name);
});

test("a member whose wall clock is wrong does not drift away from the others", () => {
  for (const names of [
    ["a", "b", "c"],
    ["a", "b"],
  ]) {
    const rig = new ClockRig(...names);
    rig.clocks.get("a")!.adoptOwn();
    rig.wallOffsets.set("b", 60_000);
    rig.begin("b");
    rig.run(1000, "a");
    // What others show drifts by a millisecond in a second.
    for (let passedMs = 0; passedMs < 300_000; passedMs += 1000) {
      for (const name of names.filter((one) => one !== "b")) {
        rig.wallOffsets.set(name, (rig.wallOffsets.get(name) ?? 0) + 1);
      }
      rig.run(1000, "a");
    }
    assert.ok(Math.abs(rig.errorMs("b") - rig.errorMs("a")) < 50, names.join(" "));
  }
});

test("alone, a step is followed at once", () => {
  const rig = new ClockRig("a");
  rig.wallOffsets.set("a", 5000);
  rig.run(100);
  assert.equal(rig.errorMs("a"), 5000);
});

test("a member that begins takes the leader's clock, once, and not over a slow way", () => {
  const rig = new ClockRig("a", "b");
  rig.clocks.get("a")!.adoptOwn();
  rig.wallOffsets.set("b", 60_000);
  rig.begin("b");
  rig.delayMs = 200;
  rig.run(2000, "a");
  assert.equal(rig.clocks.get("b")!.isAdopted, false);
  rig.delayMs = 40;
  rig.run(2000, "a");
  assert.equal(rig.clocks.get("b")!.isAdopted, true);
  assert.ok(Math.abs(rig.errorMs("b")) <= 40);
});
