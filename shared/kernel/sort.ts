/**
 * Sorting of samples: bottom-up merge sort, so the worst case is as good as the average. An element is a
 * double, or a double with its weight behind it.
 */

const RUN_ELEMENTS: usize = 16;

/**
 * Sorts `count` elements by their first double, ascending. other: scratch memory of the same size.
 * shift: 3 for doubles, 4 for pairs. Returns where the sorted elements lie: data or other.
 */
export function sortSamples(data: usize, other: usize, count: usize, shift: usize): usize {
  const end = data + (count << shift);
  const runBytes = RUN_ELEMENTS << shift;
  for (let start = data; start < end; start += runBytes) {
    insertionSort(start, min<usize>(start + runBytes, end), shift);
  }
  let from = data;
  let to = other;
  for (let width = runBytes; width < count << shift; width <<= 1) {
    mergePass(from, to, count << shift, width, shift);
    const swap = from;
    from = to;
    to = swap;
  }
  return from;
}

function insertionSort(start: usize, end: usize, shift: usize): void {
  const step: usize = 1 << shift;
  for (let next = start + step; next < end; next += step) {
    const value = load<f64>(next);
    // The second double of a bare value is its neighbour's: read, but never written.
    const weight = shift == 4 ? load<f64>(next, 8) : 0;
    let place = next;
    while (place > start && load<f64>(place - step) > value) {
      store<f64>(place, load<f64>(place - step));
      if (shift == 4) store<f64>(place, load<f64>(place - step, 8), 8);
      place -= step;
    }
    store<f64>(place, value);
    if (shift == 4) store<f64>(place, weight, 8);
  }
}

/** Merges neighbouring sorted runs of `width` bytes from one area into the other. */
function mergePass(from: usize, to: usize, bytes: usize, width: usize, shift: usize): void {
  const step: usize = 1 << shift;
  for (let start: usize = 0; start < bytes; start += width << 1) {
    let a = from + start;
    const aEnd = from + min<usize>(start + width, bytes);
    let b = aEnd;
    const bEnd = from + min<usize>(start + (width << 1), bytes);
    let out = to + start;
    while (a < aEnd && b < bEnd) {
      const takesB = load<f64>(b) < load<f64>(a);
      const source = takesB ? b : a;
      store<f64>(out, load<f64>(source));
      if (shift == 4) store<f64>(out, load<f64>(source, 8), 8);
      out += step;
      if (takesB) b += step;
      else a += step;
    }
    memory.copy(out, a, aEnd - a);
    out += aEnd - a;
    memory.copy(out, b, bEnd - b);
  }
}
