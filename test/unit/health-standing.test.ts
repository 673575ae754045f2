/** Rise and fall counts, and the delay of a return. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GOOD, type Verdict, verdictOf } from "../../relay/health/probe.ts";
import { Standing, type StandingOptions } from "../../relay/health/standing.ts";
import { ManualClock } from "../support/manual-clock.ts";

const VERDICTS: Record<string, Verdict> = {
  "+": GOOD,
  "-": { kind: "bad", fault: "x" },
  "?": { kind: "unknown", fault: "y" },
};

function begin(options: Partial<StandingOptions> = {}) {
  const clock = new ManualClock();
  const turns: boolean[] = [];
  const all = { rise: 2, fall: 3, returnDelayMs: 0, ...options };
  const standing: Standing = new Standing(all, clock, () => turns.push(standing.isWell));
  /** Takes verdicts, one a second; returns what it is after each: U for well, d for not. */
  const take = (verdicts: string): string =>
    [...verdicts]
      .map((sign) => {
        clock.advance(1000);
        standing.take(VERDICTS[sign]!);
        return standing.isWell ? "U" : "d";
      })
      .join("");
  return { clock, turns, standing, take };
}

test("it begins well, falls after `fall` bad checks in a row, rises after `rise` good ones", () => {
  const { take, turns } = begin();
  assert.equal(take("--+--+---"), "UUUUUUUUd");
  assert.equal(take("+-+-++"), "dddddU");
  assert.equal(take("--"), "UU");
  assert.deepEqual(turns, [false, true]);
});

test("one check is enough where the counts say so", () => {
  assert.equal(begin({ rise: 1, fall: 1 }).take("-+-+"), "dUdU");
});

test("a check that learned nothing neither counts nor breaks a row", () => {
  const { take } = begin();
  assert.equal(take("-?-??-"), "UUUUUd");
  assert.equal(take("???"), "ddd");
  assert.equal(take("+?+"), "ddU");
});

test("a return waits, and begins anew after a bad check", () => {
  const { take, clock, standing, turns } = begin({ returnDelayMs: 10_000 });
  assert.equal(take("---"), "UUd");
  // Good for long enough to rise, but not for the delay.
  assert.equal(take("+++++-"), "dddddd");
  clock.advance(60_000);
  assert.equal(standing.isWell, false);
  assert.equal(take("++"), "dd");
  clock.advance(9_999);
  assert.equal(standing.isWell, false);
  clock.advance(1);
  assert.equal(standing.isWell, true);
  assert.deepEqual(turns, [false, true]);
  assert.equal(take("--"), "UU");
});

test("closed, it does not return any more", () => {
  const { take, clock, standing } = begin({ returnDelayMs: 10 });
  take("---++");
  standing.close();
  clock.advance(1000);
  assert.equal(standing.isWell, false);
});

test("this machine's own faults are not blamed on a destination", () => {
  const error = (code: string) => Object.assign(new Error("text"), { code });
  assert.deepEqual(verdictOf(error("ECONNREFUSED")), { kind: "bad", fault: "ECONNREFUSED" });
  assert.deepEqual(verdictOf(error("EHOSTUNREACH")), { kind: "bad", fault: "EHOSTUNREACH" });
  assert.deepEqual(verdictOf(error("EMFILE")), { kind: "unknown", fault: "EMFILE" });
  assert.deepEqual(verdictOf(new Error("odd")), { kind: "bad", fault: "odd" });
});
