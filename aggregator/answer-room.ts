/** A bound on the text of an answer: names may be long, and the answer is copied several times on its way. */

/** Bytes of JSON that series or rows of one answer may have. */
export const ANSWER_BYTES_MAX = 8 << 20;

/**
 * The room of one answer. Once something has found none, nothing finds any, so that what is shown is the
 * beginning.
 */
export class AnswerRoom {
  #left = ANSWER_BYTES_MAX;

  get isFull(): boolean {
    return this.#left === 0;
  }

  /** Takes room for a value and its comma. Returns false where there is too little. */
  take(value: object): boolean {
    const bytes = Buffer.byteLength(JSON.stringify(value)) + 1;
    const fits = bytes <= this.#left;
    this.#left = fits ? this.#left - bytes : 0;
    return fits;
  }
}
