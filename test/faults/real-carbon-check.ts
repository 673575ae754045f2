/** A real graphite-carbon that hangs, beside one that notes everything. */
import { lasting } from "../support/fault-clock.ts";
import { HUB } from "../support/fault-network.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import type { FaultRig } from "../support/fault-rig.ts";
import { TOTAL_NAME, timerName } from "../support/fault-source.ts";
import { hasCarbon, type RealCarbon, startCarbon } from "../support/real-carbon.ts";
import { type Check, leftOut, rowOf, seconds, withRig } from "./check.ts";

const HANG_MS = 20_000;
const PROXY_PORT = 2203;
const LAG_MS_MAX = 1000;

const WORDS = {
  id: "R19r",
  title: "a real carbon stopped (SIGSTOP), and the leader killed meanwhile",
  target: "it has the same points in the end; the one beside it is not delayed",
  scale: `interval 2 s, for ${HANG_MS / 1000} s`,
};

/** Points of a series that the two carbons do not agree on, of the intervals that the noting one has. */
async function differences(rig: FaultRig, real: RealCarbon, name: string): Promise<number> {
  const wanted = new Map<number, number>();
  for (const write of rig.carbon.writes) if (write.name === name) wanted.set(write.second, write.value);
  const [first, last] = [Math.min(...wanted.keys()), Math.max(...wanted.keys())];
  const differ = (points: ReadonlyMap<number, number>) =>
    [...wanted].filter(([second, value]) => points.get(second) !== value).length;
  // It writes behind.
  await real.pointsWhen(name, first, last, (points) => differ(points) === 0).catch(() => {});
  return differ(await real.points(name, first, last));
}

const realCarbonHangs: Check = {
  ids: [WORDS.id],
  runs: 1,
  shortRuns: 0,
  run: async (context) => {
    const real = hasCarbon() ? await startCarbon() : undefined;
    if (real === undefined) return [leftOut(WORDS, "graphite-carbon is not installed")];
    const proxy = new FaultProxy(real.linePort);
    await proxy.start(HUB, PROXY_PORT);
    const options = {
      aggregator: "sinks = carbon carbon.real",
      sections: { "carbon.real": `address[] = ${HUB}:${PROXY_PORT}` },
    };
    try {
      return await withRig(context, options, async (rig) => {
        await lasting(2 * rig.intervalMs);
        real.suspend();
        await lasting(HANG_MS / 2);
        const leader = await rig.leader();
        const atMs = await rig.kill(leader);
        await rig.leader();
        await rig.revive(leader);
        await lasting(HANG_MS / 2);
        real.resume();
        await lasting(2 * rig.intervalMs);
        const balance = await rig.balance({ excuses: [{ node: leader, fromMs: atMs - 1000, toMs: atMs }] });
        const names = [TOTAL_NAME, ...rig.names.map((name) => `${timerName(name)}.count`)];
        let differing = 0;
        for (const name of names) differing += await differences(rig, real, name);
        const usualMs = [...balance.lags.values()].filter((lagMs) => lagMs <= LAG_MS_MAX).length;
        return [
          rowOf(WORDS, balance, {
            figure: `points that differ ${differing}; lag of the other ${seconds(balance.flushLagMs)}`,
            runs: 1,
            claims: {
              [`${differing} points differ`]: differing === 0,
              // The failover itself may take one.
              "the one beside it was delayed": usualMs >= balance.lags.size - 2,
            },
          }),
        ];
      });
    } finally {
      real.resume();
      await proxy.close();
      await real.stop();
    }
  },
};

export const REAL_CARBON_CHECKS: readonly Check[] = [realCarbonHangs];
