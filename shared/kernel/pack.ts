/**
 * Packs lines into packets, one open packet for each destination, by the rule of Go statsrelay: a packet leaves
 * when packet + line would exceed packetlen, where the line counts without its line feed and without what is
 * put around it. Packets hence reach packetlen + 1 bytes and the additions to one line; a line that is longer than
 * packetlen travels alone; an empty packet never leaves.
 *
 *   free buffers --take--> open packet --seal--> sealed packets of the destination --host sends--> free buffers
 *
 * Sealed packets are described by mmsghdr structures for sendmmsg(2), PACKETS_MAX in a row for each destination.
 */
import { reserve } from "./arena";
import {
  HEADER_BYTES,
  HEADER_IOV,
  HEADER_IOV_COUNT,
  HEADER_LINES,
  IOVEC_BYTES,
  IOVEC_LENGTH,
  SLOT_PAYLOAD_BYTES_MAX,
} from "./layout";

const LF: u8 = 10;
const PIPE: u32 = 124;

/** Sealed packets that one destination can have. */
const PACKETS_MAX: u32 = 64;
/** Buffers beyond one for each destination. Only those that are written to become real memory. */
const SPARE_BUFFERS: u32 = 256;
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

let destinationCount: u32 = 0;
let destinations: usize = 0;
let headers: usize = 0;
let packetlen: usize = 0;
/** Stack of free buffers, and how many it holds. */
let freeBuffers: usize = 0;
let freeCount: u32 = 0;
/** Sealed packets in the order of sealing: destination and buffer, 32 bits each. */
let sealLog: usize = 0;
let sealCount: u32 = 0;
/** Destinations that have sealed packets, 32 bits each. */
let ready: usize = 0;
let readyCount: u32 = 0;
/** What is put before each line and, as tags, behind it. */
let prefix: usize = 0;
let prefixBytes: usize = 0;
let tags: usize = 0;
let tagsBytes: usize = 0;

/**
 * Reserves packets and tables. memoryBase: as in setupBatch. bytesMax: longest packet that does not hold a longer
 * line. prefixLength, tagsLength: bytes put before each line, dot included, and appended as tags; the host writes
 * them to prefixText() and tagsText() before the first line.
 */
export function setupPack(
  memoryBase: u64,
  count: u32,
  bytesMax: u32,
  prefixLength: u32,
  tagsLength: u32,
): void {
  destinationCount = count;
  packetlen = bytesMax;
  prefixBytes = prefixLength;
  tagsBytes = tagsLength;
  prefix = reserve(prefixBytes + SLACK_BYTES);
  tags = reserve(tagsBytes + SLACK_BYTES);
  destinations = reserve(usize(count) * DESTINATION_BYTES);
  ready = reserve(usize(count) * 4);
  const bufferCount = count + SPARE_BUFFERS;
  sealLog = reserve(usize(bufferCount) * 8);
  freeBuffers = reserve(usize(bufferCount) * 4);
  setupHeaders(memoryBase);
  setupBuffers(bufferCount);
}

function setupHeaders(memoryBase: u64): void {
  const packets = usize(destinationCount) * PACKETS_MAX;
  headers = reserve(packets * HEADER_BYTES);
  const iovecs = reserve(packets * IOVEC_BYTES);
  for (let i: usize = 0; i < packets; i++) {
    const header = headers + i * HEADER_BYTES;
    store<u64>(header, memoryBase + u64(iovecs + i * IOVEC_BYTES), HEADER_IOV);
    store<u64>(header, 1, HEADER_IOV_COUNT);
  }
}
