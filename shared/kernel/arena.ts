/** Start-up allocation of kernel memory: regions are reserved once, in order, and never given back. */

let top: usize = 0;

/**
 * Reserves a region. bytes: its size. align: a power of two. Returns its first address; the region is zero.
 * Traps when the memory's maximum is reached. Only called while a kernel is set up.
 */
export function reserve(bytes: usize, align: usize = 64): usize {
  if (top == 0) top = __heap_base;
  const start = (top + align - 1) & ~(align - 1);
  top = start + bytes;
  const pagesNeeded = i32((top + 0xffff) >>> 16);
  const pages = memory.size();
  if (pagesNeeded > pages) assert(memory.grow(pagesNeeded - pages) >= 0);
  return start;
}

/** Returns the number of bytes reserved so far, static data included. */
export function reservedBytes(): usize {
  return top;
}
