/** What comes of the checks, for people: a line each, a table, and that table in README.md. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Row, seconds } from "./check.ts";

const OPENING = "<!-- faults -->\n";
const CLOSING = "<!-- /faults -->";

/** One row in a few lines, with what did not hold. */
export function describeRow(row: Row): string {
  const { id, title, leftOut, lost, duplicated, late, wrongInterval, flushLagMs, figure, offences } = row;
  if (leftOut !== "") return `${id} ${title}: left out: ${leftOut}`;
  const wrong = `wrong interval ${wrongInterval} of ${row.sent}`;
  const numbers = `lost ${lost} twice ${duplicated} late ${late} ${wrong}`;
  const recovery = row.recoveryMs === undefined ? "" : `, recovery ${seconds(row.recoveryMs)}`;
  const times = `lag ${seconds(flushLagMs)}${recovery}`;
  const head = `${offences.length === 0 ? "ok " : "RED"} ${id} ${title}: ${numbers}; ${times}; ${figure}`;
  return [head, ...offences.map((offence) => `      ${offence}`)].join("\n");
}

const COLUMNS = [
  "R",
  "fault",
  "target",
  "runs",
  "sent",
  "lost",
  "twice",
  "late",
  "wrong interval",
  "flush lag",
  "recovery",
  "figure",
  "",
];

/** The table in Markdown, with the line that says when, where and with which seed. */
export function renderTable(rows: readonly Row[], seed: number): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} cores, Linux ${release()}, Node ${process.versions.node}`;
  const table = [line(COLUMNS), line(COLUMNS.map(() => "---")), ...rows.map((row) => line(cellsOf(row)))];
  return `${date}, ${machine}, seed ${seed}. Counts are of lines.\n\n${table.join("")}`;
}

function cellsOf(row: Row): string[] {
  const title = row.scale === "" ? row.title : `${row.title} (${row.scale})`;
  if (row.leftOut !== "") {
    return [row.id, title, row.target, "", "", "", "", "", "", "", "", row.leftOut, "left out"];
  }
  const counts = [row.runs, row.sent, row.lost, row.duplicated, row.late, row.wrongInterval].map(String);
  const recovery = row.recoveryMs === undefined ? "" : seconds(row.recoveryMs);
  const verdict = row.offences.length === 0 ? "good" : `**red**: ${row.offences[0]!.split("\n")[0]}`;
  return [row.id, title, row.target, ...counts, seconds(row.flushLagMs), recovery, row.figure, verdict];
}

/** Writes the table between its marks. Throws where README.md lacks them. */
export function writeReadme(rows: readonly Row[], seed: number): void {
  const path = join(findTop(dirname(fileURLToPath(import.meta.url))), "README.md");
  const text = readFileSync(path, "utf8");
  const [start, end] = [text.indexOf(OPENING), text.indexOf(CLOSING)];
  if (start < 0 || end < start) throw new Error(`README.md lacks ${OPENING.trim()} and ${CLOSING}`);
  const wanted = `\n${renderTable(rows, seed)}\n`;
  writeFileSync(path, text.slice(0, start + OPENING.length) + wanted + text.slice(end));
}

/** The nearest folder upwards that holds README.md. */
function findTop(folder: string): string {
  if (existsSync(join(folder, "README.md"))) return folder;
  if (dirname(folder) === folder) throw new Error("there is no README.md above this build");
  return findTop(dirname(folder));
}
