/**
 * What a receiver sees pass by, while someone watches: the top names, prefixes and senders.
 *
 * It looks at everything while the budget of lines lasts, then at payloads by chance, the rarer the deeper
 * the budget is overdrawn; what is looked at with a chance of 1/8 counts eightfold. So the counts are right
 * on average whatever pattern the senders keep to, which they would not be if the first payload that the
 * budget allows were taken. Counts decay, so that rates are those of the last seconds.
 */
import { type Clock, systemClock } from "../../shared/clock.ts";
import { HEADER_BYTES, HEADER_PAYLOAD_BYTES } from "../../shared/kernel/layout.ts";
import { nameOf, showName } from "../../shared/name-text.ts";
import { type Random, systemRandom } from "../../shared/random.ts";
import { mergeLists, type SketchList, TopSketch } from "./sketch.ts";

/** What was seen, as plain data. Counts are lines of the last `seconds`. */
export interface TopSnapshot {
  /** The time that the counts stand for; the older a second, the less it weighs. */
  readonly seconds: number;
  /** Lines that passed, by estimate. */
  readonly lines: number;
  /** Lines that were looked at. */
  readonly sampled: number;
  readonly names: SketchList;
  /** The first parts of dotted names, such as `app.web.*`. */
  readonly prefixes: SketchList;
  readonly senders: SketchList;
}

export interface SamplerOptions {
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Keys in each list of a snapshot. */
export const TOP_COUNT = 50;
/** Keys that a sketch holds: a name with 1/1000 of all lines is sure to be there. */
const SKETCH_CAPACITY = 1000;
const LINES_PER_SECOND_MAX = 2000;
/** Lines that may be looked at at once after a quiet time. */
const BURST_LINES = 400;
/** Each time that the budget is overdrawn by so many lines more, the chance halves. */
const HALVING_LINES = 128;
/** Of a longer payload a part is looked at, which stands for the rest. */
const LINES_PER_PAYLOAD_MAX = 64;
/** The rest of a longer name is not shown, nor told apart. */
const NAME_BYTES_MAX = 200;
const HALF_LIFE_SECONDS = 5;
/** Decay is done in steps of at least this length. */
const DECAY_STEP_SECONDS = 0.25;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NUL = 0;
const DOT = 0x2e;
const COMMA = 0x2c;
const SEMICOLON = 0x3b;

/** Bound to one thread. Make one when somebody begins to watch, and drop it when nobody does. */
export class TopSampler {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #names = new TopSketch(SKETCH_CAPACITY);
  readonly #prefixes = new TopSketch(SKETCH_CAPACITY);
  readonly #senders = new TopSketch(SKETCH_CAPACITY);
  #tokens = BURST_LINES;
  #tokensMs: number;
  #decayedMs: number;
  #seconds = 0;
  #lines = 0;
  #sampled = 0;
  constructor(options: SamplerOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#tokensMs = this.#clock.monotonicMs();
    this.#decayedMs = this.#tokensMs;
  }

  /**
   * Takes a batch of datagrams.
   * bytes: the kernel's memory. slots, headers: where the batch has them, in bytes. slotBytes: from slot to
   * slot. received: how many datagrams the first slots hold. senderOf: who sent the datagram in a slot.
   */
  onBatch(
    bytes: Uint8Array,
    slots: number,
    slotBytes: number,
    headers: number,
    received: number,
    senderOf: (slot: number) => string,
  ): void {
    this.#earn();
    for (let slot = this.#gap(); slot < received; slot += 1 + this.#gap()) {
      const start = slots + slot * slotBytes;
      const header = headers + slot * HEADER_BYTES + HEADER_PAYLOAD_BYTES;
      const end = Math.min(start + readUint32(bytes, header), start + slotBytes, bytes.length);
      this.#look(bytes.subarray(start, end), senderOf(slot));
    }
  }

  /** Takes whole lines that came over a stream. */
  onLines(bytes: Uint8Array, sender: string): void {
    this.#earn();
    if (this.#gap() === 0) this.#look(bytes, sender);
  }

  /** What was seen until now. Goes on counting. */
  snapshot(): TopSnapshot {
    this.#decay(0);
    return {
      seconds: this.#seconds,
      lines: this.#lines,
      sampled: this.#sampled,
      names: this.#names.list(TOP_COUNT),
      prefixes: this.#prefixes.list(TOP_COUNT),
      senders: this.#senders.list(TOP_COUNT),
    };
  }

  #earn(): void {
    const nowMs = this.#clock.monotonicMs();
    const earned = ((nowMs - this.#tokensMs) / 1000) * LINES_PER_SECOND_MAX;
    this.#tokens = Math.min(BURST_LINES, this.#tokens + earned);
    this.#tokensMs = nowMs;
  }

  /** The chance that a payload is looked at, 0..1. It depends on the past alone. */
  #chance(): number {
    return this.#tokens >= 0 ? 1 : 2 ** (this.#tokens / HALVING_LINES);
  }

  /**
   * Payloads to pass over before the next look, so that each has the same chance. A gap has no memory, so it
   * may be forgotten at the end of a batch and drawn anew.
   */
  #gap(): number {
    const chance = this.#chance();
    if (chance === 1) return 0;
    return Math.floor(Math.log(1 - this.#random.between(0, 1)) / Math.log1p(-chance));
  }

  /** Counts the lines of a payload, each for as many as have passed unseen. */
  #look(payload: Uint8Array, sender: string): void {
    this.#decay(DECAY_STEP_SECONDS);
    const weight = 1 / this.#chance();
    let { names, bytesSeen } = findNames(payload, LINES_PER_PAYLOAD_MAX);
    if (bytesSeen < payload.length) {
      // Too long to be seen whole, so it is entered anywhere and left where the lines are enough, round the
      // end if need be: every line has the same chance.
      const from = payload.indexOf(LINE_FEED, Math.floor(this.#random.between(0, payload.length))) + 1;
      const tail = findNames(payload.subarray(from), LINES_PER_PAYLOAD_MAX);
      const head = findNames(payload.subarray(0, from), LINES_PER_PAYLOAD_MAX - tail.lines);
      names = [...tail.names, ...head.names];
      bytesSeen = tail.bytesSeen + head.bytesSeen;
    }
    // An empty datagram costs something too.
    this.#tokens -= Math.max(1, names.length);
    if (names.length === 0) return;
    const lineWeight = (weight * payload.length) / bytesSeen;
    for (const name of names) {
      this.#names.add(describeName(name), lineWeight);
      this.#prefixes.add(prefixOf(name), lineWeight);
    }
    this.#senders.add(sender, names.length * lineWeight);
    this.#lines += names.length * lineWeight;
    this.#sampled += names.length;
  }

  /** Lets everything that was counted weigh less, if at least so many seconds went by since the last time. */
  #decay(secondsMin: number): void {
    const nowMs = this.#clock.monotonicMs();
    const passed = (nowMs - this.#decayedMs) / 1000;
    if (passed <= 0 || passed < secondsMin) return;
    this.#decayedMs = nowMs;
    const factor = 0.5 ** (passed / HALF_LIFE_SECONDS);
    // The integral of the weights that the time since the last step has now.
    this.#seconds = this.#seconds * factor + (HALF_LIFE_SECONDS / Math.LN2) * (1 - factor);
    this.#lines *= factor;
    this.#sampled *= factor;
    for (const sketch of [this.#names, this.#prefixes, this.#senders]) sketch.decay(factor);
  }
}

/** Adds up what several threads saw at the same time. */
export function mergeSnapshots(snapshots: readonly TopSnapshot[]): TopSnapshot {
  const sum = (countOf: (one: TopSnapshot) => number): number =>
    snapshots.reduce((total, one) => total + countOf(one), 0);
  const merge = (listOf: (one: TopSnapshot) => SketchList): SketchList =>
    mergeLists(snapshots.map(listOf), TOP_COUNT);
  return {
    seconds: snapshots.reduce((longest, { seconds }) => Math.max(longest, seconds), 0),
    lines: sum(({ lines }) => lines),
    sampled: sum(({ sampled }) => sampled),
    names: merge(({ names }) => names),
    prefixes: merge(({ prefixes }) => prefixes),
    senders: merge(({ senders }) => senders),
  };
}

/** What a look at some lines found. */
interface Found {
  readonly names: Uint8Array[];
  /** Lines seen, those without a name included. */
  readonly lines: number;
  readonly bytesSeen: number;
}

/** Finds the names of the first lines, those that have one. */
function findNames(payload: Uint8Array, linesMax: number): Found {
  const names: Uint8Array[] = [];
  let lines = 0;
  let at = 0;
  while (at < payload.length && lines < linesMax) {
    // Such bytes in front of a line are no part of it.
    if (payload[at] === LINE_FEED || payload[at] === CARRIAGE_RETURN || payload[at] === NUL) {
      at++;
      continue;
    }
    const lineFeed = payload.indexOf(LINE_FEED, at);
    const end = lineFeed < 0 ? payload.length : lineFeed;
    const line = payload.subarray(at, end);
    const name = nameOf(line);
    if (name !== line) names.push(name);
    lines++;
    at = end + 1;
  }
  return { names, lines, bytesSeen: Math.min(at, payload.length) };
}

/** The name as text, cut where it is too long. */
function describeName(name: Uint8Array): string {
  if (name.length <= NAME_BYTES_MAX) return showName(name);
  let end = NAME_BYTES_MAX;
  // Not in the middle of a character; one has at most three bytes behind its first.
  while (end > NAME_BYTES_MAX - 3 && (name[end]! & 0xc0) === 0x80) end--;
  return `${showName(name.subarray(0, end))}...`;
}

/** `app.web.*` for whatever has more than two parts, `app.*` for two; a single part stands for itself. */
function prefixOf(name: Uint8Array): string {
  const tags = name.findIndex((byte) => byte === SEMICOLON || byte === COMMA);
  const plain = tags < 0 ? name : name.subarray(0, tags);
  const first = plain.indexOf(DOT);
  if (first < 0) return describeName(plain);
  const second = plain.indexOf(DOT, first + 1);
  return `${describeName(plain.subarray(0, second < 0 ? first : second))}.*`;
}

/** Little endian, as the system's structures are on every machine that has this batch form. */
function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
