/**
 * From the table of lines, which are routed by now, into packets. It can stop at any line, and at any target
 * of a line, where packets must be sent first, and goes on there.
 */
import { LINE_BYTES, LINE_NAME_BYTES, LINE_START, lineEntry } from "./lines";
import { countDrop } from "./lines-dropped";
import { append, appendChanged, countDown } from "./pack";
import { isChangingLines } from "./rewrite";
import { destinationStates } from "./ring";
import { STATE_DROP } from "./ring-codes";
import { lineValue } from "./route";
import { LINE_GONE } from "./thin";
import {
  DIVERTED_FLAG,
  VERDICT_FLAG,
  verdictDrop,
  verdictOf,
  verdictTarget,
  verdictTargets,
} from "./verdict";

/** Lines in the table, the first of them that is not in a packet yet, and its first target that is not. */
let lineCount: i32 = 0;
let nextLine: i32 = 0;
let nextTarget: u32 = 0;

/** Lines put into packets, and those put into further ones. */
export let accepted: f64 = 0;
export let copied: f64 = 0;
/** Lines that took another destination than their first choice, which is passed over. */
export let diverted: f64 = 0;

/** Begins with the first line of a table. count: of its lines. */
export function beginTable(count: i32): void {
  lineCount = count;
  nextLine = 0;
}

/** Whether all lines of the table are in packets. */
export function isTableDone(): bool {
  return nextLine == lineCount;
}

/** Appends the lines of the table as they are. Returns false where sealed packets must be sent first. */
export function packPlain(): bool {
  const first = nextLine;
  let line = first;
  for (; line < lineCount; line++) {
    const entry = lineEntry(line);
    const start = usize(load<u32>(entry, LINE_START));
    const bytes = usize(load<u32>(entry, LINE_BYTES));
    if (!append(lineValue(line), start, bytes)) break;
  }
  nextLine = line;
  accepted += f64(line - first);
  return line == lineCount;
}

/** Same as packPlain, for lines that are dropped, changed or copied on their way. */
export function packChanged(): bool {
  for (; nextLine < lineCount; nextLine++) {
    const value = lineValue(nextLine);
    if (value == LINE_GONE) continue;
    const entry = lineEntry(nextLine);
    if ((value & VERDICT_FLAG) == 0) {
      if (!packTarget(entry, value & ~DIVERTED_FLAG, 0, 0, 0)) return false;
      if ((value & DIVERTED_FLAG) != 0) diverted += 1;
      accepted += 1;
      continue;
    }
    const verdict = verdictOf(value);
    const drop = verdictDrop(verdict);
    if (drop != 0) {
      countDrop(drop - 1);
      continue;
    }
    const targets = verdictTargets(verdict);
    for (; nextTarget < targets; nextTarget++) {
      const target = verdictTarget(verdict, nextTarget);
      const destination = load<u32>(target);
      const name = usize(load<u32>(target, 8));
      const route = load<u32>(target, 4);
      if (!packTarget(entry, destination, route & ~DIVERTED_FLAG, name, load<u32>(target, 12))) return false;
      if ((route & DIVERTED_FLAG) != 0) diverted += 1;
    }
    nextTarget = 0;
    accepted += 1;
    copied += f64(targets - 1);
  }
  return true;
}

/** Appends a line for one destination. name: in the place of the line's own, 0 for that. */
function packTarget(entry: usize, destination: u32, route: u32, name: usize, newBytes: u32): bool {
  if (load<u8>(destinationStates() + usize(destination)) == u8(STATE_DROP)) {
    countDown(destination);
    return true;
  }
  const start = usize(load<u32>(entry, LINE_START));
  const bytes = usize(load<u32>(entry, LINE_BYTES));
  if (name == 0 && !isChangingLines(route)) return append(destination, start, bytes);
  const nameBytes = usize(load<u32>(entry, LINE_NAME_BYTES));
  const isRenamed = name != 0;
  const leaving = isRenamed ? name : start;
  const leavingBytes = isRenamed ? usize(newBytes) : nameBytes;
  return appendChanged(destination, route, start, nameBytes, bytes, leaving, leavingBytes);
}
