/**
 * Thins out names that send more lines than the threshold in one window: of the further ones a part is kept,
 * by chance, and says so in its rate. Sums come out right on average. Only counters, timers, histograms and
 * meters are thinned: gauges and sets know no rate.
 *
 *   app.requests:12|c|@0.5|#a:b   ->   app.requests:12|c|@0.05|#a:b
 *
 * The part is 1 in 10, 100 or 1000, so that a rate only moves its decimal point.
 */
import { findType, scratchRoom, takeScratch, typeBytes } from "./clean";
import { LINE_BYTES, LINE_NAME_BYTES, LINE_PLACE, LINE_START, lineEntry } from "./lines";
import { countDrop } from "./lines-dropped";
import { mix64, namesSeed, PLACE_SAMPLED } from "./names";
import { DROP_SAMPLED } from "./relay-codes";
import { copyWide } from "./rewrite";
import { lineValue, setLineValue } from "./route";
import { VERDICT_FLAG, verdictDrop, verdictOf } from "./verdict";

/** What becomes of a line that was thinned out. */
export const LINE_GONE: u32 = 0xffffffff;

const COUNT_MAX: u32 = 0xffffff;
const ZERO: u8 = 48;
const NINE: u8 = 57;
const DOT: u8 = 46;
const PIPE: u8 = 124;
const AT: u8 = 64;
const CR: u8 = 13;
/** `|@`, little endian. */
const RATE_MARK: u16 = 0x407c;

let threshold: u32 = 0;
/** Decimal places that a rate moves by: 1 in 10^places lines is kept. */
let places: u32 = 0;
/** Below this a random number of 32 bits keeps its line. */
let keepBelow: u32 = 0;
let window: u32 = 0;
let chance: u64 = 0;

/** lines: kept of a name in one window whatever comes; 0 for all. decimals: 1..3. */
export function setupThin(lines: u32, decimals: u32): void {
  threshold = min(lines, COUNT_MAX - 1);
  places = decimals;
  keepBelow = u32(4294967296.0 / (decimals == 1 ? 10.0 : decimals == 2 ? 100.0 : 1000.0));
  chance = mix64(namesSeed()) | 1;
}

/** Whether anything is thinned out. */
export function isThinning(): bool {
  return threshold != 0;
}

/** Begins a window: names are counted anew. */
export function nextThinWindow(): void {
  window = (window + 1) & 0xff;
}

/** Source: xorshift64* of Sebastiano Vigna (public domain). */
function random32(): u32 {
  chance ^= chance >> 12;
  chance ^= chance << 25;
  chance ^= chance >> 27;
  return u32((chance * 0x2545f4914f6cdd1d) >> 32);
}

/** Thins the first `count` lines of the table, which are routed. */
export function thinLines(count: i32): void {
  for (let line = 0; line < count; line++) {
    const entry = lineEntry(line);
    const start = usize(load<u32>(entry, LINE_START));
    const nameBytes = usize(load<u32>(entry, LINE_NAME_BYTES));
    const place = usize(load<u32>(entry, LINE_PLACE)) + PLACE_SAMPLED;
    let counted = load<u32>(place);
    if (counted >> 24 != window) counted = window << 24;
    if ((counted & COUNT_MAX) < COUNT_MAX) counted += 1;
    store<u32>(place, counted);
    // Lines that are dropped anyhow have a reason of their own.
    if ((counted & COUNT_MAX) <= threshold || isDropped(lineValue(line))) continue;
    thinLine(line, entry, start, start + nameBytes, start + usize(load<u32>(entry, LINE_BYTES)));
  }
}

function isDropped(value: u32): bool {
  return (value & VERDICT_FLAG) != 0 && verdictDrop(verdictOf(value)) != 0;
}

function thinLine(line: i32, entry: usize, start: usize, colon: usize, end: usize): void {
  const type = findType(colon + 1, end);
  if (type == 0) return;
  const bytes = typeBytes(type, end);
  const letter = load<u8>(type);
  // A colon behind a type begins another sample, which a rate would not reach.
  if (bytes == 0 || letter == 103 || letter == 115 || load<u8>(type + bytes) == 58) return;
  const rate = findRate(type + bytes, end);
  const rateEnd: usize = rate == 0 ? 0 : findRateEnd(rate, end);
  if (rate != 0 && !isPlainDecimal(rate, rateEnd)) return;
  if (random32() >= keepBelow) {
    countDrop(DROP_SAMPLED);
    setLineValue(line, LINE_GONE);
    return;
  }
  const anew = scratchRoom();
  const headEnd = rate == 0 ? type + bytes : rate;
  copyWide(anew, start, headEnd - start);
  let to = anew + (headEnd - start);
  if (rate == 0) {
    store<u16>(to, RATE_MARK);
    to = writeShifted(to + 2, 0, 0);
  } else {
    to = writeShifted(to, rate, rateEnd);
  }
  const tail = rate == 0 ? headEnd : rateEnd;
  copyWide(to, tail, end - tail);
  to += end - tail;
  store<u32>(entry, u32(anew), LINE_START);
  store<u32>(entry, u32(to - anew), LINE_BYTES);
  takeScratch(to);
}

/** Address of the rate's digits, 0 without a rate. */
function findRate(at: usize, end: usize): usize {
  for (; at + 1 < end; at++) if (load<u8>(at) == PIPE && load<u8>(at, 1) == AT) return at + 2;
  return 0;
}

function findRateEnd(at: usize, end: usize): usize {
  while (at < end && load<u8>(at) != PIPE && load<u8>(at) != CR) at += 1;
  return at;
}

/** Whether a text is digits with at most one point, few enough to be rewritten. */
function isPlainDecimal(at: usize, end: usize): bool {
  if (end - at > 32) return false;
  let digits = 0;
  let points = 0;
  for (; at < end; at++) {
    const byte = load<u8>(at);
    if (byte >= ZERO && byte <= NINE) digits += 1;
    else if (byte == DOT) points += 1;
    else return false;
  }
  return digits > 0 && points <= 1;
}

/** Writes a decimal with its point moved left by `places`; no text stands for 1. */
function writeShifted(to: usize, at: usize, end: usize): usize {
  let point = at;
  while (point < end && load<u8>(point) != DOT) point += 1;
  const whole: i32 = at == 0 ? 1 : i32(point - at);
  store<u8>(to, ZERO);
  to += 1;
  // Digits of the whole part that stay before the point.
  const before = whole - i32(places);
  if (before <= 0) {
    store<u8>(to, DOT);
    to += 1;
    for (let i = before; i < 0; i++) {
      store<u8>(to, ZERO);
      to += 1;
    }
  }
  if (at == 0) {
    store<u8>(to, ZERO + 1);
    return to + 1;
  }
  for (let i = 0; i < whole; i++) {
    store<u8>(to, load<u8>(at + i));
    to += 1;
    if (before > 0 && i + 1 == before) {
      store<u8>(to, DOT);
      to += 1;
    }
  }
  for (let digit = point + 1; digit < end; digit++) {
    store<u8>(to, load<u8>(digit));
    to += 1;
  }
  return to;
}
