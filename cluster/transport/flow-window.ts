/**
 * How much may be on its way to a peer. Behind every few bytes goes a ping that says how many there were, and
 * its pong says that they have been read. What the system's buffers take is no measure: megabytes of bulk in
 * them would keep an urgent message back for minutes on a slow link.
 *
 * The window widens while pongs come about as fast as they ever did, and narrows when they come much later.
 */

const START_BYTES = 32 * 1024;
const LEAST_BYTES = 16 * 1024;
const MOST_BYTES = 1024 * 1024;
/** Bytes from one ping to the next, at least; and which part of a window. */
const MARK_BYTES = 8 * 1024;
const MARKS_IN_WINDOW = 16;
/** Pongs later than the fastest by this are no longer quick, in milliseconds; and by this they are slow. */
const QUICK_MS = 100;
const SLOW_MS = 500;
/** Once it is slow, what is on its way shall be read in so many milliseconds. */
const AIM_MS = 500;
/** Pings that may be unanswered. */
const MARKS_MAX = 256;

export class FlowWindow {
  #bytesMax = START_BYTES;
  #sent = 0;
  #read = 0;
  #marked = 0;
  readonly #marks: { readonly sent: number; readonly atMs: number }[] = [];
  #fastestMs = Number.POSITIVE_INFINITY;
  #roundTripMs: number | undefined;

  /** Bytes that may be sent now; 0 or less for none. */
  get room(): number {
    return this.#bytesMax - (this.#sent - this.#read);
  }

  /** Bytes that were sent and perhaps not read yet. */
  get bytesUnread(): number {
    return this.#sent - this.#read;
  }

  /** The last one in milliseconds; undefined before the first. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** Counts what was sent. Returns whether a ping is due. */
  sent(bytes: number): boolean {
    this.#sent += bytes;
    return this.#sent - this.#marked >= Math.max(MARK_BYTES, this.#bytesMax / MARKS_IN_WINDOW);
  }

  /** Returns what a ping says now. */
  mark(nowMs: number): string {
    this.#marked = this.#sent;
    if (this.#marks.length < MARKS_MAX) this.#marks.push({ sent: this.#sent, atMs: nowMs });
    return String(this.#sent);
  }

  /** Takes what a pong says. Others than those that were sent change nothing. */
  answered(said: string, nowMs: number): void {
    const index = this.#marks.findLastIndex(({ sent }) => String(sent) === said);
    if (index < 0) return;
    const { sent, atMs } = this.#marks[index]!;
    this.#marks.splice(0, index + 1);
    const bytesRead = sent - this.#read;
    const wasFull = this.bytesUnread * 2 >= this.#bytesMax;
    this.#read = sent;
    this.#roundTripMs = nowMs - atMs;
    this.#fastestMs = Math.min(this.#fastestMs, this.#roundTripMs);
    const lateMs = this.#roundTripMs - this.#fastestMs;
    const fitBytes = (bytesRead / this.#roundTripMs) * AIM_MS;
    if (lateMs > SLOW_MS) this.#bytesMax = Math.max(LEAST_BYTES, Math.min(this.#bytesMax / 2, fitBytes));
    else if (lateMs < QUICK_MS && wasFull) this.#bytesMax = Math.min(MOST_BYTES, this.#bytesMax * 2);
  }
}
