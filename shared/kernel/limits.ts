/**
 * Which new series a store takes: so many in all, of one sender, of one prefix, and of names that begin in
 * some way. Tallies of senders and prefixes also tell who makes the most of them.
 *
 *   tally   0 u32 next   4 u32 series   8 f64 samples refused   16 u32 hash   20 u32 text bytes   24 text
 *   cap     0 u32 text   4 u32 bytes    8 u32 series that it allows   12 u32 series
 */
import { reserve } from "./arena";
import { allocate } from "./heap";
import { hashKey, hashWord, seriesCount } from "./table";

export const REFUSED_SERIES = 0;
export const REFUSED_SENDER = 1;
export const REFUSED_PREFIX = 2;
export const REFUSED_CAP = 3;
export const REFUSED_MEMORY = 4;
export const REFUSED_TIMER_SAMPLES = 5;
const REASON_COUNT = 6;
/** A series may be taken. */
export const ADMITTED = -1;

const TALLY_SERIES = 4;
const TALLY_REFUSED = 8;
const TALLY_HASH = 16;
const TALLY_TEXT_BYTES = 20;
const TALLY_TEXT: usize = 24;
/** Senders, and prefixes, that are told apart. What comes beyond has no tally, and no bound of its own. */
const TALLIES_MAX: u32 = 65_536;
const INDEX_MASK: u32 = 2 * TALLIES_MAX - 1;
const INDEX_BYTES: usize = (2 * TALLIES_MAX) << 2;
/** Longest prefix that has a tally of its own; of longer ones the beginning counts. */
const PREFIX_BYTES_MAX: usize = 128;

const CAPS_MAX: u32 = 256;
const CAP_BYTES: usize = 16;
const CAP_TEXT_BYTES_MAX: usize = 64 * 1024;

const DOT: u8 = 46;
const SEMICOLON: u8 = 59;

let seriesMax: u32 = u32.MAX_VALUE;
let perSenderMax: u32 = 0;
let perPrefixMax: u32 = 0;
let prefixParts: u32 = 2;
/** Samples that one timer may have; 0 for any number. */
export let timerSamplesMax: u32 = 0;

/** Count, first tally and index of the senders, and of the prefixes. */
let senders: usize = 0;
let prefixes: usize = 0;
const LIST_COUNT = 0;
const LIST_FIRST = 4;
const LIST_INDEX: usize = 8;

let caps: usize = 0;
let capCount: u32 = 0;
let capTexts: usize = 0;
let capTextBytes: usize = 0;

/** REASON_COUNT doubles each. */
let refused: usize = 0;
let overflowed: usize = 0;

/** Reserves the tallies. */
export function setupLimits(): void {
  senders = reserve(LIST_INDEX + INDEX_BYTES);
  prefixes = reserve(LIST_INDEX + INDEX_BYTES);
  caps = reserve(usize(CAPS_MAX) * CAP_BYTES);
  capTexts = reserve(CAP_TEXT_BYTES_MAX);
  refused = reserve(REASON_COUNT * 8);
  overflowed = reserve(REASON_COUNT * 8);
}

/** Sets the bounds; of those per sender and prefix, and of samples, 0 is none. parts: dotted, of a prefix. */
export function setLimits(series: u32, perSender: u32, perPrefix: u32, parts: u32, timerSamples: u32): void {
  seriesMax = series;
  perSenderMax = perSender;
  perPrefixMax = perPrefix;
  prefixParts = parts;
  timerSamplesMax = timerSamples;
  capCount = 0;
  capTextBytes = 0;
}

/** Adds a bound for names that begin with a text. Returns whether there was room. */
export function addLimit(text: usize, bytes: usize, count: u32): bool {
  if (capCount == CAPS_MAX || capTextBytes + bytes > CAP_TEXT_BYTES_MAX) return false;
  const copy = capTexts + capTextBytes;
  memory.copy(copy, text, bytes);
  capTextBytes += bytes;
  const cap = caps + usize(capCount) * CAP_BYTES;
  store<u32>(cap, u32(copy));
  store<u32>(cap, u32(bytes), 4);
  store<u32>(cap, count, 8);
  store<u32>(cap, 0, 12);
  capCount += 1;
  return true;
}

/** Forgets all tallies and counts; the heap, which they lie on, has been emptied. */
export function resetLimits(): void {
  for (let list = 0; list < 2; list++) {
    const at = list == 0 ? senders : prefixes;
    if (load<u32>(at, LIST_COUNT) > 0) memory.fill(at, 0, LIST_INDEX + INDEX_BYTES);
  }
  for (let i: u32 = 0; i < capCount; i++) store<u32>(caps + usize(i) * CAP_BYTES, 0, 12);
  memory.fill(refused, 0, REASON_COUNT * 8);
  memory.fill(overflowed, 0, REASON_COUNT * 8);
}

/**
 * Returns the tally of a hash and text, new where need be, or 0 where there is no room. place: where the
 * search begins; nobody outside may choose it.
 */
function tallyOf(list: usize, place: u32, hash: u32, text: usize, bytes: usize): usize {
  place &= INDEX_MASK;
  while (true) {
    const tally = usize(load<u32>(list + LIST_INDEX + (usize(place) << 2)));
    if (tally == 0) break;
    if (load<u32>(tally, TALLY_HASH) == hash && isText(tally, text, bytes)) return tally;
    place = (place + 1) & INDEX_MASK;
  }
  const count = load<u32>(list, LIST_COUNT);
  if (count == TALLIES_MAX) return 0;
  const tally = allocate(TALLY_TEXT + bytes);
  if (tally == 0) return 0;
  memory.fill(tally, 0, TALLY_TEXT);
  store<u32>(tally, load<u32>(list, LIST_FIRST));
  store<u32>(tally, hash, TALLY_HASH);
  store<u32>(tally, u32(bytes), TALLY_TEXT_BYTES);
  memory.copy(tally + TALLY_TEXT, text, bytes);
  store<u32>(list, u32(tally), LIST_FIRST);
  store<u32>(list, count + 1, LIST_COUNT);
  store<u32>(list + LIST_INDEX + (usize(place) << 2), u32(tally));
  return tally;
}

function isText(tally: usize, text: usize, bytes: usize): bool {
  return (
    load<u32>(tally, TALLY_TEXT_BYTES) == u32(bytes) && memory.compare(tally + TALLY_TEXT, text, bytes) == 0
  );
}

/** Returns the bytes of a key's prefix: its first dotted parts, at most, without tags. */
function prefixBytes(key: usize, bytes: usize): usize {
  let parts: u32 = 0;
  const end = min<usize>(bytes, PREFIX_BYTES_MAX);
  for (let i: usize = 0; i < end; i++) {
    const byte = load<u8>(key + i);
    if (byte == SEMICOLON) return i;
    if (byte != DOT) continue;
    parts += 1;
    if (parts == prefixParts) return i;
  }
  return end;
}

/** The tallies of the series that admit() looked at last, 0 where it has none. */
let senderTally: usize = 0;
let prefixTally: usize = 0;

/** Returns ADMITTED, or which bound forbids a new series. sender: a hash, 0 when it is unknown. */
export function admit(key: usize, bytes: usize, sender: u32): i32 {
  const text = prefixBytes(key, bytes);
  const prefixHash = hashKey(key, text);
  prefixTally = tallyOf(prefixes, prefixHash, prefixHash, key, text);
  senderTally = sender == 0 ? 0 : tallyOf(senders, hashWord(sender), sender, key, 0);
  if (seriesCount >= seriesMax) return REFUSED_SERIES;
  if (isFull(senderTally, perSenderMax)) return REFUSED_SENDER;
  if (isFull(prefixTally, perPrefixMax)) return REFUSED_PREFIX;
  for (let i: u32 = 0; i < capCount; i++) {
    const cap = caps + usize(i) * CAP_BYTES;
    if (begins(key, bytes, cap) && load<u32>(cap, 12) >= load<u32>(cap, 8)) return REFUSED_CAP;
  }
  return ADMITTED;
}

function isFull(tally: usize, maximum: u32): bool {
  return maximum > 0 && tally != 0 && load<u32>(tally, TALLY_SERIES) >= maximum;
}

function begins(key: usize, bytes: usize, cap: usize): bool {
  const wanted = usize(load<u32>(cap, 4));
  return wanted <= bytes && memory.compare(key, load<u32>(cap), wanted) == 0;
}

/** Counts the series that admit() let through, now that it is there. */
export function countAdmitted(key: usize, bytes: usize): void {
  countSeries(senderTally);
  countSeries(prefixTally);
  for (let i: u32 = 0; i < capCount; i++) {
    const cap = caps + usize(i) * CAP_BYTES;
    if (begins(key, bytes, cap)) store<u32>(cap, load<u32>(cap, 12) + 1, 12);
  }
}

function countSeries(tally: usize): void {
  if (tally != 0) store<u32>(tally, load<u32>(tally, TALLY_SERIES) + 1, TALLY_SERIES);
}

/**
 * Counts samples of the series that admit() refused last: those that the overflow series took, and the rest.
 */
export function countRefused(reason: i32, taken: u32, lost: u32): void {
  const samples = f64(taken) + f64(lost);
  if (senderTally != 0)
    store<f64>(senderTally, load<f64>(senderTally, TALLY_REFUSED) + samples, TALLY_REFUSED);
  if (prefixTally != 0)
    store<f64>(prefixTally, load<f64>(prefixTally, TALLY_REFUSED) + samples, TALLY_REFUSED);
  const at = usize(reason) << 3;
  store<f64>(overflowed + at, load<f64>(overflowed + at) + f64(taken));
  countLost(reason, lost);
}

/** Counts samples of a series that is there. */
export function countLost(reason: i32, lost: u32): void {
  const at = refused + (usize(reason) << 3);
  store<f64>(at, load<f64>(at) + f64(lost));
}

/** Samples lost for a reason since the table was emptied. */
export function refusedSamples(reason: i32): f64 {
  return load<f64>(refused + (usize(reason) << 3));
}

/** Samples that overflow series took for a reason since the table was emptied. */
export function overflowedSamples(reason: i32): f64 {
  return load<f64>(overflowed + (usize(reason) << 3));
}

/** First tally of a prefix, 0 where there is none; nextTally() leads on. */
export function firstPrefix(): usize {
  return load<u32>(prefixes, LIST_FIRST);
}

/** First tally of a sender, 0 where there is none. */
export function firstSender(): usize {
  return load<u32>(senders, LIST_FIRST);
}

export function nextPrefix(tally: usize): usize {
  return load<u32>(tally);
}

export function nextSender(tally: usize): usize {
  return load<u32>(tally);
}
