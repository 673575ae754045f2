/**
 * What becomes of names that do more than go to one destination of the main route as they are: a verdict
 * drops the name's lines for a reason, or lists all their targets.
 *
 *   verdict   [ reason + 1, or 0 | targets ] [ destination | route | name | bytes ]...   32 bits each
 *
 * A target's name is the address of the name that takes the place of the line's own; 0 leaves that.
 * Verdicts and names lie in one region that is only given back as a whole, with all names forgotten.
 */
import { reserve } from "./arena";
import { LINES_MAX } from "./lines";
import { RENAMED_BYTES_MAX, ROUTES_MAX, TARGETS_MAX } from "./relay-codes";

/** Marks a value of the memory of names as a verdict; others are destinations of the main route. */
export const VERDICT_FLAG: u32 = 0x80000000;

/** Marks a destination, or the route of a target, that takes lines in the place of one passed over. */
export const DIVERTED_FLAG: u32 = 0x40000000;

const HEADER_BYTES: usize = 8;
const TARGET_BYTES: usize = 16;
const VERDICT_SHIFT: u32 = 3;
const VERDICT_BYTES_MAX: usize = HEADER_BYTES + usize(TARGETS_MAX) * TARGET_BYTES;
/** What the misses of one table of lines can need. */
const TABLE_BYTES_MAX: usize =
  usize(LINES_MAX) * (VERDICT_BYTES_MAX + ROUTES_MAX * (RENAMED_BYTES_MAX + 16) + 16);
/** What is filled before all is given back. */
const FILLED_BYTES_MAX: usize = 16 << 20;

let region: usize = 0;
let top: usize = 0;
/** The verdict that is being made. */
let draft: usize = 0;
let draftTargets: u32 = 0;

/**
 * Reserves the draft, and the region where verdicts come up at all; it becomes real memory only where it is
 * written to.
 */
export function setupVerdicts(isRegionNeeded: bool): void {
  draft = reserve(VERDICT_BYTES_MAX);
  if (!isRegionNeeded) return;
  region = reserve(FILLED_BYTES_MAX + TABLE_BYTES_MAX);
  top = region;
}

/** Whether so much is filled that all names should be forgotten before the next lines. */
export function areVerdictsFull(): bool {
  return top - region > FILLED_BYTES_MAX;
}

/** Gives the whole region back. Only when no name refers to it any more. */
export function clearVerdicts(): void {
  top = region;
}

/** Begins a verdict without targets. */
export function beginDraft(): void {
  draftTargets = 0;
}

/** Keeps a copy of a name. Returns its address. */
export function keepName(name: usize, bytes: usize): usize {
  const kept = top;
  memory.copy(kept, name, bytes);
  top += (bytes + 15) & ~7;
  return kept;
}

/** Adds a target; those beyond TARGETS_MAX are left out, which the configuration's bounds rule out. */
export function addDraftTarget(destination: u32, route: u32, name: usize, bytes: usize): void {
  if (draftTargets == TARGETS_MAX) return;
  const target = draft + HEADER_BYTES + usize(draftTargets) * TARGET_BYTES;
  store<u32>(target, destination);
  store<u32>(target, route, 4);
  store<u32>(target, u32(name), 8);
  store<u32>(target, u32(bytes), 12);
  draftTargets += 1;
}

/** Targets of the verdict that is being made. */
export function draftTargetCount(): u32 {
  return draftTargets;
}

/** Ends a verdict. Returns the value to remember: a plain destination where the verdict is no more. */
export function endDraft(): u32 {
  const first = draft + HEADER_BYTES;
  const route = load<u32>(first, 4);
  if (draftTargets == 1 && (route & ~DIVERTED_FLAG) == 0 && load<u32>(first, 8) == 0) {
    return load<u32>(first) | route;
  }
  store<u32>(draft, 0);
  store<u32>(draft, draftTargets, 4);
  return keepVerdict(HEADER_BYTES + usize(draftTargets) * TARGET_BYTES);
}

/** Makes a verdict that drops. reason: a DROP code. Returns the value to remember. */
export function dropVerdict(reason: u32): u32 {
  store<u32>(draft, reason + 1);
  store<u32>(draft, 0, 4);
  return keepVerdict(HEADER_BYTES);
}

function keepVerdict(bytes: usize): u32 {
  const verdict = top;
  memory.copy(verdict, draft, bytes);
  top += bytes;
  return VERDICT_FLAG | u32((verdict - region) >> VERDICT_SHIFT);
}

/** Address of the verdict behind a value that has VERDICT_FLAG. */
export function verdictOf(value: u32): usize {
  return region + (usize(value & ~VERDICT_FLAG) << VERDICT_SHIFT);
}

/** DROP code + 1, or 0 where lines are not dropped. */
export function verdictDrop(verdict: usize): u32 {
  return load<u32>(verdict);
}

/** Number of a verdict's targets. */
export function verdictTargets(verdict: usize): u32 {
  return load<u32>(verdict, 4);
}

/** Address of a target: destination, route (perhaps with DIVERTED_FLAG), name and its bytes, 32 bits each. */
export function verdictTarget(verdict: usize, index: u32): usize {
  return verdict + HEADER_BYTES + usize(index) * TARGET_BYTES;
}
