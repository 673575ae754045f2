/** The answers of a running aggregator for people. What is not as expected is shown as it is. */
import { showText } from "../../shared/name-text.ts";
import { textWidth } from "../../shared/terminal/text-width.ts";
import { describeValue } from "../../shared/terminal/value-text.ts";
import type { Answers } from "../questions.ts";
import type { ReloadOutcome } from "../reload.ts";

/** Describes GET /series: a line for each, with its aggregates. */
export function describeSeries(value: unknown): string {
  const { series, total } = value as Answers["series"];
  if (!isList(series)) return describeValue(value);
  const width = Math.max(0, ...series.map(({ key }) => textWidth(showText(key))));
  const lines = series.map(({ key, type, updates, interval, values }) => {
    const name = showText(key);
    const shown = Object.entries(values).map(([aggregate, one]) => `${aggregate}=${one}`);
    const state = interval === undefined ? "idle" : `${updates} updates`;
    return `${name}${" ".repeat(width - textWidth(name))}  ${type.padEnd(7)}  ${state}  ${shown.join(" ")}`;
  });
  const left = total - series.length;
  const more = left > 0 ? [`... ${left} more; narrow the match, or raise --limit`] : [];
  return `${[...lines, ...more, `${total} series`].join("\n")}\n`;
}

/** Describes GET /history: the rows of each interval, newest first. */
export function describeHistory(value: unknown): string {
  const { intervals } = value as Answers["history"];
  if (!isList(intervals)) return describeValue(value);
  if (intervals.length === 0) return "no interval was flushed yet, or none is kept\n";
  return intervals
    .map(({ timestampSec, partial, rowCount, isKept, rows }) => {
      const time = new Date(timestampSec * 1000).toISOString().slice(0, 19).replace("T", " ");
      const note = `${partial ? ", partial" : ""}${isKept ? "" : ", not kept: no room"}`;
      const lines = rows.map(({ name, value: one }) => `  ${showText(name)} ${one}\n`);
      return `${time} UTC: ${rowCount} rows${note}\n${lines.join("")}`;
    })
    .join("");
}

/** Describes POST /-/reload: every key that differs. */
export function describeReload(value: unknown): string {
  const { ok, changed, message } = value as ReloadOutcome;
  if (!isList(changed) || typeof message !== "string") return describeValue(value);
  const lines = changed.map(({ path, before, after, applies }) => {
    const when = applies === "now" ? "" : ` (${applies})`;
    return `  ${path}: ${showText(before ?? "-")} -> ${showText(after ?? "-")}${when}\n`;
  });
  // The faults of a file come one a line.
  const said = message.split("\n").map(showText).join("\n");
  return `${ok ? "reloaded" : "refused"}: ${said}\n${lines.join("")}`;
}

/** Whether there is a list at all; what is in it is the daemon's word. */
function isList(value: unknown): boolean {
  return Array.isArray(value);
}
