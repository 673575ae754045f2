/** Wall clocks that jump or differ, made by libfaketime, which leaves the monotonic clock alone. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lasting } from "../support/fault-clock.ts";
import { FaultRig, type RigOptions } from "../support/fault-rig.ts";
import { type Check, type CheckContext, leftOut, type Row, rowOf, seconds } from "./check.ts";

const SCALE = "interval 2 s";
const LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const JUMP_SEC = 90;
const SKEW_MS = 200;
const WRONG_SHARE_MAX = 0.005;
/** Node whose clock is wrong. */
const VICTIM = "b";

/** Runs a cluster of which one node's wall clock is set by the function that is handed over, in seconds. */
async function withClock(
  context: CheckContext,
  words: Pick<Row, "id" | "title" | "target" | "scale">,
  startSec: number,
  run: (rig: FaultRig, setClock: (offsetSec: number) => void) => Promise<Row>,
): Promise<Row[]> {
  if (!existsSync(LIBRARY)) return [leftOut(words, "libfaketime is not installed")];
  const { network, logs } = context;
  let clockPath = "";
  const options: RigOptions = {
    ...(logs !== undefined && { logs }),
    environment: (name) => (name === VICTIM ? fakeTime(clockPath) : {}),
  };
  const rig = await FaultRig.prepare(network, options);
  try {
    clockPath = join(rig.folder, "clock");
    const setClock = (offsetSec: number) =>
      writeFileSync(clockPath, `${offsetSec < 0 ? "" : "+"}${offsetSec}\n`);
    setClock(startSec);
    await Promise.all(rig.names.map((name) => rig.start(name)));
    await rig.leader();
    for (const name of rig.names) await rig.untilReady(name);
    await rig.source.begin(...rig.names);
    return [await run(rig, setClock)];
  } finally {
    await rig.close();
  }
}

function fakeTime(path: string): Record<string, string> {
  return {
    LD_PRELOAD: LIBRARY,
    FAKETIME_TIMESTAMP_FILE: path,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    // Seconds for which the library goes by what it has read of the file.
    FAKETIME_CACHE_DURATION: "1",
  };
}

/** Lets the victim lead, or not, by killing whoever leads else. */
async function letLead(rig: FaultRig, isWanted: boolean): Promise<boolean> {
  for (let attempt = 0; attempt < 6; attempt++) {
    const leader = await rig.leader();
    if ((leader === VICTIM) === isWanted) return true;
    rig.source.end(leader);
    await rig.node(leader).stop();
    await rig.revive(leader);
  }
  return false;
}

const JUMP_WORDS = {
  id: "R10",
  title: "wall clock of one node jumps by 90 s, forth and back",
  target: "wrong interval at most 0.5 %, lost 0, no gap",
  scale: SCALE,
};

const jump: Check = {
  ids: ["R10"],
  runs: 2,
  shortRuns: 0,
  run: (context) =>
    withClock(context, JUMP_WORDS, 0, async (rig, setClock) => {
      const led: string[] = [];
      for (let run = 0; run < context.runs; run++) {
        // A leader and a follower in turn.
        const isLeader = (await letLead(rig, run % 2 === 0)) === (run % 2 === 0);
        led.push(isLeader ? "leader" : "follower");
        for (const offsetSec of [JUMP_SEC, 0, -JUMP_SEC, 0]) {
          await lasting(context.random.between(0, rig.intervalMs));
          setClock(offsetSec);
          await lasting(3 * rig.intervalMs);
        }
      }
      const balance = await rig.balance();
      const share = balance.wrongInterval / Math.max(1, balance.sent);
      const gaps = [...balance.lags.values()].filter((lagMs) => lagMs > rig.intervalMs).length;
      return rowOf(JUMP_WORDS, balance, {
        figure: `wrong interval ${(share * 100).toFixed(2)} %; done to ${led.join(" and ")}`,
        runs: context.runs,
        wrongMax: Math.floor(balance.sent * WRONG_SHARE_MAX),
        claims: { [`${gaps} intervals late by more than one`]: gaps === 0 },
      });
    }),
};

const SKEW_WORDS = {
  id: "R11",
  title: "wall clock of one node ahead by 200 ms",
  target: "only lines within 200 ms of an edge change sides",
  scale: SCALE,
};

const skew: Check = {
  ids: ["R11"],
  runs: 1,
  shortRuns: 0,
  run: (context) =>
    withClock(context, SKEW_WORDS, SKEW_MS / 1000, async (rig) => {
      await lasting(10 * rig.intervalMs);
      const edgeMs = SKEW_MS + 50;
      const balance = await rig.balance({ edgeMs });
      const near = rig.look({ edgeMs: 50 }).wrongInterval;
      return rowOf(SKEW_WORDS, balance, {
        figure: `${near} lines on the other side, all within ${seconds(edgeMs)} of the edge: ${
          balance.wrongInterval === 0 ? "yes" : "no"
        }`,
        runs: context.runs,
      });
    }),
};

export const CLOCK_CHECKS: readonly Check[] = [jump, skew];
