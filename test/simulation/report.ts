/** The summary of many histories. */
import type { Outcome } from "./crew.ts";
import { quantile } from "./stats.ts";

/** Returns lines to print. seconds: how long it took on so many threads. */
export function render(
  { seeds, stats, failures }: Outcome,
  seconds: number,
  threads: number,
  scenario: string | undefined,
): string {
  const lags = stats.lags.sort((left, right) => left - right);
  const [p50, p99, max] = [0.5, 0.99, 1].map((part) => quantile(lags, part).toFixed(2));
  const percent = (part: number): string => `${((100 * part) / Math.max(1, stats.samples)).toFixed(3)} %`;
  const rate = (seeds / seconds / threads).toFixed(1);
  const extra = scenario === undefined ? "" : `--scenario ${scenario} `;
  return [
    `${seeds} histories in ${seconds.toFixed(1)} s: ${rate} a second and thread, ` +
      `${Math.round(stats.events / Math.max(1, seeds))} events each`,
    `faults: ${stats.kills} kills, ${stats.pauses} pauses, ${stats.partitions} partitions, ` +
      `${stats.jumps} clock jumps, ${stats.sinkFailures} sink failures, ${stats.wipes} disks exchanged, ` +
      `${stats.critical} at critical points; ${stats.leaves} leaves ` +
      `(${stats.leftBehind} deltas left behind), ${stats.transfers} transfers`,
    `protocol: ${stats.leaderships} leaderships, ${stats.writes} writes, ${stats.takeovers} takeovers, ` +
      `${stats.amends} amendments, ${stats.settles} settled, ${stats.degraded} degraded, ` +
      `${stats.inDoubt} in doubt; ${stats.rivals} rivals seen`,
    `samples: ${stats.samples}; lost with all copies ${percent(stats.lost)}, late ` +
      `${percent(stats.lateSamples)}, forgotten ${percent(stats.forgottenSamples)}, unmergeable ` +
      `${percent(stats.unmergeableSamples)}, mislabelled ${percent(stats.mislabelled)}`,
    `lag of a sink's answer behind the interval's end: p50 ${p50} s, p99 ${p99} s, max ${max} s`,
    ...failures.map(
      ({ seed, violation }) =>
        `seed ${seed}: npm run sim -- ${extra}--seeds ${seed}..${seed}\n  ${violation}`,
    ),
    failures.length === 0 ? "no violation" : `${failures.length} histories with a violation`,
  ].join("\n");
}
