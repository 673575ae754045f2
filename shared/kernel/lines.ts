/**
 * Splits received datagrams into lines. A table holds the lines at hand; it is refilled where the last
 * filling stopped until the batch is used up, so that its size bounds memory and not the number of lines.
 *
 *   \r \n   app.requests:12|c|@0.5 \n
 *   ^       ^           ^          ^
 *   blank   start       colon      end: the line feed, or the datagram's own end
 */
import { reserve } from "./arena";
import { batchHeaders, slotBytes, slotStart } from "./batch";
import { HEADER_BYTES, HEADER_FLAGS } from "./layout";

const NUL: u32 = 0;
const LF: u32 = 10;
const CR: u32 = 13;
const COLON: u32 = 58;

/** Flag of recvmmsg: the datagram was longer than its slot. */
const MSG_TRUNC: u32 = 0x20;

/** Lines that the table holds: few enough that table and text stay in the nearest cache. */
export const LINES_MAX: i32 = 256;
/** Bytes of a table entry. */
export const LINE_ENTRY_BYTES: usize = 16;
/** Offset of the address of a line's first byte, 32 bits. */
export const LINE_START: usize = 0;
/** Offset of the bytes before the first colon, 32 bits. */
export const LINE_NAME_BYTES: usize = 4;
/** Offset of the bytes of the whole line without its line feed, 32 bits. */
export const LINE_BYTES: usize = 8;

/** Offset of where the name is remembered, 32 bits; written by whoever routes the line. */
export const LINE_PLACE: usize = 12;

/** Bytes that one look covers; most lines are shorter. */
const BLOCK_BYTES: usize = 64;

let table: usize = 0;
let slot: i32 = 0;
let slotsReceived: i32 = 0;
let position: usize = 0;
let datagramEnd: usize = 0;

/** Counters since the start. Received lines are those that are not blank. */
export let datagrams: f64 = 0;
export let datagramBytes: f64 = 0;
export let linesReceived: f64 = 0;
export let linesWithoutColon: f64 = 0;
export let linesCut: f64 = 0;

/** Reserves the table, with room behind it for the entries that fill up the last group of a hash. */
export function setupLines(): void {
  table = reserve(usize(LINES_MAX) * LINE_ENTRY_BYTES + 8 * LINE_ENTRY_BYTES);
}

/** Address of a table entry. */
export function lineEntry(index: i32): usize {
  return table + usize(index) * LINE_ENTRY_BYTES;
}

/** Begins a batch. received: datagrams in slots 0..received-1. */
export function beginLines(received: i32): void {
  slotsReceived = received;
  slot = -1;
  position = 0;
  datagramEnd = 0;
}

/** Opens the next datagram. Returns whether there is one. */
function nextDatagram(): bool {
  slot += 1;
  if (slot >= slotsReceived) return false;
  const bytes = slotBytes(slot);
  position = slotStart(slot);
  datagramEnd = position + bytes;
  datagrams += 1;
  datagramBytes += f64(bytes);
  const flags = load<u32>(batchHeaders() + usize(slot) * HEADER_BYTES, HEADER_FLAGS);
  if ((flags & MSG_TRUNC) != 0) forgetCutLine();
  // The line feed that a datagram may lack; slots have room for it.
  store<u8>(datagramEnd, u8(LF));
  return true;
}

/** Drops the last line of a datagram that was longer than its slot: its value may lack digits. */
function forgetCutLine(): void {
  linesReceived += 1;
  linesCut += 1;
  while (datagramEnd > position && load<u8>(datagramEnd - 1) != LF) datagramEnd -= 1;
}

/** Returns which of 64 bytes equal a byte that is given in all lanes; bit i stands for byte i. */
function matchBlock(at: usize, byte: v128): u64 {
  const first = u64(i8x16.bitmask(i8x16.eq(v128.load(at), byte)));
  const second = u64(i8x16.bitmask(i8x16.eq(v128.load(at, 16), byte)));
  const third = u64(i8x16.bitmask(i8x16.eq(v128.load(at, 32), byte)));
  const fourth = u64(i8x16.bitmask(i8x16.eq(v128.load(at, 48), byte)));
  return first | (second << 16) | (third << 32) | (fourth << 48);
}

/** Returns the address of the next such byte. A line feed is always found: each datagram ends with one. */
function find(at: usize, byte: u32): usize {
  const lanes = i8x16.splat(i8(byte));
  let hits = matchBlock(at, lanes);
  while (hits == 0) {
    at += BLOCK_BYTES;
    hits = matchBlock(at, lanes);
  }
  return at + usize(ctz(hits));
}

/** Returns the address of the first colon of a long line, or of its end. */
function findColon(at: usize, end: usize): usize {
  const lanes = i8x16.splat(i8(COLON));
  for (; at < end; at += BLOCK_BYTES) {
    const hits = matchBlock(at, lanes);
    if (hits != 0) return min(at + usize(ctz(hits)), end);
  }
  return end;
}

/**
 * Fills the table from where the last call stopped. Returns the number of lines in it; 0 says that the
 * batch is used up. Lines without a colon are counted and left out.
 */
export function fillLines(): i32 {
  let count = 0;
  while (count < LINES_MAX) {
    if (position >= datagramEnd) {
      if (!nextDatagram()) break;
    }
    count = splitDatagram(count);
  }
  return count;
}

/** Adds the lines of the open datagram to the table until one of them is used up. Returns the new count. */
function splitDatagram(count: i32): i32 {
  const lfLanes = i8x16.splat(i8(LF));
  const colonLanes = i8x16.splat(i8(COLON));
  const end = datagramEnd;
  let at = position;
  let lines = 0;
  let withoutColon = 0;
  let entry = lineEntry(count);
  const entriesEnd = lineEntry(LINES_MAX);
  while (at < end && entry < entriesEnd) {
    const byte = u32(load<u8>(at));
    if (byte == LF || byte == CR || byte == NUL) {
      at += 1;
      continue;
    }
    lines += 1;
    const lineFeeds = matchBlock(at, lfLanes);
    let bytes: usize;
    let nameBytes: usize;
    if (lineFeeds != 0) {
      bytes = usize(ctz(lineFeeds));
      // Only bits below the line feed belong to this line. Without one of them ctz gives 64.
      const colons = matchBlock(at, colonLanes) & (lineFeeds ^ (lineFeeds - 1));
      nameBytes = usize(ctz(colons));
    } else {
      const lineEnd = find(at + BLOCK_BYTES, LF);
      bytes = lineEnd - at;
      nameBytes = findColon(at, lineEnd) - at;
    }
    if (nameBytes < bytes) {
      store<u32>(entry, u32(at), LINE_START);
      store<u32>(entry, u32(nameBytes), LINE_NAME_BYTES);
      store<u32>(entry, u32(bytes), LINE_BYTES);
      entry += LINE_ENTRY_BYTES;
    } else {
      withoutColon += 1;
    }
    at += bytes + 1;
  }
  position = at;
  linesReceived += f64(lines);
  linesWithoutColon += f64(withoutColon);
  return i32((entry - table) / LINE_ENTRY_BYTES);
}
