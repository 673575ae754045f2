/**
 * The commands of etsy's administration port, with its answers. What changes or reveals something is for who
 * may see the guarded pages: after `auth TOKEN`, or from this machine where there is no management-token.
 */
import { inspect } from "node:util";
import type { Log } from "../../shared/log.ts";
import { refuseAccess } from "../../shared/management-access.ts";
import type { MetricType } from "../../shared/metric.ts";
import { patternFault } from "../../shared/pattern.ts";
import type { SeriesState } from "../questions.ts";
import { settingsOf } from "../settings.ts";
import { droppedLines, sumSockets } from "../totals.ts";
import type { AdminTimes } from "./admin-times.ts";
import { LIMIT_MAX } from "./series-pages.ts";
import type { Standing } from "./standing.ts";
import { StoreFault } from "./store-client.ts";
import type { AggregatorView } from "./view.ts";

/** What a command does, and what is answered. */
export interface CommandResult {
  /** With its line end. */
  readonly answer: string;
  readonly isQuit: boolean;
}

/** What commands act on, for one connection. */
export interface AdminContext {
  readonly view: AggregatorView;
  readonly standing: Standing;
  readonly log: Log;
  readonly times: AdminTimes;
  /** Address literal of who asks. */
  readonly client: string;
  readonly isLocal: boolean;
  /** The token that came with `auth`. */
  token?: string;
}

const HELP =
  "Commands: stats, counters, timers, gauges, sets, delcounters, deltimers, delgauges, delsets, " +
  "health [up|down], config, auth TOKEN, quit\n\n";
const END = "END\n\n";
const ERROR = "ERROR\n";
const TYPES: Readonly<Record<string, MetricType>> = {
  counters: "counter",
  timers: "timer",
  gauges: "gauge",
  sets: "set",
};

/** Carries one command out. line: without its line feed. */
export async function runAdminCommand(line: string, context: AdminContext): Promise<CommandResult> {
  const [command = "", ...words] = line.trim().split(/\s+/);
  if (command === "quit") return { answer: "", isQuit: true };
  try {
    return { answer: await answerTo(command, words, context), isQuit: false };
  } catch (error) {
    if (!(error instanceof StoreFault)) throw error;
    return { answer: `ERROR: ${error.message}\n`, isQuit: false };
  }
}

async function answerTo(command: string, words: readonly string[], context: AdminContext): Promise<string> {
  const { view, standing } = context;
  const guarded = (answer: () => string | Promise<string>) => refusalOf(context) ?? answer();
  const type = TYPES[command.replace(/^del/, "")];
  if (type !== undefined) {
    if (!command.startsWith("del")) return guarded(() => showSeries(type, view));
    return guarded(() => deleteSeries(type, words, context));
  }
  switch (command) {
    case "help":
      return HELP;
    case "health": {
      const wanted = words[0]?.toLowerCase();
      return wanted === "up" || wanted === "down"
        ? guarded(() => setHealth(wanted, context))
        : `health: ${healthOf(view, standing)}\n`;
    }
    case "stats":
      return describeStats(context);
    case "config":
      return guarded(() => describeConfig(view));
    case "auth":
      context.token = words[0] ?? "";
      return refusalOf(context) ?? "OK\n";
    default:
      return ERROR;
  }
}

/** Returns what is answered to who may not do this, or undefined. */
function refusalOf({ view, isLocal, token: given = "" }: AdminContext): string | undefined {
  const { managementToken: token } = view.config().aggregator;
  const request = { method: "POST", headers: { authorization: `Bearer ${given}` } };
  const refusal = refuseAccess(request, { token, isLocal });
  if (refusal === undefined) return undefined;
  return token === ""
    ? "ERROR: only from this machine\n"
    : "ERROR: send auth and the management-token first\n";
}

function healthOf(view: AggregatorView, standing: Standing): string {
  return view.isReady() && standing.health === "up" ? "up" : "down";
}

function setHealth(health: "up" | "down", { view, standing, log, client }: AdminContext): string {
  if (standing.health !== health) log.warn("admin.health_set", { health, client });
  standing.health = health;
  return `health: ${healthOf(view, standing)}\n`;
}

/** Etsy's lines come first, under etsy's names: its carbon is `graphite`. */
function describeStats({ view, times }: AdminContext): string {
  const totals = view.totals();
  const lines = [
    `uptime: ${Math.round(process.uptime())}`,
    `messages.last_msg_seen: ${secondsSince(times.lastLineMs)}`,
    `messages.bad_lines_seen: ${totals.intakes.reduce((sum, { counts }) => sum + droppedLines(counts), 0)}`,
  ];
  const carbons = totals.sinks.filter(({ name }) => name.startsWith("carbon"));
  if (carbons.length > 0) {
    const flushMs = Math.max(...carbons.map(({ lastSuccessMs = performance.timeOrigin }) => lastSuccessMs));
    lines.push(
      `graphite.last_flush: ${secondsSince(flushMs)}`,
      `graphite.last_exception: ${secondsSince(times.lastFailureMs)}`,
    );
  }
  lines.push(
    `messages.received: ${sumSockets(totals, "received")}`,
    `flush.flush_time: ${Math.round(totals.store.flushMs)}`,
  );
  for (const { name, lastSuccessMs, rowsSent, rowsLost, state } of totals.sinks) {
    if (lastSuccessMs !== undefined) {
      lines.push(`${name}.last_flush: ${secondsSince(lastSuccessMs)}`);
    }
    const lost = Object.values(rowsLost).reduce((sum, rows) => sum + rows, 0);
    lines.push(`${name}.state: ${state}`, `${name}.rows_sent: ${rowsSent}`, `${name}.rows_lost: ${lost}`);
  }
  return `${lines.join("\n")}\n${END}`;
}

function secondsSince(timeMs: number): number {
  return Math.max(0, Math.round((Date.now() - timeMs) / 1000));
}

function describeConfig(view: AggregatorView): string {
  const lines = [...settingsOf(view.config()).values()].map(({ path, text }) => {
    const dot = path.lastIndexOf(".");
    return `${path.slice(0, dot)} > ${path.slice(dot + 1)}: ${text}\n`;
  });
  return `\n${lines.join("")}${END}`;
}

/** Shows all series of a type as JavaScript writes objects, which is what etsy's port does. */
async function showSeries(type: MetricType, view: AggregatorView): Promise<string> {
  const { series, total } = await view.ask({ kind: "series", match: "**", limit: LIMIT_MAX, type });
  const shown = Object.fromEntries(series.map((one) => [one.key, shownValue(one)]));
  const more = total > series.length ? `${total - series.length} more\n` : "";
  const options = { depth: 3, maxArrayLength: null, maxStringLength: null };
  return `${inspect(shown, options)}\n${more}${END}`;
}

/** A counter's or gauge's value alone; of timers and sets all aggregates. */
function shownValue({ type, values }: SeriesState): unknown {
  return type === "counter" || type === "gauge" ? (values.value ?? values) : values;
}

/** Deletes series by name, or `folder.*` with everything below it. */
async function deleteSeries(
  type: MetricType,
  names: readonly string[],
  { view, log, client }: AdminContext,
): Promise<string> {
  let answer = "";
  for (const name of names) {
    const match = patternOf(name);
    const found =
      patternFault(match) === undefined
        ? (await view.ask({ kind: "series", match, limit: LIMIT_MAX, type })).series
        : [];
    if (found.length === 0) answer += `metric ${name} not found\n`;
    else {
      const { deleted } = await view.ask({ kind: "delete", match, type });
      log.info("series.deleted", { match, type, deleted, client });
    }
    for (const key of new Set(found.map((one) => one.key))) answer += `deleted: ${key}\n`;
  }
  return answer + END;
}

/** The pattern of a name as it stands, or of a folder. */
function patternOf(name: string): string {
  const isFolder = name.endsWith(".*");
  const literal = (isFolder ? name.slice(0, -1) : name).replace(/[^A-Za-z0-9_]/gu, (char) =>
    char.codePointAt(0)! < 0x80 ? `\\${char}` : char,
  );
  return isFolder ? `/^${literal}/` : `/^${literal}$/`;
}
