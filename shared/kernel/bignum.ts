/**
 * Natural numbers of up to BIGNUM_LIMBS 32-bit limbs, least significant first, for the rare decimals that
 * double arithmetic alone does not convert exactly. A number is a region in memory and a count of limbs
 * without leading zeros; zero has none.
 */

/** 800 significant digits over ten to the power of 1,126 need 3,742 bits; one more limb for each shift. */
export const BIGNUM_LIMBS = 160;

/** number = number * factor + addend. Returns the new limb count. */
export function multiplyAdd(number: usize, count: i32, factor: u32, addend: u32): i32 {
  let carry = u64(addend);
  for (let i = 0; i < count; i++) {
    const at = number + (usize(i) << 2);
    carry += u64(load<u32>(at)) * u64(factor);
    store<u32>(at, u32(carry));
    carry >>= 32;
  }
  if (carry == 0) return count;
  store<u32>(number + (usize(count) << 2), u32(carry));
  return count + 1;
}

/** number = number << bits. Returns the new limb count. */
export function shiftLeft(number: usize, count: i32, bits: i32): i32 {
  if (count == 0) return 0;
  const limbs = bits >> 5;
  const rest = bits & 31;
  let carry: u32 = 0;
  if (rest != 0) {
    for (let i = 0; i < count; i++) {
      const at = number + (usize(i) << 2);
      const limb = load<u32>(at);
      store<u32>(at, (limb << rest) | carry);
      carry = limb >> (32 - rest);
    }
    if (carry != 0) {
      store<u32>(number + (usize(count) << 2), carry);
      count += 1;
    }
  }
  if (limbs == 0) return count;
  memory.copy(number + (usize(limbs) << 2), number, usize(count) << 2);
  memory.fill(number, 0, usize(limbs) << 2);
  return count + limbs;
}

/** Returns the number of bits from the highest set one down. */
export function bitLength(number: usize, count: i32): i32 {
  if (count == 0) return 0;
  return count * 32 - i32(clz<u32>(load<u32>(number + (usize(count - 1) << 2))));
}

/** Whether a >= b. */
export function isAtLeast(a: usize, aCount: i32, b: usize, bCount: i32): bool {
  if (aCount != bCount) return aCount > bCount;
  for (let i = aCount - 1; i >= 0; i--) {
    const x = load<u32>(a + (usize(i) << 2));
    const y = load<u32>(b + (usize(i) << 2));
    if (x != y) return x > y;
  }
  return true;
}

/** a = a - b, where a >= b. Returns the new limb count of a. */
export function subtract(a: usize, aCount: i32, b: usize, bCount: i32): i32 {
  let borrow: i64 = 0;
  for (let i = 0; i < aCount; i++) {
    const at = a + (usize(i) << 2);
    const y = i < bCount ? i64(load<u32>(b + (usize(i) << 2))) : 0;
    const difference = i64(load<u32>(at)) - y + borrow;
    store<u32>(at, u32(difference));
    borrow = difference >> 32;
  }
  while (aCount > 0 && load<u32>(a + (usize(aCount - 1) << 2)) == 0) aCount -= 1;
  return aCount;
}
