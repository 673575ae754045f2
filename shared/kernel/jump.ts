/**
 * Jump consistent hash. Source: Lamping & Veach, "A fast, minimal memory, consistent hash algorithm", 2014.
 */
const MULTIPLIER: u64 = 0x27bb2ee687b0b0fd;
const TWO_TO_31: f64 = 2147483648;

/**
 * Places a key on the ring. key: 64-bit hash. bucketCount: 1 or more; the ring's set-up asserts it.
 * Returns 0..bucketCount-1.
 */
export function jump(key: u64, bucketCount: i32): i32 {
  const count = f64(bucketCount);
  let bucket: i32 = 0;
  let next: f64 = 0;
  while (next < count) {
    // Whatever is not below the count need not fit into 32 bits.
    bucket = i32(next);
    key = key * MULTIPLIER + 1;
    // The order of these roundings is part of the result.
    next = f64(bucket + 1) * (TWO_TO_31 / f64(i64((key >>> 33) + 1)));
  }
  return bucket;
}
