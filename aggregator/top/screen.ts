/** The screen of `bioyino top`: plain text for a terminal of any size. */
import { showText } from "../../shared/name-text.ts";
import { formatRate, formatShare } from "../../shared/terminal/figures.ts";
import { fitEnd, fitMiddle } from "../../shared/terminal/text-width.ts";
import { formatAge, formatBytes } from "../command/amount-text.ts";
import type { TopPage } from "../page/top.ts";
import type { Offender } from "../questions.ts";
import type { SinkStatus } from "../sink/sink.ts";

/** How to draw. */
export interface ScreenOptions {
  /** Columns and rows of the terminal. */
  readonly width: number;
  readonly height: number;
  readonly hasColour: boolean;
  /** Stands in the first line: whom one looks at, and when. */
  readonly title: string;
  /** Stands in the last line. */
  readonly footer: string;
}

const WIDTH_MIN = 40;
const WIDTH_MAX = 500;
const HEIGHT_MIN = 8;
const FIGURE_WIDTH = 10;
const SGR = { plain: "", bold: "1", red: "31", reverse: "7" } as const;
type Style = keyof typeof SGR;

interface Line {
  readonly text: string;
  readonly style: Style;
}

/** Counts a second between two pages; 0 where there is one only, or the daemon was started anew. */
function rateOf(before: TopPage | undefined, now: TopPage, read: (page: TopPage) => number): number {
  const seconds = (now.atMs - (before?.atMs ?? now.atMs)) / 1000;
  return before === undefined || seconds <= 0 ? 0 : Math.max(0, (read(now) - read(before)) / seconds);
}

/** Draws a page as at most `height` lines, parted by line feeds. before: an earlier page, for rates. */
export function renderTop(before: TopPage | undefined, now: TopPage, options: ScreenOptions): string {
  const width = Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, options.width));
  const height = Math.max(HEIGHT_MIN, options.height);
  const head: Line[] = [
    { text: options.title, style: "reverse" },
    ...summarize(before, now),
    ...now.alarms.map((alarm): Line => ({ text: `ALARM ${alarm}`, style: "red" })),
  ];
  const sinks = sinkTable(before, now, width);
  const room = Math.max(0, height - head.length - sinks.length - 1);
  // Clashes and senders are few; the prefixes take what is left.
  const clashes = clashLines(now).slice(0, Math.floor(room / 4));
  const senders = offenderTable("sender", now.senders, now, width).slice(0, Math.floor(room / 3));
  const left = room - clashes.length - senders.length;
  const prefixes = offenderTable("prefix", now.prefixes, now, width).slice(0, left);
  const footer: Line[] = options.footer === "" ? [] : [{ text: options.footer, style: "plain" }];
  const all = [...head, ...sinks, ...prefixes, ...senders, ...clashes].slice(0, height - footer.length);
  return [...all, ...footer].map((line) => paint(line, width, options.hasColour)).join("\n");
}

function summarize(before: TopPage | undefined, now: TopPage): Line[] {
  const rate = (read: (page: TopPage) => number) => rateOf(before, now, read);
  const bad = rate(({ dropped, kernelDrops, lost }) => dropped + kernelDrops + lost);
  const flow = [
    `lines ${formatRate(rate(({ received }) => received))}/s`,
    `refused ${formatRate(rate(({ dropped }) => dropped))}/s`,
    `system drops ${formatRate(rate(({ kernelDrops }) => kernelDrops))}/s`,
    `lost ${formatRate(rate(({ lost }) => lost))}/s`,
    `bytes ${formatRate(rate(({ bytes }) => bytes))}/s`,
  ];
  const store = [
    `series ${formatCount(now.openSeries)}`,
    `memory ${formatBytes(now.openBytes)}`,
    `open intervals ${now.openIntervals}`,
    `flush ${formatCount(now.flushMs)} ms, late by ${formatCount(now.flushLagMs)} ms`,
  ];
  return [
    { text: flow.join("   "), style: bad > 0 ? "red" : "plain" },
    { text: store.join("   "), style: "plain" },
    ...clusterLine(now),
  ];
}

/** `cluster follower of node-a   term 7   peers 2 of 2   lag 20 ms   backlog 0` */
function clusterLine({ cluster }: TopPage): Line[] {
  if (cluster === undefined) return [];
  const { role, leader, term, peers, peersUp, lagMs, backlogBytes } = cluster;
  if (role === "agent") return [{ text: "cluster agent", style: "plain" }];
  const others = leader === null ? ", nobody leads" : ` of ${leader}`;
  const parts = [
    `cluster ${role}${role === "leader" ? "" : others}`,
    `term ${term}`,
    `peers ${peersUp} of ${peers}`,
    `lag ${formatAge(lagMs)}`,
    `backlog ${formatBytes(backlogBytes)}`,
  ];
  const isWell = leader !== null && peersUp === peers;
  return [{ text: parts.join("   "), style: isWell ? "plain" : "red" }];
}

function sinkTable(before: TopPage | undefined, now: TopPage, width: number): Line[] {
  const columns = (name: string, ...figures: readonly string[]): string => {
    const text = figures.map((figure) => figure.padStart(FIGURE_WIDTH)).join("");
    return fitMiddle(showText(name), Math.max(6, width - text.length)) + text;
  };
  const rows = now.sinks.map((sink): Line => {
    const old = before?.sinks.find(({ name }) => name === sink.name);
    const seconds = (now.atMs - (before?.atMs ?? now.atMs)) / 1000;
    const rate = old === undefined || seconds <= 0 ? 0 : (sink.rowsSent - old.rowsSent) / seconds;
    const lost = lostRows(sink);
    return {
      text: columns(
        sink.name,
        sink.state,
        formatRate(Math.max(0, rate)),
        formatCount(sink.queuedRows + (sink.spooledRows ?? 0)),
        `${formatCount(lagOf(sink))} s`,
        formatCount(lost),
      ),
      style: sink.state === "retrying" ? "red" : "plain",
    };
  });
  return [{ text: columns("sink", "state", "rows/s", "waiting", "lag", "lost"), style: "bold" }, ...rows];
}

function lagOf({ lagSec, oldestMs }: SinkStatus): number {
  return lagSec ?? oldestMs / 1000;
}

function lostRows({ rowsLost }: SinkStatus): number {
  return Object.values(rowsLost).reduce((sum, rows) => sum + rows, 0);
}

function offenderTable(title: string, offenders: readonly Offender[], now: TopPage, width: number): Line[] {
  if (offenders.length === 0) return [];
  const columns = (name: string, ...figures: readonly string[]): string => {
    const text = figures.map((figure) => figure.padStart(FIGURE_WIDTH)).join("");
    return fitMiddle(showText(name), Math.max(6, width - text.length)) + text;
  };
  // Those of the last interval count as well, so they may be more than are open now.
  const listed = offenders.reduce((sum, { series }) => sum + series, 0);
  const all = Math.max(now.openSeries, listed);
  const rows = offenders.map(({ name, series, refusedLines }): Line => {
    const share = all > 0 ? formatShare(series / all) : "";
    return {
      text: columns(name, formatCount(series), share, formatCount(refusedLines)),
      style: refusedLines > 0 ? "red" : "plain",
    };
  });
  return [{ text: columns(title, "series", "share", "refused"), style: "bold" }, ...rows];
}

function clashLines({ clashes }: TopPage): Line[] {
  if (clashes.length === 0) return [];
  const keys = clashes.map((key): Line => ({ text: `  ${key}`, style: "plain" }));
  return [{ text: "names that have several types", style: "bold" }, ...keys];
}

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

function formatCount(count: number): string {
  return Number.isFinite(count) ? GROUPED.format(count) : "?";
}

function paint({ text, style }: Line, width: number, hasColour: boolean): string {
  const fitted = fitEnd(showText(text), width);
  return hasColour && style !== "plain" ? `\x1b[${SGR[style]}m${fitted}\x1b[0m` : fitted.trimEnd();
}
