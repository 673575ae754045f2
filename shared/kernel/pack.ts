/**
 * Packs lines into packets, one open packet for each destination, by the rule of Go statsrelay: a packet
 * leaves when packet + line would exceed packetlen, where the line counts without its line feed and without
 * what is put around it. Packets hence reach packetlen + 1 bytes and the additions to one line; a line that
 * is longer than packetlen travels alone; an empty packet never leaves. Strict packing counts all that.
 *
 *   free buffers --take--> open packet --seal--> sealed packets of the destination --host sends--> free
 *   buffers
 *
 * Sealed packets are described by mmsghdr structures for sendmmsg(2), PACKETS_MAX in a row for each
 * destination.
 */
import { reserve } from "./arena";
import { bufferCountMax, giveBuffer, hasBuffer, setupBuffers, takeBuffer } from "./buffers";
import {
  HEADER_BYTES,
  HEADER_IOV,
  HEADER_IOV_COUNT,
  HEADER_LINES,
  IOVEC_BYTES,
  IOVEC_LENGTH,
  SLOT_PAYLOAD_BYTES_MAX,
} from "./layout";
import { RENAMED_BYTES_MAX } from "./relay-codes";
import { copyWide, writeLine } from "./rewrite";

const LF: u8 = 10;

/** Sealed packets that one destination can have. */
const PACKETS_MAX: u32 = 64;
/** What copies may write behind the end of a packet. */
const SLACK_BYTES: usize = 128;

// A destination's record, one cache line each.
const DESTINATION_BYTES: usize = 64;
/** Address of the open packet's buffer, 0 where none is open; 32 bits. */
const OPEN: usize = 0;
/** Bytes in the open packet, 32 bits; 0 where none is open. */
const USED: usize = 4;
/** Lines in the open packet, 32 bits. */
const LINES: usize = 8;
/** Sealed packets, 32 bits. */
const SEALED: usize = 12;
/** Lines in sealed packets, 32 bits. */
const SEALED_LINES: usize = 16;
/** Lines ever appended, a double. */
const ROUTED: usize = 24;
/** Lines not sent because the destination is down, a double. */
const DOWN: usize = 32;

let destinationCount: u32 = 0;
let destinations: usize = 0;
let base: u64 = 0;
let headers: usize = 0;
let iovecs: usize = 0;
let packetlen: usize = 0;
/** Sealed packets in the order of sealing: destination and buffer, 32 bits each. */
let sealLog: usize = 0;
let sealCount: u32 = 0;
/** Destinations that have sealed packets, 32 bits each. */
let ready: usize = 0;
let readyCount: u32 = 0;
/** Whether packets hold what leaves to packetlen, and not what came. */
let isStrict: bool = false;
/** A line as it leaves, where its bytes must be known beforehand. */
let strictLine: usize = 0;

/**
 * Reserves packets and tables. memoryBase: as in setupBatch. bytesMax: longest packet that does not hold a
 * longer line. additionsMax: most bytes that are added to a line. isStrictlyPacked: count additions and line
 * feeds as well.
 */
export function setupPack(
  memoryBase: u64,
  count: u32,
  bytesMax: u32,
  additionsMax: usize,
  isStrictlyPacked: bool,
): void {
  destinationCount = count;
  packetlen = bytesMax;
  isStrict = isStrictlyPacked;
  destinations = reserve(usize(count) * DESTINATION_BYTES);
  ready = reserve(usize(count) * 4);
  sealLog = reserve(usize(bufferCountMax(count)) * 8);
  base = memoryBase;
  setupHeaders();
  // The line feed, and the name that a rule may put in the place of a shorter one.
  const longest = usize(SLOT_PAYLOAD_BYTES_MAX) + usize(RENAMED_BYTES_MAX) + additionsMax + 1 + SLACK_BYTES;
  if (isStrict) strictLine = reserve(longest);
  setupBuffers(count, packetlen + additionsMax + 1 + SLACK_BYTES, longest);
}

function setupHeaders(): void {
  const packets = usize(destinationCount) * PACKETS_MAX;
  headers = reserve(packets * HEADER_BYTES);
  iovecs = reserve(packets * IOVEC_BYTES);
  for (let i: usize = 0; i < packets; i++) {
    const header = headers + i * HEADER_BYTES;
    store<u64>(header, base + u64(iovecs + i * IOVEC_BYTES), HEADER_IOV);
    store<u64>(header, 1, HEADER_IOV_COUNT);
  }
}

/** Address of a destination's record. */
function recordOf(destination: u32): usize {
  return destinations + usize(destination) * DESTINATION_BYTES;
}

/**
 * Makes room for a line of so many bytes. Returns the address where it goes, or 0 where sealed packets must
 * be sent first; nothing has changed then.
 */
function makeRoom(record: usize, destination: u32, bytes: usize): usize {
  const used = usize(load<u32>(record, USED));
  if (used != 0 && used + bytes <= packetlen) return usize(load<u32>(record, OPEN)) + used;
  const isLarge = bytes > packetlen;
  // First of all, as without a buffer a sealed packet would leave nothing to write the line to.
  if (!hasBuffer(isLarge)) return 0;
  if (used != 0 && !seal(record, destination)) return 0;
  const buffer = u32(takeBuffer(isLarge));
  store<u32>(record, buffer, OPEN);
  return usize(buffer);
}

/** Notes that a line ends before `end`, which is behind its line feed. */
function closeLine(record: usize, end: usize): void {
  store<u32>(record, u32(end) - load<u32>(record, OPEN), USED);
  store<u32>(record, load<u32>(record, LINES) + 1, LINES);
  store<f64>(record, load<f64>(record, ROUTED) + 1, ROUTED);
}

/** Appends a line as it came. Returns whether it was taken; if not, sealed packets must be sent first. */
export function append(destination: u32, line: usize, bytes: usize): bool {
  const record = recordOf(destination);
  const to = makeRoom(record, destination, bytes + usize(isStrict));
  if (to == 0) return false;
  copyWide(to, line, bytes);
  store<u8>(to + bytes, LF);
  closeLine(record, to + bytes + 1);
  return true;
}

/** Appends a line of ours, which brings its line feed and is counted with it. */
export function appendOwn(destination: u32, line: usize, bytes: usize): bool {
  const record = recordOf(destination);
  const to = makeRoom(record, destination, bytes);
  if (to == 0) return false;
  copyWide(to, line, bytes);
  closeLine(record, to + bytes);
  return true;
}

/**
 * Same as append, for a line as it leaves along a route. name, newBytes: the name in the place of the line's
 * own, which may be the same.
 */
export function appendChanged(
  destination: u32,
  route: u32,
  line: usize,
  nameBytes: usize,
  bytes: usize,
  name: usize,
  newBytes: usize,
): bool {
  if (isStrict) {
    const end = writeLine(strictLine, route, line, nameBytes, bytes, name, newBytes);
    return append(destination, strictLine, end - strictLine);
  }
  const record = recordOf(destination);
  const to = makeRoom(record, destination, bytes - nameBytes + newBytes);
  if (to == 0) return false;
  const end = writeLine(to, route, line, nameBytes, bytes, name, newBytes);
  store<u8>(end, LF);
  closeLine(record, end + 1);
  return true;
}

/** Counts a line for a destination that is down and gets none. */
export function countDown(destination: u32): void {
  const record = recordOf(destination);
  store<f64>(record, load<f64>(record, ROUTED) + 1, ROUTED);
  store<f64>(record, load<f64>(record, DOWN) + 1, DOWN);
}

/** Lines of a destination that it did not get because it is down. */
export function linesDown(destination: u32): f64 {
  return load<f64>(recordOf(destination), DOWN);
}

/** Closes the open packet. Returns false where the destination can have no more sealed packets. */
function seal(record: usize, destination: u32): bool {
  const sealed = load<u32>(record, SEALED);
  if (sealed == PACKETS_MAX) return false;
  const buffer = load<u32>(record, OPEN);
  const lines = load<u32>(record, LINES);
  const packet = usize(destination * PACKETS_MAX + sealed);
  const iovec = iovecs + packet * IOVEC_BYTES;
  store<u64>(iovec, base + u64(buffer));
  store<u64>(iovec, u64(load<u32>(record, USED)), IOVEC_LENGTH);
  store<u32>(headers + packet * HEADER_BYTES, lines, HEADER_LINES);
  if (sealed == 0) {
    store<u32>(ready + usize(readyCount) * 4, destination);
    readyCount += 1;
  }
  const entry = sealLog + usize(sealCount) * 8;
  store<u32>(entry, destination);
  store<u32>(entry, buffer, 4);
  sealCount += 1;
  store<u32>(record, 0, OPEN);
  store<u32>(record, 0, USED);
  store<u32>(record, 0, LINES);
  store<u32>(record, sealed + 1, SEALED);
  store<u32>(record, load<u32>(record, SEALED_LINES) + lines, SEALED_LINES);
  return true;
}

/**
 * Seals every open packet, in ring order. Only called when no packet is sealed, so there is room for all.
 */
export function sealAll(): void {
  for (let destination: u32 = 0; destination < destinationCount; destination++) {
    const record = recordOf(destination);
    if (load<u32>(record, USED) != 0) assert(seal(record, destination));
  }
}

/** Sealed packets of all destinations. */
export function sealedCount(): u32 {
  return sealCount;
}

/** Destination of a sealed packet, in the order of sealing. index: 0..sealedCount()-1. */
export function sealedDestination(index: u32): u32 {
  return load<u32>(sealLog + usize(index) * 8);
}

/** Destinations that have sealed packets. */
export function readyDestinationCount(): u32 {
  return readyCount;
}

/** One of them. index: 0..readyDestinationCount()-1. */
export function readyDestination(index: u32): u32 {
  return load<u32>(ready + usize(index) * 4);
}

/** Offset of the first mmsghdr of a destination's sealed packets. */
export function packetHeaders(destination: u32): usize {
  return headers + usize(destination * PACKETS_MAX) * HEADER_BYTES;
}

/** Number of a destination's sealed packets. */
export function packetCount(destination: u32): u32 {
  return load<u32>(recordOf(destination), SEALED);
}

/** Takes the buffers of all sealed packets back; the host has sent or copied them. */
export function releaseSealed(): void {
  // Backwards, so that buffers are taken again in the order in which they were.
  for (let i = sealCount; i > 0; i--) giveBuffer(usize(load<u32>(sealLog + usize(i - 1) * 8, 4)));
  for (let i: u32 = 0; i < readyCount; i++) {
    const record = recordOf(load<u32>(ready + usize(i) * 4));
    store<u32>(record, 0, SEALED);
    store<u32>(record, 0, SEALED_LINES);
  }
  sealCount = 0;
  readyCount = 0;
}

/** Lines ever appended for a destination, the relay's own included. */
export function linesRouted(destination: u32): f64 {
  return load<f64>(recordOf(destination), ROUTED);
}

/** Lines of a destination that wait here, in the open packet or in sealed ones. */
export function linesWaiting(destination: u32): u32 {
  const record = recordOf(destination);
  return load<u32>(record, LINES) + load<u32>(record, SEALED_LINES);
}
