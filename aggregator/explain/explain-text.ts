/** An explanation for people: each line with what was understood, and what is written for it. */
import { DROP_REASON_HELP } from "../../shared/drop-reasons.ts";
import { showText } from "../../shared/name-text.ts";
import { textWidth } from "../../shared/terminal/text-width.ts";
import type { SampleView } from "./entry.ts";
import type { Explanation, LineExplanation } from "./explain.ts";
import type { LineSections } from "./sections.ts";

const SECTION_WORDS: Readonly<Record<keyof LineSections, string>> = {
  rate: "sampling rate",
  tags: "tags",
  container: "container",
  timestamp: "timestamp",
  externalData: "external data",
  cardinality: "cardinality",
  unknown: "unknown sections",
};

/** Describes all lines, with blank lines between them. */
export function describeExplanation({ listener, dialect, lines, sinks }: Explanation): string {
  const section = listener === "aggregator" ? "[aggregator]" : `[listener.${listener}]`;
  const head = `read as by ${section}, dialect = ${dialect}; rows go to ${sinks.join(", ") || "nowhere"}`;
  return `${[head, ...lines.map(describeLine)].join("\n\n")}\n`;
}

function describeLine(line: LineExplanation): string {
  const said = Object.entries(line.sections).map(([name, value]) => {
    return `  ${SECTION_WORDS[name as keyof LineSections]}: ${showText([value].flat().join(" | "))}`;
  });
  const notes = line.note === undefined ? [] : [`  ${line.note}`];
  const parts = [`  ${verdictOf(line)}`, ...said, ...notes, ...samplesOf(line), ...rowsOf(line)];
  return [showText(line.text), ...parts].join("\n");
}

function verdictOf({ accepted, reason, samples, event }: LineExplanation): string {
  if (!accepted) {
    const help = (DROP_REASON_HELP as Readonly<Record<string, string>>)[reason ?? ""] ?? "";
    const finer = event !== undefined && "fault" in event ? ` (${event.fault})` : "";
    return `dropped, ${reason}${finer}: ${help}`;
  }
  if (event !== undefined) return "accepted as an event or service check";
  return samples.length === 1 ? "accepted" : `accepted, ${samples.length} samples`;
}

function samplesOf({ samples }: LineExplanation): string[] {
  return samples.map((sample) => `  ${sample.type} ${showText(sample.key)}: ${describeSample(sample)}`);
}

function describeSample({ type, value, weight, isChange }: SampleView): string {
  const shown = typeof value === "string" ? `"${showText(value)}"` : String(value);
  const stands = weight === undefined ? "" : `, stands for ${weight}`;
  if (type === "gauge" && isChange === true) return `changed by ${shown}`;
  const verbs = { counter: "grows by", gauge: "is set to", timer: "has a sample of", set: "has a member" };
  return `${verbs[type]} ${shown}${stands}`;
}

/** Names and values of the rows, side by side. */
function rowsOf({ accepted, outputs, event }: LineExplanation): string[] {
  if (!accepted || event !== undefined) return [];
  if (outputs.length === 0) return ["  nothing is written for it"];
  const width = Math.max(...outputs.map(({ name }) => textWidth(showText(name))));
  return [
    "  with this line alone an interval has",
    ...outputs.map(({ aggregate, name, value }) => {
      const text = showText(name);
      return `    ${text}${" ".repeat(width - textWidth(text))}  ${value}  (${aggregate})`;
    }),
  ];
}
