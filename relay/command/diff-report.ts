/** Shows the comparison of two configurations to people. */

import { drawBar, formatShare } from "../../shared/terminal/figures.ts";
import type { DestinationLoad, RingDiff, RingMove } from "./diff.ts";

const BAR_WIDTH = 40;
const LOAD_BAR_WIDTH = 20;
/** Longer lists are cut; --json has everything. */
const ROWS_MAX = 24;
const COUNT = new Intl.NumberFormat("en-US");

/** Describes what moves, a block of lines for each ring. */
export function describeDiff(diffs: readonly RingDiff[]): string {
  return `${diffs.map((diff) => describeRing(diff).join("\n")).join("\n\n")}\n`;
}

function describeRing(diff: RingDiff): string[] {
  const { ring, fingerprintBefore, fingerprintAfter, names, moved, movedShare, leastShare } = diff;
  if (fingerprintBefore === undefined) {
    return [`ring ${ring} is new (${fingerprintAfter}): takes ${COUNT.format(diff.entered)} names`];
  }
  const state =
    fingerprintAfter === undefined
      ? `${fingerprintBefore}, is gone`
      : fingerprintBefore === fingerprintAfter
        ? `${fingerprintBefore}, unchanged`
        : `${fingerprintBefore} -> ${fingerprintAfter}`;
  const notes = [
    ["no longer taken", diff.left],
    ["taken only now", diff.entered],
    ["under another name", diff.renamed],
  ] as const;
  return [
    `ring ${ring} (${state})`,
    `  ${COUNT.format(moved)} of ${COUNT.format(names)} names move`,
    `  moves ${formatShare(movedShare).padStart(8)}  ${drawBar(movedShare, BAR_WIDTH)}`,
    `  least ${formatShare(leastShare).padStart(8)}  ${drawBar(leastShare, BAR_WIDTH)}`,
    ...notes.flatMap(([what, count]) => (count === 0 ? [] : [`  ${COUNT.format(count)} names ${what}`])),
    ...describeMoves(diff.moves, names),
    ...describeLoads(diff.loads),
  ];
}

function describeMoves(moves: readonly RingMove[], names: number): string[] {
  if (moves.length === 0) return [];
  const shown = moves.slice(0, ROWS_MAX);
  const from = columnWidth(["leaves", ...shown.map((move) => move.from)]);
  const to = columnWidth(["goes to", ...shown.map((move) => move.to)]);
  const rows = shown.map((move) => {
    const share = formatShare(names === 0 ? 0 : move.names / names);
    return (
      `  ${move.from.padEnd(from)}  ${move.to.padEnd(to)}` +
      `  ${COUNT.format(move.names).padStart(10)}  ${share.padStart(8)}`
    );
  });
  const titles = `${"names".padStart(10)}  ${"share".padStart(8)}`;
  const head = `  ${"leaves".padEnd(from)}  ${"goes to".padEnd(to)}  ${titles}`;
  return ["", head, ...rows, ...describeRest(moves.length)];
}

function describeLoads(loads: readonly DestinationLoad[]): string[] {
  const shown = loads.slice(0, ROWS_MAX);
  const width = columnWidth(["destination", ...shown.map(({ destination }) => destination)]);
  const most = Math.max(...loads.map(({ before, after }) => Math.max(before, after)), Number.MIN_VALUE);
  const rows = shown.map(({ destination, before, after }) => {
    const shares = `${formatShare(before).padStart(8)}  ${formatShare(after).padStart(8)}`;
    return `  ${destination.padEnd(width)}  ${shares}  ${drawBar(after / most, LOAD_BAR_WIDTH)}`;
  });
  const head = `  ${"destination".padEnd(width)}  ${"before".padStart(8)}  ${"after".padStart(8)}`;
  return ["", head, ...rows, ...describeRest(loads.length)];
}

function describeRest(count: number): string[] {
  return count > ROWS_MAX ? [`  and ${count - ROWS_MAX} more, see --json`] : [];
}

function columnWidth(texts: readonly string[]): number {
  return Math.max(...texts.map((text) => text.length));
}
