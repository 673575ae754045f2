/** A configuration of etsy's statsd, as JSON, in our words. */
import { percentThreshold, printDuration } from "../../shared/config-values.ts";
import type { Imported } from "./bioyino.ts";
import { readBackends } from "./etsy-backends.ts";
import { readServers } from "./etsy-servers.ts";
import { histogramRules, timerAggregates } from "./etsy-timers.ts";
import { IniDraft } from "./ini-draft.ts";
import { isTable, showValue, type Table, ValueTree } from "./value-tree.ts";

/** Keys that mean nothing here, and why. */
const LEFT: Readonly<Record<string, string>> = {
  keyFlush: "`bioyino top` and the page /top show the busiest names",
  dumpMessages: "`bioyino tail` shows what comes in",
  debug: "log.level = debug says more; nothing is logged for each line",
  log: "the log goes to standard error; systemd keeps it in its journal",
  title: "the process is called bioyino",
  healthStatus: "it is up once it is started; `health down` at the administration port changes that",
  automaticConfigReload: "SIGHUP and POST /-/reload make it read its file again",
};

const KEYS = [
  ..."port address address_ipv6 servers server socket socket_mod mgmt_address mgmt_port".split(" "),
  ..."flushInterval percentThreshold histogram calculatedTimerMetrics keyNameSanitize prefixStats".split(" "),
  ..."deleteIdleStats deleteCounters deleteTimers deleteSets deleteGauges gaugesMaxTTL flush_counts".split(
    " ",
  ),
  ..."backends graphite graphiteHost graphitePort graphitePicklePort graphiteProtocol console".split(" "),
  ..."repeater repeaterProtocol".split(" "),
  ...Object.keys(LEFT),
];

/** Rewrites a JSON text. fileName: what the result says that it came from. */
export function importEtsy(text: string, fileName: string): Imported {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { ini: "", faults: [`is no JSON: ${(error as Error).message}`], warnings: [] };
  }
  if (!isTable(value)) return { ini: "", faults: ["is no JSON object"], warnings: [] };
  return readConfig(value, fileName);
}

function readConfig(table: Table, fileName: string): Imported {
  const draft = new IniDraft([`What ${fileName} of etsy's statsd is in the words of this one.`]);
  const tree = new ValueTree(table);
  readServers(tree, draft);
  const intervalMs = tree.take("flushInterval", "whole") ?? 10_000;
  draft.set("aggregator.interval", printDuration(intervalMs));
  readNames(tree, draft);
  readTimers(tree, draft);
  readIdle(tree, draft, intervalMs);
  readBackends(tree, draft);
  for (const [key, why] of Object.entries(LEFT)) {
    const value = tree.any(key);
    if (value !== undefined) draft.leave(`${key} = ${showValue(value)}`, why);
  }
  tree.finish(KEYS);
  return { ini: draft.print(), faults: tree.faults, warnings: [] };
}

function readNames(tree: ValueTree, draft: IniDraft): void {
  const graphite = tree.table("graphite");
  const isLegacy = graphite.take("legacyNamespace", "truth") ?? true;
  draft.set("aggregation.naming", isLegacy ? "etsy-legacy" : "etsy");
  if (tree.take("flush_counts", "truth") === false) draft.set("aggregation.counter", "rate");
  const prefix = graphite.take("globalPrefix", "text") ?? "stats";
  const types = { Counter: "counters", Timer: "timers", Gauge: "gauges", Set: "sets" };
  for (const [type, usual] of Object.entries(types)) {
    const own = graphite.take(`prefix${type}`, "text");
    const written = [prefix, own ?? usual].filter((part) => part !== "").join(".");
    if (!isLegacy && written !== `stats.${usual}`) draft.set(`naming.${type.toLowerCase()}.prefix`, written);
  }
  const suffix = graphite.take("globalSuffix", "text");
  if (suffix !== undefined && suffix !== "") draft.set("naming.default.suffix", suffix);
  graphite.finish(
    "legacyNamespace globalPrefix prefixCounter prefixTimer prefixGauge prefixSet globalSuffix".split(" "),
  );
  const own = tree.take("prefixStats", "text");
  if (own !== undefined) draft.set("aggregator.stats-prefix", own);
}

function readTimers(tree: ValueTree, draft: IniDraft): void {
  const given = tree.any("percentThreshold");
  const list: readonly unknown[] = Array.isArray(given) ? given : given === undefined ? [] : [given];
  const texts = list.map(String);
  if (texts.some((text) => "fault" in percentThreshold.parse(text) && text !== "0")) {
    tree.fault("percentThreshold", "has what is no percentile; choose within -100..100");
  }
  // 0 is as if nothing had been said.
  const thresholds = texts.filter((text) => text !== "0");
  if (thresholds.length > 0) draft.set("aggregation.percent-threshold", thresholds.join(" "));
  else if (Array.isArray(given) && given.length === 0) draft.set("aggregation.percent-threshold", "none");
  const wanted = tree.take("calculatedTimerMetrics", "texts") ?? [];
  const unknown = wanted.filter((name) => name !== "histogram" && timerAggregates(name) === undefined);
  if (unknown.length > 0) {
    tree.fault("calculatedTimerMetrics", `has ${showValue(unknown[0])}, which no timer of etsy's statsd has`);
  }
  const aggregates = wanted.flatMap((name) => timerAggregates(name) ?? []);
  if (wanted.length > 0)
    draft.set("aggregation.timer", aggregates.length === 0 ? "none" : aggregates.join(" "));
  const rules = tree.any("histogram");
  if (rules === undefined) return;
  const written = histogramRules(rules);
  if (written === undefined) tree.fault("histogram", "is no list of objects with metric and bins");
  else if (wanted.length > 0 && !wanted.includes("histogram")) {
    draft.leave(`histogram = ${showValue(rules)}`, "calculatedTimerMetrics leaves it out");
  } else draft.setList("aggregation.histogram", written);
}

function readIdle(tree: ValueTree, draft: IniDraft, intervalMs: number): void {
  const isDeleting = tree.take("deleteIdleStats", "truth") ?? false;
  for (const type of ["Counters", "Timers", "Sets"] as const) {
    const isGone = tree.take(`delete${type}`, "truth") ?? isDeleting;
    draft.set(`idle.${type.toLowerCase().slice(0, -1)}`, isGone ? "0" : "forever");
  }
  const flushes = tree.take("gaugesMaxTTL", "whole") ?? 1;
  const isGone = tree.take("deleteGauges", "truth") ?? isDeleting;
  const shownMs = Math.max(0, flushes - 1) * intervalMs;
  draft.set("idle.gauge", isGone ? printDuration(shownMs) : "forever");
  if (isGone)
    draft.set("idle.gauge-level", printDuration(shownMs), "A gauge that is gone begins at 0 again.");
}
