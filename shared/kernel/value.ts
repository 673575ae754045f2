/**
 * From values to samples: one value, several packed ones, or the member of a set. The key, the sections and
 * the type have been read before.
 */
import { decimalValue, parseDecimal } from "./decimal";
import { DROP_BAD_VALUE, DROP_MEMBER_TOO_LONG, DROP_NONE, DROP_NOT_FINITE } from "./reasons";
import {
  SAMPLE_BYTES,
  SAMPLE_ENDS_LINE,
  SAMPLE_IS_RELATIVE,
  SAMPLE_KEY,
  SAMPLE_KEY_BYTES,
  SAMPLE_MEMBER,
  SAMPLE_MEMBER_BYTES,
  SAMPLE_SENDER,
  SAMPLE_TYPE,
  SAMPLE_VALUE,
  SAMPLE_WEIGHT,
} from "./sample";
import { rate, weight } from "./section";
import { AGE_SHIFT, TYPE_COUNTER, TYPE_TIMER } from "./table";

const COLON: u32 = 58;
const SEMICOLON: u32 = 59;
const PLUS: u32 = 43;
const MINUS: u32 = 45;
const TYPE_MASK: u32 = (1 << AGE_SHIFT) - 1;

/** Longest set member in bytes. */
export const MEMBER_BYTES_MAX: u32 = 1024;

/** Where the next sample goes. */
let out: usize = 0;
/** Hash of who sent the lines at hand, 0 when it is unknown. */
let sender: u32 = 0;
let hasUntaggedCopy = false;
let hasRelativeGauges = true;
let key: usize = 0;
let keyBytes: usize = 0;
/** Bytes of the key without its tags; keyBytes where it has none or no copy is wanted. */
let bareBytes: usize = 0;

/** Sets whether tagged samples come a second time without their tags, and whether a sign makes a change. */
export function setValueRules(untaggedCopy: bool, relativeGauges: bool): void {
  hasUntaggedCopy = untaggedCopy;
  hasRelativeGauges = relativeGauges;
}

/** Sets who sent the lines that come next. */
export function setSender(hash: u32): void {
  sender = hash;
}

/** The samples of a line begin here; again with the same address, when the line is dropped. */
export function beginSamples(first: usize): void {
  out = first;
}

/** Marks the last sample as the one that ends its line. */
export function endSamples(): void {
  store<u32>(out - SAMPLE_BYTES, 1, SAMPLE_ENDS_LINE);
}

/** Address behind the samples so far. */
export function nextSample(): usize {
  return out;
}

/** Sets the key of the samples that come next. */
export function setSampleKey(address: usize, bytes: usize): void {
  key = address;
  keyBytes = bytes;
  bareBytes = bytes;
  if (!hasUntaggedCopy) return;
  bareBytes = 0;
  while (bareBytes < bytes && u32(load<u8>(key + bareBytes)) != SEMICOLON) bareBytes += 1;
}

/** Adds a sample, and before it, where that is wanted, one of the name without its tags. */
function addSample(code: u32, value: f64, isChange: bool): usize {
  if (bareBytes < keyBytes) writeSample(code, value, isChange, bareBytes);
  return writeSample(code, value, isChange, keyBytes);
}

function writeSample(code: u32, value: f64, isChange: bool, bytes: usize): usize {
  const sample = out;
  store<u32>(sample, u32(key), SAMPLE_KEY);
  store<u32>(sample, u32(bytes), SAMPLE_KEY_BYTES);
  store<u32>(sample, code, SAMPLE_TYPE);
  store<u32>(sample, u32(isChange), SAMPLE_IS_RELATIVE);
  store<f64>(sample, value, SAMPLE_VALUE);
  store<f64>(sample, weight, SAMPLE_WEIGHT);
  store<u32>(sample, 0, SAMPLE_ENDS_LINE);
  store<u32>(sample, sender, SAMPLE_SENDER);
  out += SAMPLE_BYTES;
  return sample;
}

/** Writes the one sample of a line without tags and sections. hasSign: for a gauge, that it is a change. */
export function writeQuickSample(
  sample: usize,
  name: usize,
  bytes: usize,
  code: u32,
  value: f64,
  hasSign: bool,
): void {
  store<u32>(sample, u32(name), SAMPLE_KEY);
  store<u32>(sample, u32(bytes), SAMPLE_KEY_BYTES);
  store<u32>(sample, code, SAMPLE_TYPE);
  store<u32>(sample, u32(hasSign), SAMPLE_IS_RELATIVE);
  store<f64>(sample, value, SAMPLE_VALUE);
  store<f64>(sample, 1, SAMPLE_WEIGHT);
  store<u32>(sample, 1, SAMPLE_ENDS_LINE);
  store<u32>(sample, sender, SAMPLE_SENDER);
  out = sample + SAMPLE_BYTES;
}

/** Adds a sample of one number. code: type and age. hasSign: whether it was written with one. */
export function addValueSample(code: u32, value: f64, hasSign: bool): i32 {
  const type = code & TYPE_MASK;
  if (type == TYPE_COUNTER) value /= rate;
  // A timer's sum holds value times weight, so that must be a number too.
  if (!isFinite(type == TYPE_TIMER ? value * weight : value)) return DROP_NOT_FINITE;
  addSample(code, value, hasSign && hasRelativeGauges);
  return DROP_NONE;
}

/** Adds a member to a set. */
export function addMemberSample(code: u32, member: usize, bytes: usize): i32 {
  if (bytes > MEMBER_BYTES_MAX) return DROP_MEMBER_TOO_LONG;
  const first = out;
  addSample(code, 0, false);
  for (let sample = first; sample < out; sample += SAMPLE_BYTES) {
    store<u32>(sample, u32(member), SAMPLE_MEMBER);
    store<u32>(sample, u32(bytes), SAMPLE_MEMBER_BYTES);
  }
  return DROP_NONE;
}

/**
 * Adds the values start..end with colons between them. Empty ones are passed over, a bad one spoils them all.
 */
export function readPacked(code: u32, start: usize, end: usize): i32 {
  const before = out;
  for (let at = start; at < end; at++) {
    const first = u32(load<u8>(at));
    if (first == COLON) continue;
    const hasSign = first == PLUS || first == MINUS;
    const behind = parseDecimal(at + usize(hasSign));
    if (behind == 0 || (behind != end && u32(load<u8>(behind)) != COLON)) {
      return isNamedNonFinite(at) ? DROP_NOT_FINITE : DROP_BAD_VALUE;
    }
    const value = first == MINUS ? -decimalValue : decimalValue;
    const reason = addValueSample(code, value, hasSign);
    if (reason != DROP_NONE) return reason;
    at = behind;
  }
  return out == before ? DROP_BAD_VALUE : DROP_NONE;
}

/** Whether a value starts like NaN or an infinity, after any sign: they get a reason of their own. */
export function isNamedNonFinite(at: usize): bool {
  const first = u32(load<u8>(at));
  if (first == PLUS || first == MINUS) at += 1;
  const word = (u32(load<u8>(at)) << 16) | (u32(load<u8>(at + 1)) << 8) | u32(load<u8>(at + 2));
  const lower = word | 0x202020;
  return lower == 0x6e616e || lower == 0x696e66;
}
