/**
 * Reads Cap'n Proto messages, unpacked, in the framing of streams. Source: the encoding that capnproto.org
 * documents. It only reads, follows pointers on demand, and is safe on any bytes: every access is checked
 * against its segment, and all that is visited is paid for from a budget, so that a small message cannot
 * make a large one by pointing at the same thing again and again. Nesting is bounded by the schema: nothing
 * here follows a pointer that nobody asked for.
 *
 *   message   u32 segments - 1   u32 words of each segment   padding to 8 bytes   the segments
 *   pointer   2 bits kind, then   struct: i30 words to go, u16 words of data, u16 pointers
 *                                 list:   i30 words to go, u3 size of elements, u29 count, or words
 *                                 far:    1 bit double, u29 words from the segment's start, u32 segment
 */

/** Segments that a message may have, as in the original. */
export const SEGMENTS_MAX = 512;

/** What a pointer led to. `absent` is the null pointer, which stands for defaults; `bad` is no message. */
export type Found = "present" | "absent" | "bad";

/** Sizes of elements in lists. */
export const LIST_OF_BYTES = 2;
export const LIST_OF_WORDS = 5;
export const LIST_OF_STRUCTS = 7;

const KIND_STRUCT = 0;
const KIND_LIST = 1;
const KIND_FAR = 2;
const WORD_BYTES = 8;
/** What a message may visit besides twice its own size: small ones are looked at in two ways. */
const BUDGET_WORDS = 64;

/** Where a struct lies; made once, and set again and again. Fields behind its end read as 0. */
export class StructView {
  segment = 0;
  /** First byte of its data in the message, and its bytes. */
  data = 0;
  dataBytes = 0;
  /** First byte of its pointers, which lie behind the data, and their count. */
  pointers = 0;
  pointerCount = 0;

  clear(): void {
    this.dataBytes = 0;
    this.pointerCount = 0;
  }
}

/** Where the elements of a list lie. */
export class ListView {
  segment = 0;
  /** First byte of its first element. */
  start = 0;
  count = 0;
  /** Of structs: bytes of data, pointers. */
  dataBytes = 0;
  pointerCount = 0;
}

/**
 * Returns the bytes of a message's table, once its first 4 bytes are there; undefined for too many segments.
 */
export function tableBytes(head: Uint8Array): number | undefined {
  const segments = readWord(head, 0) + 1;
  return segments > SEGMENTS_MAX ? undefined : (4 + segments * 4 + 7) & ~7;
}

/** Returns the bytes of a whole message, once its table is there. */
export function messageBytes(table: Uint8Array): number {
  const segments = readWord(table, 0) + 1;
  let words = 0;
  for (let segment = 1; segment <= segments; segment++) words += readWord(table, segment * 4);
  return ((4 + segments * 4 + 7) & ~7) + words * WORD_BYTES;
}

function readWord(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** One message, whole. */
export class Message {
  /** All of it, the table included; positions in views are in these. */
  readonly bytes: Buffer;
  readonly #view: DataView;
  /** First byte of each segment, and of what comes behind the last. */
  readonly #starts: number[] = [];
  #budgetWords: number;
  /** What the last pointer says, beyond any far ones: where it leads, and its two halves. */
  #segment = 0;
  #target = 0;
  #low = 0;
  #high = 0;

  private constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#budgetWords = (2 * bytes.length) / WORD_BYTES + BUDGET_WORDS;
  }

  /** Opens a message. Returns undefined when its table does not describe these bytes. */
  static open(bytes: Buffer): Message | undefined {
    if (bytes.length < WORD_BYTES) return undefined;
    const table = tableBytes(bytes);
    if (table === undefined || table > bytes.length || messageBytes(bytes) !== bytes.length) return undefined;
    const message = new Message(bytes);
    let start = table;
    message.#starts.push(start);
    for (let segment = 0; segment <= readWord(bytes, 0); segment++) {
      start += readWord(bytes, 4 + segment * 4) * WORD_BYTES;
      message.#starts.push(start);
    }
    return message;
  }

  /** Reads the root, which is a struct. */
  root(into: StructView): Found {
    const start = this.#starts[0]!;
    if (start + WORD_BYTES > this.#starts[1]!) return "bad";
    return this.#readStruct(0, start, into);
  }

  /** Reads a pointer of a struct as a struct; `absent` reads as one with every field 0. */
  struct(from: StructView, index: number, into: StructView): Found {
    if (index < from.pointerCount) return this.#readStruct(from.segment, from.pointers + index * 8, into);
    into.clear();
    return "absent";
  }

  /** Reads a pointer of a struct as a list. size: of its elements; one of another size is `bad`. */
  list(from: StructView, index: number, size: number, into: ListView): Found {
    into.count = 0;
    if (index >= from.pointerCount) return "absent";
    const found = this.#follow(from.segment, from.pointers + index * WORD_BYTES);
    if (found !== "present") return found;
    if ((this.#low & 3) !== KIND_LIST || (this.#high & 7) !== size) return "bad";
    const count = this.#high >>> 3;
    into.segment = this.#segment;
    into.start = this.#target;
    if (size === LIST_OF_STRUCTS) return this.#readStructs(count, into);
    const bytes = size === LIST_OF_WORDS ? count * WORD_BYTES : count;
    if (!this.#visit(this.#segment, this.#target, bytes)) return "bad";
    into.count = count;
    return "present";
  }

  /** Points at an element of a list of structs; index below its count. */
  element(list: ListView, index: number, into: StructView): void {
    const { segment, start, dataBytes, pointerCount } = list;
    into.segment = segment;
    into.data = start + index * (dataBytes + pointerCount * WORD_BYTES);
    into.dataBytes = dataBytes;
    into.pointers = into.data + dataBytes;
    into.pointerCount = pointerCount;
  }

  uint16(from: StructView, at: number): number {
    return at + 2 <= from.dataBytes ? this.#view.getUint16(from.data + at, true) : 0;
  }

  uint32(from: StructView, at: number): number {
    return at + 4 <= from.dataBytes ? this.#view.getUint32(from.data + at, true) : 0;
  }

  uint64(from: StructView, at: number): bigint {
    return at + 8 <= from.dataBytes ? this.#view.getBigUint64(from.data + at, true) : 0n;
  }

  float32(from: StructView, at: number): number {
    return at + 4 <= from.dataBytes ? this.#view.getFloat32(from.data + at, true) : 0;
  }

  float64(from: StructView, at: number): number {
    return at + 8 <= from.dataBytes ? this.#view.getFloat64(from.data + at, true) : 0;
  }

  /** The double at an index below a list's count, whose elements are words. */
  double(list: ListView, index: number): number {
    return this.#view.getFloat64(list.start + index * WORD_BYTES, true);
  }

  #readStruct(segment: number, at: number, into: StructView): Found {
    into.clear();
    const found = this.#follow(segment, at);
    if (found !== "present") return found;
    if ((this.#low & 3) !== KIND_STRUCT) return "bad";
    const dataBytes = (this.#high & 0xffff) * WORD_BYTES;
    const pointerCount = this.#high >>> 16;
    if (!this.#visit(this.#segment, this.#target, dataBytes + pointerCount * WORD_BYTES)) return "bad";
    into.segment = this.#segment;
    into.data = this.#target;
    into.dataBytes = dataBytes;
    into.pointers = this.#target + dataBytes;
    into.pointerCount = pointerCount;
    return "present";
  }

  /** A list of structs has their shape in front of the first, in the form of a pointer. */
  #readStructs(words: number, into: ListView): Found {
    const segment = this.#segment;
    const tag = this.#target;
    if (!this.#visit(segment, tag, (words + 1) * WORD_BYTES)) return "bad";
    const low = this.#view.getUint32(tag, true);
    const high = this.#view.getUint32(tag + 4, true);
    const count = low >>> 2;
    const wordsEach = (high & 0xffff) + (high >>> 16);
    if ((low & 3) !== KIND_STRUCT || count * wordsEach > words) return "bad";
    // Elements without any bytes cost something too, or there could be a billion of them.
    if (wordsEach === 0 && !this.#pay(count)) return "bad";
    into.start = tag + WORD_BYTES;
    into.count = count;
    into.dataBytes = (high & 0xffff) * WORD_BYTES;
    into.pointerCount = high >>> 16;
    return "present";
  }

  /** Reads the pointer at a place that has been checked, and any far ones; sets where it leads. */
  #follow(segment: number, at: number): Found {
    const low = this.#view.getInt32(at, true);
    const high = this.#view.getInt32(at + 4, true);
    if (low === 0 && high === 0) return "absent";
    if ((low & 3) === KIND_FAR) return this.#followFar(low, high);
    return this.#aim(segment, at + WORD_BYTES + (low >> 2) * WORD_BYTES, low, high);
  }

  #aim(segment: number, target: number, low: number, high: number): Found {
    this.#segment = segment;
    this.#target = target;
    this.#low = low;
    this.#high = high;
    return "present";
  }

  /** A far pointer leads to another pointer, or to a pair of words that says where and what. */
  #followFar(low: number, high: number): Found {
    const isDouble = (low & 4) !== 0;
    const padSegment = high >>> 0;
    const pad = this.#place(padSegment, low);
    if (pad === undefined || !this.#visit(padSegment, pad, isDouble ? 16 : 8)) return "bad";
    const padLow = this.#view.getInt32(pad, true);
    const padHigh = this.#view.getInt32(pad + 4, true);
    if (!isDouble) {
      if (padLow === 0 && padHigh === 0) return "absent";
      // Another far one, which may not be, is neither a struct nor a list, and found out as such.
      return this.#aim(padSegment, pad + WORD_BYTES + (padLow >> 2) * WORD_BYTES, padLow, padHigh);
    }
    if ((padLow & 7) !== KIND_FAR) return "bad";
    const segment = padHigh >>> 0;
    const target = this.#place(segment, padLow);
    if (target === undefined) return "bad";
    return this.#aim(
      segment,
      target,
      this.#view.getInt32(pad + 8, true),
      this.#view.getInt32(pad + 12, true),
    );
  }

  /** The byte that a far pointer means, undefined where there is no such segment. */
  #place(segment: number, low: number): number | undefined {
    if (segment >= this.#starts.length - 1) return undefined;
    return this.#starts[segment]! + (low >>> 3) * WORD_BYTES;
  }

  /** Whether bytes lie in their segment, and the budget covers them. */
  #visit(segment: number, start: number, bytes: number): boolean {
    if (start < this.#starts[segment]! || start + bytes > this.#starts[segment + 1]!) return false;
    return this.#pay(Math.max(1, Math.ceil(bytes / WORD_BYTES)));
  }

  #pay(words: number): boolean {
    this.#budgetWords -= words;
    return this.#budgetWords >= 0;
  }
}
