/** The alarm for intervals that are not flushed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Watchdog } from "../../aggregator/watchdog.ts";
import { ManualClock } from "../support/manual-clock.ts";

function newWatchdog(intervalsMax: number, lateWindowMs = 0) {
  const clock = new ManualClock();
  const alarms: number[] = [];
  const alarm = (silentMs: number): void => {
    alarms.push(silentMs);
  };
  const watchdog = new Watchdog({ intervalMs: 1000, intervalsMax, lateWindowMs, clock, alarm });
  return { clock, alarms, watchdog };
}

test("flushes in time raise no alarm", () => {
  const { clock, alarms, watchdog } = newWatchdog(1);
  for (let k = 0; k < 20; k++) {
    clock.advance(1000 + (k % 2) * 500);
    watchdog.flushed();
  }
  assert.deepEqual(alarms, []);
});

test("a stretch without a flush raises one alarm, and the next stretch another", () => {
  const { clock, alarms, watchdog } = newWatchdog(3);
  clock.advance(4000);
  assert.deepEqual(alarms, []);
  clock.advance(10_000);
  assert.equal(alarms.length, 1);
  assert.ok(alarms[0]! > 4000 && alarms[0]! <= 4250, `${alarms[0]}`);
  assert.equal(watchdog.isAlarmed, true);
  watchdog.flushed();
  assert.equal(watchdog.isAlarmed, false);
  clock.advance(10_000);
  assert.equal(alarms.length, 2);
});

test("late lines are waited for without an alarm", () => {
  const { clock, alarms } = newWatchdog(1, 5000);
  clock.advance(7000);
  assert.deepEqual(alarms, []);
  clock.advance(250);
  assert.equal(alarms.length, 1);
});

test("an interval that another node delivers counts, and none counts twice", () => {
  const { clock, alarms, watchdog } = newWatchdog(1);
  for (let interval = 5; interval < 15; interval++) {
    clock.advance(1500);
    watchdog.delivered(interval);
  }
  assert.deepEqual(alarms, []);
  for (let look = 0; look < 3; look++) {
    clock.advance(1000);
    watchdog.delivered(14 - look);
  }
  assert.equal(alarms.length, 1);
});

test("it can be off, and it can be stopped", () => {
  const off = newWatchdog(0);
  off.clock.advance(100_000);
  assert.deepEqual(off.alarms, []);
  const stopped = newWatchdog(1);
  stopped.watchdog.stop();
  stopped.clock.advance(100_000);
  assert.deepEqual(stopped.alarms, []);
});
