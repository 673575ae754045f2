/** Nodes that stand still for a while and then go on as if nothing had happened. */
import { lasting } from "../support/fault-clock.ts";
import type { Excuse } from "../support/fault-ledger.ts";
import type { FaultRig } from "../support/fault-rig.ts";
import { type Check, quantile, rowOf, seconds, withRig } from "./check.ts";

const PAUSE_MS_MIN = 300;
const PAUSE_MS_MAX = 10_000;
const SHORT_PAUSE_MS_MAX = 3000;
/** How long a resumed node is looked at. */
const LOOK_MS = 1500;

/** Lines that a node wrote in a time: all of them, and those that said something else than carbon had. */
export function writtenBy(
  rig: FaultRig,
  node: string,
  fromMs: number,
  toMs: number,
): { all: number; other: number } {
  const address = rig.network.addressOf(node);
  const values = new Map<string, number>();
  let [all, other] = [0, 0];
  for (const { atMs, from, name, second, value } of rig.carbon.writes) {
    const key = `${name} ${second}`;
    if (atMs >= fromMs && atMs <= toMs && from.endsWith(address)) {
      all++;
      if (values.get(key) !== value) other++;
    }
    values.set(key, value);
  }
  return { all, other };
}

const pauseLeader: Check = {
  ids: ["R3"],
  runs: 6,
  shortRuns: 1,
  run: (context) =>
    withRig(context, {}, async (rig) => {
      const { random, runs, isShort } = context;
      const delays: Excuse[] = [];
      const pauses: number[] = [];
      let [stale, staleOther] = [0, 0];
      for (let run = 0; run < runs; run++) {
        await lasting(rig.intervalMs + random.between(0, rig.intervalMs));
        const node = await rig.leader();
        // Short and long ones in turn, and always one that is longer than a lease.
        const least = run % 3 === 2 ? PAUSE_MS_MIN : 1000;
        const pauseMs = random.between(least, isShort ? SHORT_PAUSE_MS_MAX : PAUSE_MS_MAX);
        pauses.push(pauseMs);
        const fromMs = Date.now();
        rig.node(node).pause();
        await lasting(pauseMs);
        const resumedMs = Date.now();
        rig.node(node).resume();
        delays.push({ node, fromMs: fromMs - rig.intervalMs, toMs: resumedMs + 500 });
        await lasting(LOOK_MS);
        if ((await rig.leader()) !== node) {
          const written = writtenBy(rig, node, resumedMs, Date.now());
          stale += written.all;
          staleOther += written.other;
        }
      }
      const balance = await rig.balance({ delays });
      const dropped = await rig.sum("bioyino_kernel_drops_total");
      const lengths = `${seconds(Math.min(...pauses))} to ${seconds(Math.max(...pauses))}`;
      return [
        rowOf(
          {
            id: "R3",
            title: "leader stopped and continued (SIGSTOP)",
            target: "lost 0 beyond the kernel's drops; nothing new written by the old leader",
            scale: `interval 2 s, pauses up to ${PAUSE_MS_MAX / 1000} s`,
          },
          balance,
          {
            figure: `pauses ${lengths}; kernel drops ${dropped}; lines after it ${stale}, new ${staleOther}`,
            runs,
            recoveryMs: recoveryOf(balance.lags),
            claims: { [`${staleOther} new lines by a former leader`]: staleOther === 0 },
          },
        ),
      ];
    }),
};

/** What the slowest interval took beyond what they take usually. */
export function recoveryOf(lags: ReadonlyMap<number, number>): number {
  const all = [...lags.values()];
  return Math.max(0, Math.max(...all) - quantile(all, 0.5));
}

export const PAUSE_CHECKS: readonly Check[] = [pauseLeader];
