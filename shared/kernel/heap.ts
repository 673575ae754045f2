/**
 * The kernel's working memory: allocated upwards, bounded, and given back all at once when a table is
 * emptied.
 *
 *   | static data | reserved regions (arena.ts) | heap: records, runs, members ... top | slack |
 */
import { reserve, reservedBytes } from "./arena";

/** SIMD loads may read this far behind the last allocation. */
const SLACK_BYTES: usize = 64;
const PAGES_STEP = 16;
/** Behind it there is still room to round up and to over-read, below the end of 32-bit addresses. */
const ADDRESS_MAX: usize = 0xfffe_0000;

let base: usize = 0;
let top: usize = 0;
let limit: usize = 0;

/** Starts the heap behind everything reserved so far. bytesMax: its bound. No reserve() may follow. */
export function setupHeap(bytesMax: usize): void {
  reserve(0, 64);
  base = reservedBytes();
  top = base;
  setHeapMax(bytesMax);
}

/** Changes the heap's bound. What lies beyond a lower one stays until the heap is emptied. */
export function setHeapMax(bytesMax: usize): void {
  limit = base + min<usize>(bytesMax, ADDRESS_MAX - base);
}

/**
 * Returns the address of `bytes` fresh bytes, aligned to 8 and of unknown content, or 0 when the bound or
 * the memory's maximum is reached.
 */
export function allocate(bytes: usize): usize {
  const start = top;
  const end = start + ((bytes + 7) & ~7);
  if (end > limit || !ensure(end)) return 0;
  top = end;
  return start;
}

/**
 * Like allocate, but beyond the bound as far as the memory reaches: for scratch that is released at once.
 */
export function allocateScratch(bytes: usize): usize {
  const start = top;
  // A sum beyond 32 bits would wrap, and look like a small one.
  if (bytes > ADDRESS_MAX - start) return 0;
  const end = start + ((bytes + 7) & ~7);
  if (!ensure(end)) return 0;
  top = end;
  return start;
}

/** Gives back everything allocated at or behind `start`. */
export function release(start: usize): void {
  top = start;
}

/** Empties the heap. */
export function resetHeap(): void {
  top = base;
}

/** Bytes in use. */
export function heapBytes(): usize {
  return top - base;
}

function ensure(end: usize): bool {
  const pagesNeeded = i32((end + SLACK_BYTES + 0xffff) >>> 16);
  const pages = memory.size();
  if (pagesNeeded <= pages) return true;
  // Larger steps first: growing is a system call.
  if (memory.grow(max<i32>(pagesNeeded - pages, PAGES_STEP)) >= 0) return true;
  return memory.grow(pagesNeeded - pages) >= 0;
}
