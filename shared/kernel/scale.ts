/**
 * Whole numbers of up to 19 digits times a power of ten from 10^-27 to 10^27, rounded to the nearest
 * double: what clients print that show all 17 digits of a double. Source: Daniel Lemire, "Number Parsing at
 * a Gigabyte per Second", 2021; in this range of exponents its product of 128 bits always decides.
 */
import { reserve } from "./arena";

/** Largest power of ten, up or down. */
export const SCALE_EXPONENT_MAX = 27;

/**
 * For each exponent from -27 to 27: 5^exponent, shifted so that the highest of 128 bits is set; high word
 * first.
 */
let powers: usize = 0;

/** Reserves and fills the table. */
export function setupScale(): void {
  powers = reserve((2 * SCALE_EXPONENT_MAX + 1) * 16);
  let power: u64 = 1;
  for (let exponent = 0; exponent <= SCALE_EXPONENT_MAX; exponent++) {
    store<u64>(entryOf(exponent), power << clz(power));
    if (exponent > 0) storeReciprocal(entryOf(-exponent), power);
    power *= 5;
  }
}

function entryOf(exponent: i32): usize {
  return powers + (usize(exponent + SCALE_EXPONENT_MAX) << 4);
}

/** Divides a power of two by `divisor` until 128 bits of the quotient are there, and rounds up. */
function storeReciprocal(entry: usize, divisor: u64): void {
  let remainder = u64(1) << (63 - clz(divisor));
  let high: u64 = 0;
  let low: u64 = 0;
  for (let bit = 0; bit < 128; bit++) {
    remainder <<= 1;
    high = (high << 1) | (low >> 63);
    low <<= 1;
    if (remainder >= divisor) {
      remainder -= divisor;
      low |= 1;
    }
  }
  low += 1;
  store<u64>(entry, high + u64(low == 0));
  store<u64>(entry, low, 8);
}

let productHigh: u64 = 0;
let productLow: u64 = 0;

/** Multiplies two words into the 128 bits of productHigh and productLow. */
function multiply(a: u64, b: u64): void {
  const aLow = a & 0xffff_ffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffff_ffff;
  const bHigh = b >> 32;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >> 32);
  const cross = aLow * bHigh + (middle & 0xffff_ffff);
  productHigh = aHigh * bHigh + (middle >> 32) + (cross >> 32);
  productLow = (cross << 32) | (low & 0xffff_ffff);
}

/** mantissa: not 0. exponent: within +-SCALE_EXPONENT_MAX. Returns mantissa times ten to the exponent. */
export function scale(mantissa: u64, exponent: i32): f64 {
  const zeros = i32(clz(mantissa));
  const word = mantissa << zeros;
  const entry = entryOf(exponent);
  // The low word first: only its upper half can reach the bits that count.
  multiply(word, load<u64>(entry, 8));
  const carried = productHigh;
  multiply(word, load<u64>(entry));
  const low = productLow + carried;
  const high = productHigh + u64(low < carried);
  const upper = i32(high >> 63);
  // 54 bits: the mantissa's 53 and one to round by.
  let bits = high >> (upper + 9);
  // Exactly half way: nothing was cut off, and the rounding must go to the even neighbour.
  const isTie =
    low <= 1 && exponent >= -4 && exponent <= 23 && (bits & 3) == 1 && bits << (upper + 9) == high;
  if (isTie) bits &= ~1;
  bits = (bits + (bits & 1)) >> 1;
  let power = ((217_706 * exponent) >> 16) + 63 + upper - zeros;
  if (bits == 1 << 53) {
    bits >>= 1;
    power += 1;
  }
  return reinterpret<f64>((bits & ((1 << 52) - 1)) | (u64(power + 1023) << 52));
}
