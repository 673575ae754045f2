/**
 * The relay's kernel: takes a batch of datagrams and leaves packets to send. All state is in its own
 * memory; the host calls once for each batch, not for each line.
 *
 *   setup -> host writes ringTable, prefixText, tagsText, selfText -> start
 *   consume(received) -> SEND_FIRST: host sends, releaseSealed(), consume(received) again | DONE
 *   selfStat, flush: only when nothing is sealed
 */
import { reserve } from "./arena";
import { setupBatch } from "./batch";
import { FNV_OFFSET, fnv1a } from "./fnv1a";
import { SLOT_COUNT, SLOT_PAYLOAD_BYTES_MAX } from "./layout";
import {
  beginLines,
  datagramBytes,
  datagrams,
  fillLines,
  LINE_BYTES,
  LINE_START,
  lineEntry,
  linesCut,
  linesReceived,
  linesWithoutColon,
  setupLines,
} from "./lines";
import {
  append,
  appendOwn,
  appendRewritten,
  isRewriting,
  prefixText,
  sealAll,
  sealedCount,
  setupPack,
} from "./pack";

import { destinationOf, lineDestination, routeLines, setupRoute } from "./route";

export { batchHeaders, batchSlots } from "./batch";
export {
  linesRouted,
  linesWaiting,
  packetCount,
  packetHeaders,
  prefixText,
  readyDestination,
  readyDestinationCount,
  releaseSealed,
  sealedCount,
  sealedDestination,
  tagsText,
} from "./pack";
export { ringTable } from "./route";

/** The batch is used up. */
const DONE: i32 = 0;
/** Packets must be sent before the batch can go on. */
const SEND_FIRST: i32 = 1;

let prefixLength: usize = 0;
/** FNV state behind the prefix that all names get. */
let nameState: u64 = FNV_OFFSET;
let selfLine: usize = 0;
let selfLineBytesMax: usize = 0;

let isBatchOpen: bool = false;
/** Lines in the table, and the first of them that is not in a packet yet. */
let lineCount: i32 = 0;
let nextLine: i32 = 0;

let accepted: f64 = 0;
let selfStats: f64 = 0;

/**
 * Reserves everything. memoryBase: address of this memory in the process, or 0 where no system call reads
 * it. destinations: distinct ones, at least 1. buckets: entries of the ring, at least as many. packetlen:
 * bytes. prefixBytes: what is put before each line, with its dot. tagsBytes: what is appended as tags.
 * selfBytes: the longest line for selfStat. hashSeed: see setupRoute. Called once.
 */
export function setup(
  memoryBase: u64,
  destinations: u32,
  buckets: u32,
  packetlen: u32,
  prefixBytes: u32,
  tagsBytes: u32,
  selfBytes: u32,
  hashSeed: u64,
): void {
  assert(destinations >= 1 && buckets >= destinations && selfLine == 0);
  assert(usize(selfBytes) <= usize(SLOT_PAYLOAD_BYTES_MAX));
  prefixLength = prefixBytes;
  selfLineBytesMax = selfBytes;
  setupBatch(memoryBase);
  setupLines();
  setupRoute(buckets, hashSeed);
  selfLine = reserve(usize(selfBytes) + 64);
  setupPack(memoryBase, destinations, packetlen, prefixBytes, tagsBytes);
}

/** Address where the host writes the line for selfStat. */
export function selfText(): usize {
  return selfLine;
}

/** Makes what the host wrote after setup effective. */
export function start(): void {
  nameState = fnv1a(FNV_OFFSET, prefixText(), prefixLength);
}

/**
 * Takes a batch: splits lines, hashes names, appends to packets. received: datagrams in slots 0..received-1.
 * Returns DONE, or SEND_FIRST where it has to be called again with the same argument after sending.
 */
export function consume(received: i32): i32 {
  assert(u32(received) <= u32(SLOT_COUNT));
  if (!isBatchOpen) {
    isBatchOpen = true;
    beginLines(received);
  }
  for (;;) {
    if (nextLine == lineCount) {
      nextLine = 0;
      lineCount = fillLines();
      if (lineCount == 0) break;
      routeLines(lineCount, nameState);
    }
    if (!packLines()) return SEND_FIRST;
  }
  isBatchOpen = false;
  return DONE;
}

/** Appends the lines of the table to packets. Returns false where sealed packets must be sent first. */
function packLines(): bool {
  const isPlain = !isRewriting();
  const first = nextLine;
  let line = first;
  for (; line < lineCount; line++) {
    const destination = lineDestination(line);
    const entry = lineEntry(line);
    const start = usize(load<u32>(entry, LINE_START));
    const bytes = usize(load<u32>(entry, LINE_BYTES));
    const isTaken = isPlain ? append(destination, start, bytes) : appendRewritten(destination, start, bytes);
    if (!isTaken) break;
  }
  nextLine = line;
  accepted += f64(line - first);
  return line == lineCount;
}

/**
 * Appends the relay's own line, which the host wrote to selfText() with its line feed. It is routed by its
 * own name and gets neither prefix nor tags. nameBytes: up to the colon. bytes: with the line feed, which
 * counts here.
 */
export function selfStat(nameBytes: u32, bytes: u32): void {
  assert(sealedCount() == 0 && !isBatchOpen && usize(bytes) <= selfLineBytesMax && bytes > nameBytes);
  assert(appendOwn(destinationOf(hashSelf(nameBytes)), selfLine, bytes));
  selfStats += 1;
}

/** Hash of the first bytes at selfText(). */
export function hashSelf(nameBytes: u32): u64 {
  return fnv1a(FNV_OFFSET, selfLine, nameBytes);
}

/** Seals every open packet in ring order. */
export function flush(): void {
  assert(sealedCount() == 0 && !isBatchOpen);
  sealAll();
}

export function datagramsReceived(): f64 {
  return datagrams;
}

export function bytesReceived(): f64 {
  return datagramBytes;
}

/** Lines that are not blank: received = accepted + without colon + cut. */
export function received(): f64 {
  return linesReceived;
}

export function linesAccepted(): f64 {
  return accepted;
}

export function droppedNoColon(): f64 {
  return linesWithoutColon;
}

export function droppedCut(): f64 {
  return linesCut;
}

/** Lines of the relay's own. */
export function selfLines(): f64 {
  return selfStats;
}
