/** A carbon that is away, stuck, or resets connections. */
import { type CarbonWrite, FaultCarbon } from "../support/fault-carbon.ts";
import { lasting } from "../support/fault-clock.ts";
import { balance as balanceOf, type Excuse } from "../support/fault-ledger.ts";
import { HUB } from "../support/fault-network.ts";
import type { FaultRig } from "../support/fault-rig.ts";
import { type Check, quantile, rowOf, seconds, withRig } from "./check.ts";

const SCALE = "interval 2 s";
const OUTAGE_MS = 20_000;

/** Points that carbon has that no interval ends at. */
function crooked(rig: FaultRig): number {
  return rig.carbon.writes.filter(({ second }) => (second * 1000) % rig.intervalMs !== 0).length;
}

const carbonDown: Check = {
  ids: ["R18"],
  runs: 2,
  shortRuns: 0,
  run: (context) =>
    withRig(context, {}, async (rig) => {
      const excuses: Excuse[] = [];
      const drains: number[] = [];
      for (let run = 0; run < context.runs; run++) {
        await lasting(rig.intervalMs + context.random.between(0, rig.intervalMs));
        await rig.carbon.stop();
        await lasting(OUTAGE_MS / 2);
        if (run % 2 === 1) {
          // What the dead leader had in its queue is with the others.
          const leader = await rig.leader();
          const atMs = await rig.kill(leader);
          excuses.push({ node: leader, fromMs: atMs - 1000, toMs: atMs });
          await rig.revive(leader);
        }
        await lasting(OUTAGE_MS / 2);
        await rig.carbon.start();
        const backMs = Date.now();
        await lasting(2 * rig.intervalMs);
        const during = rig.carbon.writes.filter(
          ({ atMs, second }) => atMs > backMs && second * 1000 < backMs - rig.intervalMs,
        );
        drains.push((during.at(-1)?.atMs ?? backMs) - backMs);
      }
      const balance = await rig.balance({ excuses });
      const odd = crooked(rig);
      return [
        rowOf(
          {
            id: "R18",
            title: "carbon away, and each second time the leader killed meanwhile",
            target: "missing points 0, timestamps exact",
            scale: `${SCALE}, away for ${OUTAGE_MS / 1000} s`,
          },
          balance,
          {
            figure: `backlog written within ${seconds(Math.max(...drains))}; odd timestamps ${odd}`,
            runs: context.runs,
            claims: { [`${odd} timestamps that no interval ends at`]: odd === 0 },
          },
        ),
      ];
    }),
};

const STUCK_MS = 20_000;
const RSS_MAX = 512 << 20;

const carbonStuck: Check = {
  ids: ["R19"],
  runs: 1,
  shortRuns: 0,
  run: async (context) => {
    const second = new FaultCarbon(HUB, 2103);
    await second.start();
    const options = {
      aggregator: "sinks = carbon carbon.second",
      sections: { "carbon.second": `address[] = ${second.address}` },
    };
    try {
      return await withRig(context, options, async (rig) => {
        const sinceMs = Date.now();
        await lasting(6 * rig.intervalMs);
        const stuckMs = Date.now();
        rig.carbon.behave({ kind: "stuck" });
        let rssBytes = 0;
        while (Date.now() < stuckMs + STUCK_MS) {
          await lasting(500);
          for (const name of rig.names) rssBytes = Math.max(rssBytes, rig.node(name).rssBytes);
        }
        const freedMs = Date.now();
        rig.carbon.behave({ kind: "ack" });
        const balance = await rig.balance();
        const beside = lagsOf(rig, second.writes);
        const lagIn = (fromMs: number, toMs: number) =>
          quantile(
            [...beside]
              .filter(([end]) => end * 1000 > fromMs && end * 1000 <= toMs)
              .map(([, lagMs]) => lagMs),
            0.5,
          );
        const [usual, stuck] = [lagIn(sinceMs, stuckMs), lagIn(stuckMs, freedMs)];
        const megabytes = Math.round(rssBytes / 1e6);
        return [
          rowOf(
            {
              id: "R19",
              title: "carbon takes connections and reads nothing; a second one beside it",
              target: "lag of the second as before within 0.1 s; memory bounded",
              scale: `${SCALE}, for ${STUCK_MS / 1000} s, bound 512 MiB`,
            },
            balance,
            {
              figure: `lag of the other ${seconds(usual)} before, ${seconds(stuck)} then; ${megabytes} MB`,
              runs: 1,
              claims: {
                [`the second ${seconds(stuck - usual)} later`]: stuck - usual <= 100,
                [`memory of ${megabytes} MB`]: rssBytes <= RSS_MAX,
              },
            },
          ),
        ];
      });
    } finally {
      await second.stop();
    }
  },
};

function lagsOf(rig: FaultRig, writes: readonly CarbonWrite[]): ReadonlyMap<number, number> {
  const { intervalMs, source } = rig;
  const question = { items: source.items, writes, intervalMs, lateAfterMs: 0, edgeMs: 150, excuses: [] };
  return balanceOf(question).lags;
}

const CUTS = 30;
const SHORT_CUTS = 5;
/** Small, and with more names in each datagram, so that a flush takes many connections. */
const CHUNK_BYTES = 4096;
const MORE_NAMES = 10;

const carbonResets: Check = {
  ids: ["R20"],
  runs: 1,
  shortRuns: 1,
  run: (context) =>
    withRig(context, { carbon: `chunk-bytes = ${CHUNK_BYTES}` }, async (rig) => {
      const cuts = context.isShort ? SHORT_CUTS : CUTS;
      const { random } = context;
      rig.source.extra = (_, number) =>
        Array.from({ length: MORE_NAMES }, (_, index) => `more.${number}.${index}:1|c`).join("\n");
      // Each second connection, so that there is an end; anywhere in its chunk.
      rig.carbon.behave({
        kind: "reset",
        afterBytes: () =>
          random.between(0, 2) < 1 ? random.between(1, CHUNK_BYTES) | 0 : Number.POSITIVE_INFINITY,
      });
      while (rig.carbon.resets < cuts) await lasting(100);
      rig.carbon.behave({ kind: "ack" });
      const balance = await rig.balance();
      const changed = changedPoints(rig);
      return [
        rowOf(
          {
            id: "R20",
            title: "carbon resets connections at random bytes",
            target: "missing points 0, sent again identical",
            scale: `${SCALE}, ${cuts} cuts`,
          },
          balance,
          {
            figure: `${rig.carbon.resets} cuts; of two values ${changed}; broken ${rig.carbon.badLines}`,
            runs: 1,
            claims: {
              [`${changed} points came with another value`]: changed === 0,
              [`${rig.carbon.badLines} lines that carbon could not read`]: rig.carbon.badLines === 0,
            },
          },
        ),
      ];
    }),
};

/** Points that came again with another value. */
function changedPoints(rig: FaultRig): number {
  const values = new Map<string, number>();
  const changed = new Set<string>();
  for (const { name, second, value } of rig.carbon.writes) {
    const key = `${name} ${second}`;
    if ((values.get(key) ?? value) !== value) changed.add(key);
    values.set(key, value);
  }
  return changed.size;
}

export const CARBON_CHECKS: readonly Check[] = [carbonDown, carbonStuck, carbonResets];
