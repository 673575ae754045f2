/**
 * MurmurHash3 of 32 bits (x86), with the seed of the Uber and Lyft relays. Source: Austin Appleby's
 * MurmurHash3.cpp, public domain.
 */
const SEED: u32 = 0xaccd3d34;
const FIRST_MULTIPLIER: u32 = 0xcc9e2d51;
const SECOND_MULTIPLIER: u32 = 0x1b873593;

function mixBlock(block: u32): u32 {
  return rotl<u32>(block * FIRST_MULTIPLIER, 15) * SECOND_MULTIPLIER;
}

/** Hashes raw bytes. */
export function murmur3(start: usize, bytes: usize): u32 {
  let hash = SEED;
  let at = start;
  const blocksEnd = start + (bytes & ~3);
  for (; at < blocksEnd; at += 4) hash = rotl<u32>(hash ^ mixBlock(load<u32>(at)), 13) * 5 + 0xe6546b64;
  const rest = bytes & 3;
  if (rest != 0) {
    let block = u32(load<u8>(at));
    if (rest > 1) block |= u32(load<u8>(at, 1)) << 8;
    if (rest > 2) block |= u32(load<u8>(at, 2)) << 16;
    hash ^= mixBlock(block);
  }
  hash ^= u32(bytes);
  hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
  return hash ^ (hash >> 16);
}
