/** The files of a spool's folder: how they are named, and what an earlier process has left there. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { SinkLog } from "../sink.ts";
import { Segment } from "./segment.ts";

const NUMBER_DIGITS = 16;
const NAME = /^(\d{16})\.rows$/;

export class SegmentFolder {
  readonly #folder: string;
  readonly #sink: string;
  readonly #log: SinkLog;
  #nextNumber = 0;

  /** sink: its name, for the log. */
  constructor(folder: string, sink: string, log: SinkLog) {
    this.#folder = folder;
    this.#sink = sink;
    this.#log = log;
  }

  /** Opens what an earlier process, or a predecessor in this one, has left; oldest first. */
  adoptAll(): Segment[] {
    const segments: Segment[] = [];
    for (const name of readdirSync(this.#folder).sort()) {
      const number = NAME.exec(name)?.[1];
      if (number === undefined) continue;
      this.#nextNumber = Number(number) + 1;
      const segment = this.adopt(join(this.#folder, name));
      if (segment?.rows === 0) segment.remove();
      else if (segment !== undefined) segments.push(segment);
    }
    return segments;
  }

  /** Opens a file; undefined, and told in the log, where it is no segment. */
  adopt(path: string): Segment | undefined {
    try {
      const segment = Segment.adopt(path);
      if (segment === undefined) this.#log.warn("sink.spool_unreadable", { sink: this.#sink, path });
      return segment;
    } catch (error) {
      this.#log.warn("sink.spool_unreadable", { sink: this.#sink, path, error });
      return undefined;
    }
  }

  /** Where the next segment goes. */
  nextPath(): string {
    return join(this.#folder, `${String(this.#nextNumber++).padStart(NUMBER_DIGITS, "0")}.rows`);
  }
}
