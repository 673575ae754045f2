/** How late points come when nothing fails. */
import { lasting } from "../support/fault-clock.ts";
import { FaultSource } from "../support/fault-source.ts";
import { type Check, quantile, rowOf, seconds, withRig } from "./check.ts";

const INTERVAL_MS = 10_000;
const NAMES = 100_000;
/** Part of an interval in which all names come: a source that is held up still sends all of them. */
const COVERED_SHARE = 0.8;
const LAG_P50_MAX = 500;
const LAG_P99_MAX = 2000;

const flushLag: Check = {
  ids: ["R8"],
  runs: 4,
  shortRuns: 0,
  run: (context) =>
    withRig(context, { intervalMs: INTERVAL_MS, snapshotMs: 1000, settleMs: 2000 }, async (rig) => {
      // Names come again in each interval, most of them once; each node has names of its own.
      const names = Math.ceil(NAMES / rig.names.length);
      const datagrams = (INTERVAL_MS / 1000) * FaultSource.ratePerSecond * COVERED_SHARE;
      const perDatagram = Math.ceil(names / datagrams);
      rig.source.extra = (node, number) => {
        const first = Math.floor(number / rig.names.length) * perDatagram;
        return Array.from(
          { length: perDatagram },
          (_, index) => `k.${node}.${(first + index) % names}:1|c`,
        ).join("\n");
      };
      await lasting((context.runs + 1) * INTERVAL_MS);
      const balance = await rig.balance();
      const ends = wholeLags(rig.carbon.writes);
      const rows = Math.max(...[...ends.values()].map(({ rows }) => rows));
      const counted = [...balance.lags.keys()].map((end) => ends.get(end)?.lastMs ?? 0);
      const firsts = [...balance.lags.values()];
      const [p50, p99] = [quantile(counted, 0.5), quantile(counted, 0.99)];
      return [
        rowOf(
          {
            id: "R8",
            title: "no fault, 100,000 names in an interval",
            target: "last row p50 0.5 s, p99 2 s after the interval's end",
            scale: "interval 10 s, three nodes and carbon on one machine",
          },
          balance,
          {
            figure: [
              `first row p50 ${seconds(quantile(firsts, 0.5))}`,
              `last p50 ${seconds(p50)}, p99 ${seconds(p99)}; ${rows} rows`,
            ].join(", "),
            runs: context.runs,
            claims: {
              [`${rows} rows are fewer than names`]: rows >= NAMES,
              [`the median ${seconds(p50)}`]: p50 <= LAG_P50_MAX,
              [`p99 ${seconds(p99)}`]: p99 <= LAG_P99_MAX,
            },
          },
        ),
      ];
    }),
};

/** When the last row of each interval came after its end, and how many came. */
function wholeLags(
  writes: readonly { readonly atMs: number; readonly second: number }[],
): Map<number, { lastMs: number; rows: number }> {
  const ends = new Map<number, { lastMs: number; rows: number }>();
  for (const { atMs, second } of writes) {
    const rows = (ends.get(second)?.rows ?? 0) + 1;
    ends.set(second, { lastMs: atMs - second * 1000, rows });
  }
  return ends;
}

export const LOAD_CHECKS: readonly Check[] = [flushLag];
