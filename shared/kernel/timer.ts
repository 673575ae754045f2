/**
 * Timers keep every sample, in runs on the heap. Samples sent without a rate have weight 1 and are kept as
 * bare values, the others as pairs of value and weight.
 *
 *   record    a = last value   b = its stamp   c = its origin   head = list of runs, newest first
 *             tail, weighted tail = runs being filled   count = plain samples   weighted count = pairs
 *   run       0 u32 next   4 u16 capacity   6 u16 count, and in its highest bit whether it is weighted
 *             8 values, or (value, weight) pairs
 *   payload   last f64   stamp f64   u32 origin   u32 plain   u32 pairs   u32 0   plain values   pairs
 */
import { allocate } from "./heap";
import {
  RECORD_A,
  RECORD_B,
  RECORD_C,
  RECORD_COUNT,
  RECORD_HEAD,
  RECORD_TAIL,
  RECORD_WEIGHTED_COUNT,
  RECORD_WEIGHTED_TAIL,
} from "./table";

const RUN_CAPACITY = 4;
const RUN_COUNT = 6;
/** Where the samples of a run begin. */
export const RUN_SAMPLES: usize = 8;
const COUNT_MASK: u32 = 0x7fff;
const WEIGHTED_SHIFT: u32 = 15;
/** Samples of a run while there are few, and from so many on at least twice as many. */
const CAPACITY_MIN: u32 = 4;
const FEW_SAMPLES: u32 = 16;
const CAPACITY_MAX: u32 = 4096;
const PAYLOAD_FIXED_BYTES: usize = 32;

/** Returns the shift from a sample count to bytes. */
function sampleShift(isWeighted: u32): usize {
  return 3 + usize(isWeighted);
}

/** Samples in a run. */
export function heldBy(run: usize): u32 {
  return u32(load<u16>(run, RUN_COUNT)) & COUNT_MASK;
}

/** 1 for a run of pairs, 0 for one of bare values. */
export function isWeightedRun(run: usize): u32 {
  return u32(load<u16>(run, RUN_COUNT)) >> WEIGHTED_SHIFT;
}

/**
 * Returns a run of the wanted kind with room for at least one sample; 0 without memory. Each kind has a run
 * that it fills, so that a timer of both kinds leaves no more empty room than one of either.
 */
function runWithRoom(record: usize, isWeighted: u32, wanted: u32): usize {
  const filling = record + (isWeighted != 0 ? RECORD_WEIGHTED_TAIL : RECORD_TAIL);
  const tail = usize(load<u32>(filling));
  if (tail != 0 && heldBy(tail) < u32(load<u16>(tail, RUN_CAPACITY))) return tail;
  // An eighth of what is there bounds the memory that stands empty.
  const held = load<u32>(record + RECORD_COUNT + (usize(isWeighted) << 2));
  const least = held < FEW_SAMPLES ? CAPACITY_MIN : max<u32>(2 * CAPACITY_MIN, held >> 3);
  const capacity = min<u32>(max<u32>(least, wanted), CAPACITY_MAX);
  const run = allocate(RUN_SAMPLES + (usize(capacity) << sampleShift(isWeighted)));
  if (run == 0) return 0;
  store<u32>(run, load<u32>(record, RECORD_HEAD));
  store<u16>(run, u16(capacity), RUN_CAPACITY);
  store<u16>(run, u16(isWeighted << WEIGHTED_SHIFT), RUN_COUNT);
  store<u32>(record, u32(run), RECORD_HEAD);
  store<u32>(filling, u32(run));
  return run;
}

/** Adds one sample. Returns whether there was room. */
export function addToTimer(record: usize, value: f64, weight: f64, stamp: f64, origin: u32): bool {
  const isWeighted = u32(weight != 1);
  const run = runWithRoom(record, isWeighted, 1);
  if (run == 0) return false;
  const count = heldBy(run);
  const at = run + RUN_SAMPLES + (usize(count) << sampleShift(isWeighted));
  store<f64>(at, value);
  if (isWeighted != 0) store<f64>(at, weight, 8);
  store<u16>(run, load<u16>(run, RUN_COUNT) + 1, RUN_COUNT);
  const counter = record + RECORD_COUNT + (usize(isWeighted) << 2);
  store<u32>(counter, load<u32>(counter) + 1);
  store<f64>(record, value, RECORD_A);
  store<f64>(record, stamp, RECORD_B);
  store<u32>(record, origin, RECORD_C);
  return true;
}

/** Appends samples lying behind one another. Returns how many found room. */
function append(record: usize, from: usize, count: u32, isWeighted: u32): u32 {
  const shift = sampleShift(isWeighted);
  let done: u32 = 0;
  while (done < count) {
    const run = runWithRoom(record, isWeighted, count - done);
    if (run == 0) break;
    const held = heldBy(run);
    const part = min<u32>(count - done, u32(load<u16>(run, RUN_CAPACITY)) - held);
    memory.copy(
      run + RUN_SAMPLES + (usize(held) << shift),
      from + (usize(done) << shift),
      usize(part) << shift,
    );
    store<u16>(run, u16(load<u16>(run, RUN_COUNT) + part), RUN_COUNT);
    done += part;
  }
  const counter = record + RECORD_COUNT + (usize(isWeighted) << 2);
  store<u32>(counter, load<u32>(counter) + done);
  return done;
}

/** Copies all samples of one kind to target, behind one another. */
export function copySamples(record: usize, isWeighted: u32, target: usize): void {
  const shift = sampleShift(isWeighted);
  for (let run = usize(load<u32>(record, RECORD_HEAD)); run != 0; run = usize(load<u32>(run))) {
    if (isWeightedRun(run) != isWeighted) continue;
    const bytes = usize(heldBy(run)) << shift;
    memory.copy(target, run + RUN_SAMPLES, bytes);
    target += bytes;
  }
}

/** First run of a timer, 0 where it has none. */
export function firstRun(record: usize): usize {
  return load<u32>(record, RECORD_HEAD);
}

/** Next run, 0 behind the last. */
export function nextRun(run: usize): usize {
  return load<u32>(run);
}

/** Copies the values of all weighted samples to target, behind one another. */
export function copyValues(record: usize, target: usize): void {
  for (let run = usize(load<u32>(record, RECORD_HEAD)); run != 0; run = usize(load<u32>(run))) {
    if (isWeightedRun(run) == 0) continue;
    const end = run + RUN_SAMPLES + (usize(heldBy(run)) << 4);
    for (let at = run + RUN_SAMPLES; at < end; at += 16) {
      store<f64>(target, load<f64>(at));
      target += 8;
    }
  }
}

export function timerPayloadBytes(record: usize): usize {
  const plain = usize(load<u32>(record, RECORD_COUNT));
  return PAYLOAD_FIXED_BYTES + (plain << 3) + (usize(load<u32>(record, RECORD_WEIGHTED_COUNT)) << 4);
}

export function timerIsValid(payload: usize, bytes: usize): bool {
  if (bytes < PAYLOAD_FIXED_BYTES) return false;
  const plain = u64(load<u32>(payload, 20));
  const pairs = u64(load<u32>(payload, 24));
  if (u64(bytes) != u64(PAYLOAD_FIXED_BYTES) + plain * 8 + pairs * 16) return false;
  if (!isFinite(load<f64>(payload)) || !isFinite(load<f64>(payload, 8))) return false;
  for (let at = PAYLOAD_FIXED_BYTES; at < bytes; at += 8)
    if (!isFinite(load<f64>(payload + at))) return false;
  // Sorting and sums rely on it that a sample weighs something.
  for (let at = PAYLOAD_FIXED_BYTES + usize(plain << 3); at < bytes; at += 16)
    if (!(load<f64>(payload + at, 8) > 0)) return false;
  return true;
}

/** Samples of a payload that is valid. */
export function timerSamples(payload: usize): u32 {
  return load<u32>(payload, 20) + load<u32>(payload, 24);
}

export function writeTimer(record: usize, payload: usize): void {
  const plain = load<u32>(record, RECORD_COUNT);
  store<f64>(payload, load<f64>(record, RECORD_A));
  store<f64>(payload, load<f64>(record, RECORD_B), 8);
  store<u32>(payload, load<u32>(record, RECORD_C), 16);
  store<u32>(payload, plain, 20);
  store<u32>(payload, load<u32>(record, RECORD_WEIGHTED_COUNT), 24);
  store<u32>(payload, 0, 28);
  copySamples(record, 0, payload + PAYLOAD_FIXED_BYTES);
  copySamples(record, 1, payload + PAYLOAD_FIXED_BYTES + (usize(plain) << 3));
}

/** Whether the payload's last sample is younger than the record's; ties go by origin, then value. */
function isLastNewer(record: usize, payload: usize): bool {
  if (load<u32>(record, RECORD_HEAD) == 0) return true;
  const stamp = load<f64>(payload, 8);
  const ownStamp = load<f64>(record, RECORD_B);
  if (stamp != ownStamp) return stamp > ownStamp;
  const origin = load<u32>(payload, 16);
  const ownOrigin = load<u32>(record, RECORD_C);
  if (origin != ownOrigin) return origin > ownOrigin;
  return load<f64>(payload) > load<f64>(record, RECORD_A);
}

/** Weight of the samples that the last mergeTimer() took, where it did not take all. */
export let takenWeight: f64 = 0;

/**
 * Returns how many of the payload's samples found room: they are lost one by one, not all together. most: how
 * many may be taken.
 */
export function mergeTimer(record: usize, payload: usize, most: u32): u32 {
  if (most == 0) return 0;
  const plain = load<u32>(payload, 20);
  if (isLastNewer(record, payload)) {
    store<f64>(record, load<f64>(payload), RECORD_A);
    store<f64>(record, load<f64>(payload, 8), RECORD_B);
    store<u32>(record, load<u32>(payload, 16), RECORD_C);
  }
  const from = payload + PAYLOAD_FIXED_BYTES;
  const done = append(record, from, min<u32>(plain, most), 0);
  const pairs = load<u32>(payload, 24);
  const fromPairs = from + (usize(plain) << 3);
  const donePairs = append(record, fromPairs, min<u32>(pairs, most - done), 1);
  takenWeight = f64(done);
  if (donePairs < pairs) {
    for (let i: usize = 0; i < usize(donePairs); i++) takenWeight += load<f64>(fromPairs + (i << 4), 8);
  }
  return done + donePairs;
}
