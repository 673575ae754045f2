/**
 * The relay's kernel: takes a batch of datagrams and leaves packets to send. All state is in its own
 * memory; the host calls once for each batch, not for each line.
 *
 *   setup -> addRoute... -> host writes the routes' texts and rings -> start
 *   consume(received) -> SEND_FIRST: host sends, releaseSealed(), consume(received) again
 *                     -> JUDGE_FIRST: host judges the names, consume(received) again
 *                     -> DONE
 *   ownLine, flush: only when nothing is sealed
 *
 * With one route, and nothing to look at in its lines, a line goes from the table of lines to the open packet
 * of its destination and that is all. Everything else takes the longer way of packChanged().
 */
import { reserve } from "./arena";
import { setupBatch } from "./batch";
import { cleanLines, resetScratch, setupClean } from "./clean";
import { accepted, beginTable, copied, diverted, isTableDone, packChanged, packPlain } from "./forward";
import { SLOT_COUNT, SLOT_PAYLOAD_BYTES_MAX } from "./layout";
import {
  beginLines,
  datagramBytes,
  datagrams,
  fillLines,
  linesCut,
  linesReceived,
  linesWithoutColon,
  setupLines,
} from "./lines";
import { setupDrops } from "./lines-dropped";
import { appendOwn, countDown, sealAll, sealedCount, setupPack } from "./pack";
import {
  CONSUME_DONE,
  CONSUME_JUDGE_FIRST,
  CONSUME_SEND_FIRST,
  FEATURE_HOST_JUDGES,
  FEATURE_STRICT_PACKETLEN,
  FEATURE_TAGS_GRAPHITE,
  FEATURE_TAGS_IN_SECTION,
  FEATURE_TAGS_NAME,
  FEATURE_TRIM_CR,
  FEATURE_VALIDATE,
  RENAMED_BYTES_MAX,
  ROUTES_MAX,
} from "./relay-codes";
import {
  addRewrite,
  isChangingLines,
  prefixText,
  prefixTextBytes,
  rewriteBytesMax,
  setupRewrite,
} from "./rewrite";
import { addRing, destinationStates, setupRings } from "./ring";
import { STATE_DROP, STATE_SERVE } from "./ring-codes";
import {
  addTarget,
  isJudgingNames,
  ownDestination,
  addRoute as registerRoute,
  routeLines,
  setupRoute,
  startRoute,
  updateStates,
} from "./route";
import { isThinning, nextThinWindow, setupThin, thinLines } from "./thin";

export { batchHeaders, batchSlots } from "./batch";
export { linesDropped } from "./lines-dropped";
export { namesSeed, namesTable } from "./names";
export {
  linesDown,
  linesRouted,
  linesWaiting,
  packetCount,
  packetHeaders,
  readyDestination,
  readyDestinationCount,
  releaseSealed,
  sealedCount,
  sealedDestination,
} from "./pack";
export { prefixText, suffixText, tagsText } from "./rewrite";
export {
  bucketOfHash,
  chooseByHash,
  chooseDestinations,
  copyKey,
  destinationStates,
  hashOf,
  ringBuckets,
  ringPoints,
} from "./ring";
export {
  beginVerdict,
  dropName,
  endVerdict,
  forgetNames,
  isInShare,
  isNameInShare,
  missName,
  missNameBytes,
  namesWaiting,
} from "./route";

let base: u64 = 0;
let destinationCount: u32 = 0;
let packetlenBytes: u32 = 0;
let features: u32 = 0;
let text: usize = 0;
let textBytesMax: usize = 0;

let isBatchOpen: bool = false;
/** Whether names of the table wait for the host. */
let isJudgePending: bool = false;
/** Whether lines are looked at before they are routed. */
let isCleaning: bool = false;
/** Whether lines may go the short way. */
let isPlain: bool = false;
/** Lines of the table at hand. */
let tableLines: i32 = 0;
let ownLines: f64 = 0;

/**
 * Reserves what does not depend on routes. memoryBase: address of this memory in the process, or 0 where no
 * system call reads it. destinations: of all rings together, at least 1. routes: how many addRoute() will
 * add. packetlen: bytes. textBytes: the longest text that the host writes to hostText(). chosen: FEATURE
 * flags. hashSeed: see setupNames. Called once.
 */
export function setup(
  memoryBase: u64,
  destinations: u32,
  routes: u32,
  packetlen: u32,
  textBytes: u32,
  chosen: u32,
  hashSeed: u64,
): void {
  assert(destinations >= 1 && routes >= 1 && routes <= u32(ROUTES_MAX) && text == 0);
  assert(usize(textBytes) <= usize(SLOT_PAYLOAD_BYTES_MAX));
  base = memoryBase;
  destinationCount = destinations;
  packetlenBytes = packetlen;
  features = chosen;
  setupBatch(memoryBase);
  setupLines();
  setupRoute(hashSeed);
  setupRings(routes, destinations);
  setupRewrite((chosen & u32(FEATURE_TAGS_IN_SECTION)) != 0);
  setupDrops();
  textBytesMax = max(usize(textBytes), usize(RENAMED_BYTES_MAX));
  text = reserve(textBytesMax + 64);
}

/**
 * Adds a route with its ring and its texts; the first one is the main route. hash, key: codes of
 * ring-codes.ts. buckets, points: entries of the ring's tables. share: of 2^32 names, SHARE_ALL for all.
 * isMoving: whether it takes names away from the routes behind it. prefixBytes, suffixBytes, tagsBytes: what
 * is put around its lines. Returns its index.
 */
export function addRoute(
  hash: u32,
  key: u32,
  buckets: u32,
  points: u32,
  replicas: u32,
  share: u32,
  isMoving: bool,
  prefixBytes: u32,
  suffixBytes: u32,
  tagsBytes: u32,
): u32 {
  registerRoute(share, isMoving, buckets, replicas);
  addRewrite(prefixBytes, suffixBytes, tagsBytes);
  return addRing(hash, key, buckets, points, replicas);
}

/**
 * Makes what the host wrote after setup effective, states of destinations included. thinThreshold: lines of
 * one name in a flush interval beyond which it is thinned out, 0 for never. thinPlaces: 1 in 10^places of
 * those are kept.
 */
export function start(thinThreshold: u32, thinPlaces: u32): void {
  const cleaning = u32(FEATURE_TRIM_CR | FEATURE_VALIDATE | FEATURE_TAGS_GRAPHITE | FEATURE_TAGS_NAME);
  const moving = u32(FEATURE_TAGS_GRAPHITE | FEATURE_TAGS_NAME);
  isCleaning = (features & cleaning) != 0;
  setupClean(features, (features & moving) != 0 || thinThreshold != 0);
  setupThin(thinThreshold, thinPlaces);
  setupPack(
    base,
    destinationCount,
    packetlenBytes,
    rewriteBytesMax(),
    (features & u32(FEATURE_STRICT_PACKETLEN)) != 0,
  );
  startRoute(prefixText(0), prefixTextBytes(0), isHostJudging());
  chooseWay();
}

function isHostJudging(): bool {
  return (features & u32(FEATURE_HOST_JUDGES)) != 0;
}

/**
 * Takes notice of what the host wrote to destinationStates(). Only between two batches. isPlacing: whether
 * destinations are passed over now that were not, or the other way round, so that names may move.
 */
export function statesChanged(isPlacing: bool): void {
  assert(!isBatchOpen);
  if (isPlacing) updateStates();
  chooseWay();
}

function chooseWay(): void {
  let isServing = true;
  for (let i: u32 = 0; i < destinationCount; i++) {
    if (load<u8>(destinationStates() + usize(i)) != u8(STATE_SERVE)) isServing = false;
  }
  isPlain = isServing && !isThinning() && !isJudgingNames() && !isChangingLines(0);
}

/** Address where the host writes its own lines, and names that take the place of others. */
export function hostText(): usize {
  return text;
}

/**
 * Takes a batch: splits lines, finds out where they go, appends to packets. received: datagrams in slots
 * 0..received-1. Returns a CONSUME code; but for DONE it has to be called again with the same argument.
 */
export function consume(received: i32): i32 {
  assert(u32(received) <= u32(SLOT_COUNT));
  if (!isBatchOpen) {
    isBatchOpen = true;
    beginLines(received);
  }
  for (;;) {
    if (isJudgePending) {
      isJudgePending = false;
      if (isThinning()) thinLines(tableLines);
    } else if (isTableDone()) {
      if (!nextLines()) break;
      if (isJudgePending) return CONSUME_JUDGE_FIRST;
    }
    const isPacked = isPlain ? packPlain() : packChanged();
    if (!isPacked) return CONSUME_SEND_FIRST;
  }
  isBatchOpen = false;
  return CONSUME_DONE;
}

/** Fills the table and finds out where its lines go. Returns whether there are any. */
function nextLines(): bool {
  tableLines = fillLines();
  if (tableLines == 0) return false;
  resetScratch();
  if (isCleaning) tableLines = cleanLines(tableLines);
  beginTable(tableLines);
  isJudgePending = routeLines(tableLines, isHostJudging()) != 0;
  if (!isJudgePending && isThinning()) thinLines(tableLines);
  return true;
}

/** Sends a name's lines along a route. renamedBytes: of the name at hostText() to be put there, or 0. */
export function targetName(index: i32, route: u32, renamedBytes: u32): void {
  assert(usize(renamedBytes) <= usize(RENAMED_BYTES_MAX));
  addTarget(index, route, renamedBytes == 0 ? 0 : text, renamedBytes);
}

/**
 * Appends a line of the relay's own, which the host wrote to hostText() with its line feed. It goes by its
 * own name and gets neither prefix nor tags. nameBytes: up to the colon. bytes: with the line feed, which
 * counts here.
 */
export function ownLine(nameBytes: u32, bytes: u32): void {
  assert(sealedCount() == 0 && !isBatchOpen && usize(bytes) <= textBytesMax && bytes > nameBytes);
  const destination = ownDestination(text, nameBytes);
  ownLines += 1;
  if (load<u8>(destinationStates() + usize(destination)) == u8(STATE_DROP)) countDown(destination);
  else assert(appendOwn(destination, text, bytes));
}

/** Seals every open packet in ring order; names are counted anew where they are thinned out. */
export function flush(): void {
  assert(sealedCount() == 0 && !isBatchOpen);
  nextThinWindow();
  sealAll();
}

export function datagramsReceived(): f64 {
  return datagrams;
}

export function bytesReceived(): f64 {
  return datagramBytes;
}

/** Lines that are not blank: received = accepted + without colon + cut + dropped for all reasons. */
export function received(): f64 {
  return linesReceived;
}

export function linesAccepted(): f64 {
  return accepted;
}

/** Lines put into packets beyond the first one of each accepted line. */
export function linesCopied(): f64 {
  return copied;
}

/** Lines that took another destination than their first choice, which is passed over. */
export function linesDiverted(): f64 {
  return diverted;
}

export function droppedNoColon(): f64 {
  return linesWithoutColon;
}

export function droppedCut(): f64 {
  return linesCut;
}

/** Lines of the relay's own. */
export function selfLines(): f64 {
  return ownLines;
}
