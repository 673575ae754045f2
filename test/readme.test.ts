/**
 * The README's tables are the registries, word for word. Each stands between two marks:
 *
 *   <!-- table:NAME -->
 *   | ... |
 *   <!-- /table -->
 *
 * With UPDATE_README=1 in the environment the tables are written instead of compared.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { OWN_STATS } from "../aggregator/own-stat-rows.ts";
import { AGGREGATOR_METRICS } from "../aggregator/stats.ts";
import { LINE_DROPS } from "../relay/counters.ts";
import { LOSS_HELP } from "../relay/page/losses.ts";
import { OWN_STATS as RELAY_OWN_STATS } from "../relay/page/own-stats.ts";
import { RELAY_METRICS } from "../relay/page/stats.ts";
import { DROP_REASON_HELP, DROP_REASONS } from "../shared/drop-reasons.ts";
import type { MetricRow } from "../shared/stats.ts";

const REASONS = join("shared", "kernel", "reasons.ts");

const isUpdate = process.env.UPDATE_README === "1";
const top = findTop(dirname(fileURLToPath(import.meta.url)));
const readmePath = join(top, "README.md");

/** The nearest folder upwards that holds the sources. */
function findTop(folder: string): string {
  return existsSync(join(folder, REASONS)) ? folder : findTop(dirname(folder));
}

function tableOf(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return line(columns) + line(columns.map(() => "---")) + rows.map(line).join("");
}

const quote = (name: string): string => `\`${name}\``;

function metricTable(metrics: Readonly<Record<string, MetricRow>>): string {
  return tableOf(
    ["name", "type", "labels", "meaning"],
    Object.values(metrics).map(({ name, kind, labels, help }) => [
      quote(name),
      kind,
      labels.map(quote).join(", "),
      help,
    ]),
  );
}

function meanings(column: string, rows: Readonly<Record<string, string>>): string {
  return tableOf(
    [column, "meaning"],
    Object.entries(rows).map(([name, help]) => [quote(name), help]),
  );
}

const tables: Readonly<Record<string, string>> = {
  "relay-metrics": metricTable(RELAY_METRICS),
  "relay-drops": meanings("reason", LINE_DROPS),
  "relay-losses": meanings("reason", LOSS_HELP),
  "relay-own-stats": meanings("name", RELAY_OWN_STATS),
  "aggregator-metrics": metricTable(AGGREGATOR_METRICS),
  "own-stats": tableOf(
    ["name", "type", "meaning"],
    OWN_STATS.map(({ name, kind, help }) => [quote(name), kind, help]),
  ),
  "drop-reasons": meanings("reason", DROP_REASON_HELP),
};

/** Where a table stands in the text: what is between its marks. */
function placeOf(text: string, name: string): { start: number; end: number } {
  const opening = `<!-- table:${name} -->\n`;
  const at = text.indexOf(opening);
  assert.ok(at >= 0, `README.md lacks the line ${opening.trim()}`);
  assert.equal(text.indexOf(opening, at + 1), -1, `README.md has ${opening.trim()} twice`);
  const start = at + opening.length;
  const end = text.indexOf("<!-- /table -->", start);
  const next = text.indexOf("<!-- table:", start);
  assert.ok(end >= 0 && (next < 0 || end < next), `the table ${name} of README.md has no <!-- /table -->`);
  return { start, end };
}

for (const [name, table] of Object.entries(tables)) {
  test(`README.md: the table ${name} is its registry`, () => {
    const text = readFileSync(readmePath, "utf8");
    const { start, end } = placeOf(text, name);
    // The blank lines keep Markdown from taking table and comment for one block.
    const wanted = `\n${table}\n`;
    if (isUpdate) writeFileSync(readmePath, text.slice(0, start) + wanted + text.slice(end));
    else assert.equal(text.slice(start, end), wanted, "UPDATE_README=1 writes the table anew");
  });
}

test("README.md: no table is marked that has no registry", () => {
  const marks = [...readFileSync(readmePath, "utf8").matchAll(/<!-- table:(\S+) -->/g)];
  const strangers = marks.map((match) => match[1]!).filter((name) => tables[name] === undefined);
  assert.deepEqual(strangers, []);
});

test("the drop reasons and their meanings are those of the kernel", () => {
  const source = readFileSync(join(top, REASONS), "utf8");
  const documented = [...source.matchAll(/\/\*\* (.*) \*\/\nexport const DROP_([A-Z0-9_]+) = (\d+);/g)]
    .map(([, help, name, code]) => ({ help, name: name!.toLowerCase(), code: Number(code) }))
    .filter(({ name }) => name !== "reason_count");
  assert.deepEqual(
    documented,
    Object.entries(DROP_REASON_HELP).map(([name, help], index) => ({ help, name, code: index + 1 })),
  );
  assert.deepEqual(DROP_REASONS.slice(1), Object.keys(DROP_REASON_HELP));
});
