/** Simulated time: events in the order of their moments, and of their making where these are equal. */

interface Event {
  readonly atMs: number;
  readonly number: number;
  readonly run: () => void;
}

function isBefore(event: Event, other: Event): boolean {
  return event.atMs < other.atMs || (event.atMs === other.atMs && event.number < other.number);
}

/** A heap of what is going to happen. */
export class Schedule {
  /** True time in milliseconds since the beginning; nobody in the simulation can see it. */
  nowMs = 0;
  /** Events that have happened. */
  events = 0;
  #number = 0;
  readonly #heap: Event[] = [];

  /** Runs something after a delay in milliseconds. */
  after(delayMs: number, run: () => void): void {
    const heap = this.#heap;
    const event = { atMs: this.nowMs + Math.max(0, delayMs), number: this.#number++, run };
    let place = heap.length;
    heap.push(event);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[place] = heap[parent]!;
      place = parent;
    }
    heap[place] = event;
  }

  /** Lets things happen up to a moment, or until `isOver` says so. */
  runUntil(endMs: number, isOver: () => boolean): void {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.atMs > endMs || isOver()) return;
      this.#removeFirst();
      this.nowMs = first.atMs;
      this.events += 1;
      first.run();
    }
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = last;
  }
}
