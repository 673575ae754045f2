/**
 * Decimal text to the nearest double, ties to even: bit for bit what JavaScript's Number() makes of it.
 *
 *   decimal := digits [ "." [ digits ] ] [ exponent ] | "." digits [ exponent ]
 *   exponent := ( "e" | "E" ) [ "+" | "-" ] digits
 *
 * Almost every number takes the exact fast path of William D. Clinger (How to Read Floating Point Numbers
 * Accurately, 1990): up to 15 digits and a power of ten that a double holds exactly. Numbers of up to 19
 * digits and common exponents take the product of scale.ts. The rest is divided out with whole numbers.
 */
import { reserve } from "./arena";
import { BIGNUM_LIMBS, bitLength, isAtLeast, multiplyAdd, shiftLeft, subtract } from "./bignum";
import { SCALE_EXPONENT_MAX, scale, setupScale } from "./scale";

const ZERO: u32 = 48;
const DOT: u32 = 46;
const EXPONENT: u32 = 101;
const MINUS: u32 = 45;
const PLUS: u32 = 43;

/** Digits beyond these cannot change a double except by not being zero, which one extra digit stands for. */
const DIGITS_MAX = 800;
const EXPONENT_MAX = 99_999;
const MANTISSA_EXACT_MAX: u64 = 1 << 53;

const powersOfTen = memory.data<f64>([
  1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
  1e20, 1e21, 1e22,
]);

let numerator: usize = 0;
let denominator: usize = 0;

/** The number that parseDecimal read; infinite when it is too large. */
export let decimalValue: f64 = 0;

/** Reserves the memory of the slow path. */
export function setupDecimal(): void {
  numerator = reserve(BIGNUM_LIMBS * 4);
  denominator = reserve(BIGNUM_LIMBS * 4);
  setupScale();
}

/**
 * Reads a decimal without a sign, which must be followed by some other byte.
 * Returns the address behind it and sets decimalValue, or returns 0 where no number starts.
 */
export function parseDecimal(start: usize): usize {
  let at = start;
  let mantissa: u64 = 0;
  let digits = 0;
  let exponent = 0;
  let isLong = false;
  let digit = u32(load<u8>(at)) - ZERO;
  while (digit <= 9) {
    if (digits < 19) {
      mantissa = mantissa * 10 + u64(digit);
      digits += i32(mantissa != 0);
    } else {
      isLong = true;
      exponent += 1;
    }
    at += 1;
    digit = u32(load<u8>(at)) - ZERO;
  }
  let digitBytes = at - start;
  if (digit == DOT - ZERO) {
    at += 1;
    digit = u32(load<u8>(at)) - ZERO;
    while (digit <= 9) {
      if (digits < 19) {
        mantissa = mantissa * 10 + u64(digit);
        digits += i32(mantissa != 0);
        exponent -= 1;
      } else {
        isLong = true;
      }
      at += 1;
      digitBytes += 1;
      digit = u32(load<u8>(at)) - ZERO;
    }
  }
  if (digitBytes == 0) return 0;
  const digitsEnd = at;
  let written = 0;
  if ((u32(load<u8>(at)) | 0x20) == EXPONENT) {
    at = parseExponent(at + 1);
    if (at == 0) return 0;
    written = exponentValue;
    exponent += written;
  }
  if (mantissa == 0) {
    decimalValue = 0;
  } else if (!isLong && mantissa <= MANTISSA_EXACT_MAX && exponent >= -22 && exponent <= 22) {
    const power = load<f64>(powersOfTen + (usize(abs(exponent)) << 3));
    decimalValue = exponent < 0 ? f64(mantissa) / power : f64(mantissa) * power;
  } else if (!isLong && exponent >= -SCALE_EXPONENT_MAX && exponent <= SCALE_EXPONENT_MAX) {
    decimalValue = scale(mantissa, exponent);
  } else {
    decimalValue = divideOut(start, digitsEnd, written);
  }
  return at;
}

let exponentValue: i32 = 0;

/** Reads what follows the letter e. Returns the address behind it, 0 where no digit comes. */
function parseExponent(at: usize): usize {
  const sign = u32(load<u8>(at));
  if (sign == MINUS || sign == PLUS) at += 1;
  let digit = u32(load<u8>(at)) - ZERO;
  if (digit > 9) return 0;
  let value = 0;
  while (digit <= 9) {
    if (value < EXPONENT_MAX) value = value * 10 + i32(digit);
    at += 1;
    digit = u32(load<u8>(at)) - ZERO;
  }
  exponentValue = sign == MINUS ? -value : value;
  return at;
}

/**
 * The exact way: numerator / denominator as whole numbers, then one quotient bit after the other.
 * start..end: digits with at most one dot. exponent: as written behind them.
 */
function divideOut(start: usize, end: usize, exponent: i32): f64 {
  let count = 0;
  let digits = 0;
  let isFraction = false;
  let hasMore = false;
  for (let at = start; at < end; at++) {
    const digit = u32(load<u8>(at)) - ZERO;
    if (digit > 9) {
      isFraction = true;
      continue;
    }
    if (isFraction) exponent -= 1;
    if (digits == DIGITS_MAX) {
      hasMore = hasMore || digit != 0;
      exponent += 1;
      continue;
    }
    count = multiplyAdd(numerator, count, 10, digit);
    if (count != 0) digits += 1;
  }
  if (hasMore) {
    count = multiplyAdd(numerator, count, 10, 1);
    exponent -= 1;
    digits += 1;
  }
  if (digits + exponent > 310) return Infinity;
  if (digits + exponent < -330) return 0;
  store<u32>(denominator, 1);
  let divisorCount = 1;
  if (exponent > 0) count = multiplyByPowerOfTen(numerator, count, exponent);
  else divisorCount = multiplyByPowerOfTen(denominator, divisorCount, -exponent);
  return quotient(count, divisorCount);
}

/** number = number * 10^exponent. Returns the new limb count. */
function multiplyByPowerOfTen(number: usize, count: i32, exponent: i32): i32 {
  // The largest power in a limb first: whoever sends 1e-320 all day shall not keep a thread busy with it.
  for (; exponent >= 9; exponent -= 9) count = multiplyAdd(number, count, 1_000_000_000, 0);
  for (; exponent > 0; exponent--) count = multiplyAdd(number, count, 10, 0);
  return count;
}

/** Returns numerator / denominator, both not zero, rounded to the nearest double. */
function quotient(count: i32, divisorCount: i32): f64 {
  // Shift either so that 1 <= numerator / denominator < 2; the quotient is then that times 2^exponent.
  let exponent = bitLength(numerator, count) - bitLength(denominator, divisorCount);
  if (exponent >= 0) divisorCount = shiftLeft(denominator, divisorCount, exponent);
  else count = shiftLeft(numerator, count, -exponent);
  if (!isAtLeast(numerator, count, denominator, divisorCount)) {
    count = shiftLeft(numerator, count, 1);
    exponent -= 1;
  }
  if (exponent > 1023) return Infinity;
  // Numbers below 2^-1022 have fewer bits of mantissa, down to none.
  const bits = exponent >= -1022 ? 53 : 53 + 1022 + exponent;
  if (bits < 0) return 0;
  let mantissa: u64 = 0;
  for (let i = 0; i < bits; i++) {
    mantissa <<= 1;
    if (isAtLeast(numerator, count, denominator, divisorCount)) {
      mantissa |= 1;
      count = subtract(numerator, count, denominator, divisorCount);
    }
    count = shiftLeft(numerator, count, 1);
  }
  if (isAtLeast(numerator, count, denominator, divisorCount)) {
    const isTie = subtract(numerator, count, denominator, divisorCount) == 0;
    if (!isTie || (mantissa & 1) == 1) mantissa += 1;
  }
  // A carry out of the mantissa lands in the exponent field, where it belongs.
  if (exponent < -1022) return reinterpret<f64>(mantissa);
  return reinterpret<f64>(mantissa - (1 << 52) + (u64(exponent + 1023) << 52));
}
