/** What somebody should look at. An alarm stands until it is cleared, or has not been raised for a while. */

const STANDS_MS = 60_000;

export class Alarms {
  readonly #alarms = new Map<string, { readonly text: string; readonly untilMs: number }>();

  /**
   * key: what raises it again. Returns whether it was not standing, so that it is worth a line in the log.
   */
  raise(key: string, text: string, nowMs: number): boolean {
    const standing = this.#alarms.get(key);
    this.#alarms.set(key, { text, untilMs: nowMs + STANDS_MS });
    return standing === undefined || standing.untilMs < nowMs;
  }

  clear(key: string): void {
    this.#alarms.delete(key);
  }

  texts(nowMs: number): string[] {
    return [...this.#alarms.values()].filter(({ untilMs }) => untilMs >= nowMs).map(({ text }) => text);
  }
}
