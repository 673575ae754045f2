/** An aggregator without threads and sockets that is configured as etsy's statsd is: lines in, rows out. */
import { STORE_COUNTERS } from "../../aggregator/counters.ts";
import { EtsyStats } from "../../aggregator/etsy-stats.ts";
import { Namer } from "../../aggregator/naming.ts";
import { forEachRow } from "../../aggregator/row.ts";
import { Store } from "../../aggregator/store.ts";
import { parseConfig } from "../../shared/config.ts";
import { Counters } from "../../shared/counters.ts";
import { newIntake, TEST_NOW_MS } from "./snapshots.ts";

/** The keys of etsy's configuration that these vectors set. */
export interface EtsyConfig {
  readonly deleteIdleStats?: boolean;
  readonly deleteCounters?: boolean;
  readonly deleteTimers?: boolean;
  readonly deleteSets?: boolean;
  readonly deleteGauges?: boolean;
  readonly gaugesMaxTTL?: number;
  readonly keyNameSanitize?: boolean;
  readonly prefixStats?: string;
  readonly flush_counts?: boolean;
  readonly graphite?: {
    readonly legacyNamespace?: boolean;
    readonly globalPrefix?: string;
    readonly prefixCounter?: string;
    readonly prefixTimer?: string;
    readonly prefixGauge?: string;
    readonly prefixSet?: string;
    readonly globalSuffix?: string;
  };
}

/** Writes etsy's configuration as one of ours. */
export function iniOf(config: EtsyConfig, intervalMs: number): string {
  const { graphite = {}, deleteIdleStats = false } = config;
  const isLegacy = graphite.legacyNamespace ?? true;
  const idle = (isDeleted: boolean | undefined): string => ((isDeleted ?? deleteIdleStats) ? "0" : "forever");
  const ttl = Number.isInteger(config.gaugesMaxTTL) ? config.gaugesMaxTTL! : 1;
  const gauge = idle(config.deleteGauges) === "forever" ? "forever" : String((ttl - 1) * intervalMs);
  const lines = [
    "[aggregator]",
    "dialect = statsd",
    `interval = ${intervalMs}`,
    `sanitize = ${config.keyNameSanitize === false ? "off" : "etsy"}`,
    "unknown-type = counter",
    ...(config.prefixStats === undefined ? [] : [`stats-prefix = ${config.prefixStats}`]),
    "[idle]",
    `counter = ${idle(config.deleteCounters)}`,
    `timer = ${idle(config.deleteTimers)}`,
    `set = ${idle(config.deleteSets)}`,
    `gauge = ${gauge}`,
    "[aggregation]",
    `naming = ${isLegacy ? "etsy-legacy" : "etsy"}`,
    ...(config.flush_counts === false ? ["counter = rate"] : []),
  ];
  if (isLegacy) return lines.join("\n");
  const { globalPrefix = "stats", globalSuffix = "" } = graphite;
  const prefixes = {
    counter: graphite.prefixCounter ?? "counters",
    timer: graphite.prefixTimer ?? "timers",
    gauge: graphite.prefixGauge ?? "gauges",
    set: graphite.prefixSet ?? "sets",
  };
  const sections = Object.entries(prefixes).flatMap(([type, prefix]) => {
    const whole = [globalPrefix, prefix].filter((part) => part !== "").join(".");
    return [`[naming.${type}]`, `prefix = ${whole}`, `suffix = ${globalSuffix}`];
  });
  return [...lines, ...sections].join("\n");
}

/** Rows by name, one character per byte. */
export type Rows = ReadonlyMap<string, number>;

export interface EtsyRig {
  /** Hands over datagrams. */
  send(...datagrams: readonly string[]): void;
  /** Ends the interval. Returns the rows of its series, and those that etsy's statsd writes of itself. */
  flush(): Promise<{ readonly rows: Rows; readonly own: Rows }>;
}

export async function newEtsyRig(config: EtsyConfig, intervalMs: number): Promise<EtsyRig> {
  const { aggregator, aggregation, naming, idle } = parseConfig(iniOf(config, intervalMs), "etsy.ini");
  const { preset, weights, rate, updateCountThreshold, counter, gauge, timer, set } = aggregation;
  const aggregates = { counter, gauge, timer, set };
  const namer = new Namer(naming, aggregates, { preset });
  const rows = new Map<string, number>();
  const store = await Store.create(
    {
      intervalMs,
      seriesMax: 10_000,
      memoryBytesMax: 16 << 20,
      aggregates,
      weights,
      rate,
      updateCountThreshold,
      roundTimestamp: "no",
      idle,
    },
    namer,
    new Counters(STORE_COUNTERS),
    async ({ bytes }) => forEachRow(bytes, (name, value) => rows.set(name, value)),
    TEST_NOW_MS / intervalMs,
  );
  const intake = await newIntake({
    intervalMs,
    snapshotIntervalMs: intervalMs,
    reading: { ...aggregator, untaggedCopy: false },
  });
  const { snapshotter } = intake;
  store.addOrigin(1, TEST_NOW_MS / intervalMs);
  const stats = new EtsyStats(
    { preset, prefix: aggregator.statsPrefix, rule: naming.counter, aggregates: counter, namer },
    intervalMs,
    TEST_NOW_MS,
  );
  let nowMs = TEST_NOW_MS;
  return {
    send: (...datagrams) =>
      intake.send(
        datagrams.map((datagram) => Buffer.from(datagram)),
        nowMs,
      ),
    flush: async () => {
      nowMs += intervalMs;
      snapshotter.consume(0, nowMs);
      for (const frame of intake.frames.splice(0)) await store.accept(frame);
      rows.clear();
      const reports = await store.flushClosed();
      const { counts } = snapshotter;
      const badLines = counts.dropped.reduce((sum, lines) => sum + lines, 0);
      const totals = { badLines, packets: counts.datagrams, lines: counts.received };
      const series = reports.reduce((sum, report) => sum + report.series, 0);
      const own = stats.rows(totals, { nowMs, series, durationMs: 1, bytes: 1 });
      return {
        rows: new Map(rows),
        own: new Map(own.map(({ name, value }) => [name.toString("latin1"), value])),
      };
    },
  };
}
