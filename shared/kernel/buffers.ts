/**
 * Buffers for packets: small ones, close together, for packets within packetlen, and large ones for lines
 * that travel alone because they are longer. Free buffers lie on two stacks, so those just used are used
 * again.
 */
import { reserve } from "./arena";

/**
 * Buffers of either size beyond one for each destination. Memory becomes real only when it is written to.
 */
const SPARE_SMALL: u32 = 256;
const SPARE_LARGE: u32 = 64;

let freeSmall: usize = 0;
let freeSmallCount: u32 = 0;
let freeLarge: usize = 0;
let freeLargeCount: u32 = 0;
/** Buffers from this address on are large. */
let firstLarge: usize = 0;

/**
 * Distance of buffers: an odd number of cache lines, so that their heads do not share the same cache sets.
 */
function strideOf(bytes: usize): usize {
  return (((bytes + 63) / 64) | 1) * 64;
}

/**
 * Reserves buffers. destinations: how many there are, each of which can hold one buffer for itself.
 * smallBytes, largeBytes: what a buffer must be able to take, in bytes.
 */
export function setupBuffers(destinations: u32, smallBytes: usize, largeBytes: usize): void {
  const smallCount = destinations + SPARE_SMALL;
  const largeCount = destinations + SPARE_LARGE;
  freeSmall = reserve(usize(smallCount) * 4);
  freeLarge = reserve(usize(largeCount) * 4);
  const smallStride = strideOf(smallBytes);
  const largeStride = strideOf(largeBytes);
  const small = reserve(usize(smallCount) * smallStride);
  firstLarge = reserve(usize(largeCount) * largeStride);
  for (let i = smallCount; i > 0; i--) giveBuffer(small + usize(i - 1) * smallStride);
  for (let i = largeCount; i > 0; i--) giveBuffer(firstLarge + usize(i - 1) * largeStride);
}

/** Number of buffers that can be out at the same time. */
export function bufferCountMax(destinations: u32): u32 {
  return 2 * destinations + SPARE_SMALL + SPARE_LARGE;
}

/** Whether a buffer of that size can be taken. */
export function hasBuffer(isLarge: bool): bool {
  return (isLarge ? freeLargeCount : freeSmallCount) != 0;
}

/** Takes a buffer. Only called after hasBuffer said that there is one. */
export function takeBuffer(isLarge: bool): usize {
  if (isLarge) {
    freeLargeCount -= 1;
    return usize(load<u32>(freeLarge + usize(freeLargeCount) * 4));
  }
  freeSmallCount -= 1;
  return usize(load<u32>(freeSmall + usize(freeSmallCount) * 4));
}

/** Gives a buffer back. */
export function giveBuffer(buffer: usize): void {
  if (buffer >= firstLarge) {
    store<u32>(freeLarge + usize(freeLargeCount) * 4, u32(buffer));
    freeLargeCount += 1;
  } else {
    store<u32>(freeSmall + usize(freeSmallCount) * 4, u32(buffer));
    freeSmallCount += 1;
  }
}
