/** The screen of `statsrelay top`: plain text for a terminal of any size. */
import { showText } from "../../shared/name-text.ts";
import { drawBar, formatRate, formatShare } from "../../shared/terminal/figures.ts";
import { fitEnd, fitMiddle } from "../../shared/terminal/text-width.ts";
import type { TopSnapshot } from "./sampler.ts";
import { estimateOf, type SketchList } from "./sketch.ts";

/** What one bucket gets. */
export interface BucketLoad {
  readonly ring: string;
  readonly destination: string;
  readonly linesPerSecond: number;
  /** Of its ring, 0..1. */
  readonly share: number;
  readonly isUp: boolean;
}

/** The answer to GET /top. */
export interface TopPage {
  readonly snapshot: TopSnapshot;
  readonly buckets: readonly BucketLoad[];
  /** Lines a second. */
  readonly received: number;
  /** Lines a second, for all reasons. */
  readonly dropped: number;
}

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

type Style = "plain" | "bold" | "red" | "reverse";

/** A piece of a line, in one style. */
interface Segment {
  readonly text: string;
  readonly style: Style;
}

/** One line of the screen, from left to right. */
type ScreenLine = readonly Segment[];

/** One row of a table. */
interface Item {
  readonly label: string;
  readonly rate: number;
  /** 0..1. */
  readonly share: number;
  /** Red for what is down. */
  readonly style: Style;
}

const WIDTH_MIN = 24;
const WIDTH_MAX = 500;
const HEIGHT_MIN = 4;
const HEIGHT_MAX = 500;
/** Narrower terminals get one column of tables. */
const TWO_COLUMNS_WIDTH = 70;
const DIVIDER = " | ";
const RATE_WIDTH = 8;
const SHARE_WIDTH = 7;
const BAR_WIDTH = 6;
const LABEL_WIDTH_MIN = 6;
/** Stands in place of a bar. */
const DOWN = "DOWN";
/** Smaller rates would be shown as nothing. */
const RATE_MIN = 0.05;
const SGR: Readonly<Record<Style, string>> = { plain: "", bold: "1", red: "31", reverse: "7" };

/** Draws a page as at most `height` lines, none wider than `width`, parted by line feeds. */
export function renderScreen(page: TopPage, options: ScreenOptions): string {
  const width = clamp(options.width, WIDTH_MIN, WIDTH_MAX);
  const height = clamp(options.height, HEIGHT_MIN, HEIGHT_MAX);
  const line = (text: string, style: Style): ScreenLine => [{ text: fitEnd(showText(text), width), style }];
  const head = [
    line(options.title, "reverse"),
    line(summarize(page), page.dropped >= RATE_MIN ? "red" : "plain"),
  ];
  const room = height - head.length - 1;
  const body = width >= TWO_COLUMNS_WIDTH ? twoColumns(page, width, room) : oneColumn(page, width, room);
  const all = [...head, ...body.slice(0, room), line(options.footer, "plain")];
  return all.map((segments) => paint(segments, options.hasColour)).join("\n");
}

function summarize({ snapshot, received, dropped }: TopPage): string {
  const { lines, sampled } = snapshot;
  const seen =
    lines > 0 ? `looked at ${formatShare(Math.min(1, sampled / lines))} of them` : "nothing looked at yet";
  return `received ${formatRate(received)}/s   dropped ${formatRate(dropped)}/s   ${seen}`;
}

/** Names and senders to the left, prefixes and buckets to the right. */
function twoColumns(page: TopPage, width: number, room: number): ScreenLine[] {
  const usable = width - DIVIDER.length;
  const left = Math.round(usable * (width >= 120 ? 0.6 : 0.5));
  const right = usable - left;
  const lowerRows = 1 + Math.max(page.snapshot.senders.items.length, page.buckets.length);
  const lower = Math.min(Math.floor(room / 2), lowerRows);
  const upper = room - lower;
  return [
    ...beside(namesTable(page, left, upper), prefixesTable(page, right, upper), left, right, upper),
    ...beside(sendersTable(page, left, lower), bucketsTable(page, right, lower), left, right, lower),
  ];
}

function beside(
  left: readonly ScreenLine[],
  right: readonly ScreenLine[],
  leftWidth: number,
  rightWidth: number,
  rows: number,
): ScreenLine[] {
  const blank = (columns: number): ScreenLine => [{ text: " ".repeat(columns), style: "plain" }];
  return Array.from({ length: rows }, (_, row) => [
    ...(left[row] ?? blank(leftWidth)),
    { text: DIVIDER, style: "plain" as const },
    ...(right[row] ?? blank(rightWidth)),
  ]);
}

/** One below the other; the names take what the others leave. */
function oneColumn(page: TopPage, width: number, room: number): ScreenLine[] {
  const quarter = Math.floor(room / 4);
  const tables = [prefixesTable, sendersTable, bucketsTable].flatMap((table) => table(page, width, quarter));
  return [...namesTable(page, width, room - tables.length), ...tables];
}

function namesTable(page: TopPage, width: number, rows: number): ScreenLine[] {
  return renderTable("name", itemsOf(page.snapshot.names, page.snapshot), width, rows, false);
}

function prefixesTable(page: TopPage, width: number, rows: number): ScreenLine[] {
  return renderTable("prefix", itemsOf(page.snapshot.prefixes, page.snapshot), width, rows, false);
}

function sendersTable(page: TopPage, width: number, rows: number): ScreenLine[] {
  return renderTable("sender", itemsOf(page.snapshot.senders, page.snapshot), width, rows, false);
}

function bucketsTable({ buckets }: TopPage, width: number, rows: number): ScreenLine[] {
  const ringCount = new Set(buckets.map(({ ring }) => ring)).size;
  const items = buckets.map(({ ring, destination, linesPerSecond, share, isUp }): Item => {
    const place = ringCount > 1 ? `${ring} ${destination}` : destination;
    return { label: showText(place), rate: linesPerSecond, share, style: isUp ? "plain" : "red" };
  });
  // What is down must be seen even where there is no room for all.
  items.sort((one, other) => Number(other.style === "red") - Number(one.style === "red"));
  return renderTable("bucket", items, width, rows, true);
}

function itemsOf({ items }: SketchList, { seconds, lines }: TopSnapshot): Item[] {
  if (seconds <= 0 || lines <= 0) return [];
  return items
    .map((item): Item => {
      const estimate = estimateOf(item);
      const label = showText(item.key);
      return { label, rate: estimate / seconds, share: Math.min(1, estimate / lines), style: "plain" };
    })
    .filter(({ rate }) => rate >= RATE_MIN);
}

/** A head and as many items as there is room for; every line is exactly `width` wide. */
function renderTable(
  title: string,
  items: readonly Item[],
  width: number,
  rows: number,
  hasBars: boolean,
): ScreenLine[] {
  if (rows <= 0) return [];
  const bar = hasBars && width >= LABEL_WIDTH_MIN + RATE_WIDTH + SHARE_WIDTH + BAR_WIDTH + 1 ? BAR_WIDTH : 0;
  const labelWidth = width - RATE_WIDTH - SHARE_WIDTH - (bar === 0 ? 0 : bar + 1);
  const compose = (label: string, rate: string, share: string, drawn: string): string => {
    const numbers = `${rate.padStart(RATE_WIDTH)}${share.padStart(SHARE_WIDTH)}`;
    return `${fitMiddle(label, labelWidth)}${numbers}${bar === 0 ? "" : ` ${drawn.padEnd(bar)}`}`;
  };
  const head: ScreenLine = [{ text: compose(title, "rate/s", "share", ""), style: "bold" }];
  const shown = items.slice(0, rows - 1).map(({ label, rate, share, style }): ScreenLine => {
    const isDown = style === "red";
    const drawn = isDown ? DOWN : drawBar(share, bar);
    const shownLabel = isDown && bar === 0 ? `${DOWN} ${label}` : label;
    return [{ text: compose(shownLabel, formatRate(rate), formatShare(share), drawn), style }];
  });
  return [head, ...shown];
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, Math.floor(value)));
}

function paint(segments: ScreenLine, hasColour: boolean): string {
  const text = segments.map(({ text, style }) => {
    return hasColour && style !== "plain" ? `\x1b[${SGR[style]}m${text}\x1b[0m` : text;
  });
  // Blanks at the end of a line serve nobody where no colour shows them.
  return hasColour ? text.join("") : text.join("").trimEnd();
}
