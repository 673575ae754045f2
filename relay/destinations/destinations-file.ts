/**
 * A file of destinations, one a line, or a JSON array of them; watched, so that whoever discovers aggregators
 * only has to write it.
 *
 *   # a comment, on a line of its own or after a blank
 *   10.0.0.1:8125
 *   tcp://10.0.0.2:8125:a*2
 */
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { parseDestination } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { backgroundClock } from "../background-clock.ts";

/** Far more than the destinations that a ring can have. */
const FILE_BYTES_MAX = 4 << 20;
const POLL_MS = 1_000;
/** A report of faults names so many and counts the others. */
const FAULTS_SHOWN_MAX = 20;
/** Signature of a file that is not there. */
const MISSING = "missing";

/** What a file said at some moment. */
interface Reading {
  readonly destinations: readonly string[];
  readonly signature: string;
}

/**
 * Reads a file of destinations; they are returned as written, in their order.
 * Throws OperatorError listing all faults with their lines, also for a file that cannot be read or that
 * names none.
 */
export async function readDestinations(path: string): Promise<readonly string[]> {
  return (await read(path)).destinations;
}

/** Takes the text of such a file apart. path: only named in faults. Throws as readDestinations does. */
export function parseDestinations(text: string, path: string): readonly string[] {
  const entries = text.replace(/^\uFEFF/, "");
  // An IPv6 address in brackets begins like an array, but no array of texts goes on like it.
  const items = /^\s*\[\s*(?:["\]]|$)/.test(entries) ? jsonItems(entries, path) : lineItems(entries);
  const faults = items.flatMap(({ place, value }) => {
    const parsed = parseDestination(value);
    return "fault" in parsed ? [`${path}, ${place}: destination ${value} ${parsed.fault}`] : [];
  });
  if (faults.length > 0) {
    const hidden = faults.length - FAULTS_SHOWN_MAX;
    const rest = hidden > 0 ? [`${path}: and ${hidden} more`] : [];
    throw new OperatorError([...faults.slice(0, FAULTS_SHOWN_MAX), ...rest].join("\n"));
  }
  if (items.length === 0) {
    throw new OperatorError(`${path}: no destination is given; name at least one, one a line`);
  }
  return items.map(({ value }) => value);
}

function lineItems(text: string): { place: string; value: string }[] {
  return text.split("\n").flatMap((line, index) => {
    const value = line.trim().replace(/(?:^|\s+)#.*$/, "");
    return value === "" ? [] : [{ place: `line ${index + 1}`, value }];
  });
}

function jsonItems(text: string, path: string): { place: string; value: string }[] {
  let items: unknown;
  try {
    items = JSON.parse(text);
  } catch (error) {
    throw new OperatorError(`${path}: no valid JSON (${(error as Error).message}); write ["HOST:PORT", ...]`);
  }
  if (!Array.isArray(items) || !items.every((item) => typeof item === "string")) {
    throw new OperatorError(`${path}: no array of texts; write ["HOST:PORT", ...]`);
  }
  return items.map((value: string, index) => ({ place: `item ${index + 1}`, value }));
}

async function read(path: string): Promise<Reading> {
  let file: FileHandle | undefined;
  try {
    // A named pipe without a writer would be waited for.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // Taken before the text: a file that is written meanwhile then looks changed at the next poll.
    const stats = await file.stat({ bigint: true });
    if (!stats.isFile()) throw new OperatorError(`${path}: no file; name a file of destinations`);
    const signature = signatureOf(stats);
    const buffer = Buffer.alloc(FILE_BYTES_MAX + 1);
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, bytes, buffer.length - bytes);
      bytes += bytesRead;
      if (bytesRead === 0 || bytes === buffer.length) break;
    }
    if (bytes > FILE_BYTES_MAX) {
      throw new OperatorError(`${path}: more than ${FILE_BYTES_MAX} bytes; name a file of destinations`);
    }
    return { destinations: parseDestinations(buffer.toString("utf8", 0, bytes), path), signature };
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new OperatorError(`${path}: cannot be read (${code}); correct destinations-file, or its rights`);
  } finally {
    await file?.close();
  }
}

/** With ctime, since rights that were corrected leave mtime as it was. */
function signatureOf({ mtimeNs, ctimeNs, size, ino }: BigIntStats): string {
  return `${mtimeNs} ${ctimeNs} ${size} ${ino}`;
}

/** What a watched file needs. */
export interface DestinationsFileOptions {
  readonly path: string;
  readonly log: Log;
  /** Called with each valid list that differs from the one before. */
  readonly onChange: (destinations: readonly string[]) => void;
  readonly clock?: Clock;
}

/** Watches one file from start() to close(). */
export class DestinationsFile {
  readonly #options: DestinationsFileOptions;
  readonly #clock: Clock;
  #destinations: readonly string[] = [];
  /** Of the file as it was read last, whether it was valid or not. */
  #read = "";
  /** Of the file as it was seen by the last poll. */
  #seen = "";
  #timer: TimerHandle | undefined;
  #isClosed = false;

  constructor(options: DestinationsFileOptions) {
    this.#options = options;
    this.#clock = options.clock ?? backgroundClock;
  }

  /** The last valid list. */
  get destinations(): readonly string[] {
    return this.#destinations;
  }

  /** Reads the file and begins to watch it. Throws as readDestinations does. */
  async start(): Promise<readonly string[]> {
    const { destinations, signature } = await read(this.#options.path);
    this.#destinations = destinations;
    this.#read = signature;
    this.#seen = signature;
    this.#schedule();
    return destinations;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = this.#clock.setTimer(POLL_MS, () => void this.#poll().then(() => this.#schedule()));
  }

  /**
   * A change is read once it has stood from one poll to the next: half a file can be a valid list, and would
   * move most names.
   */
  async #poll(): Promise<void> {
    const { path, log } = this.#options;
    const seen = await signatureAt(path);
    const hasSettled = seen === this.#seen;
    this.#seen = seen;
    if (!hasSettled || seen === this.#read || this.#isClosed) return;
    this.#read = seen;
    if (seen === MISSING) {
      log.warn("relay.destinations_file_missing", { path, kept: this.#destinations.length });
      return;
    }
    await this.#accept();
  }

  async #accept(): Promise<void> {
    const { path, log, onChange } = this.#options;
    let reading: Reading;
    try {
      reading = await read(path);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      log.error("relay.destinations_file_invalid", {
        path,
        fault: error.message,
        kept: this.#destinations.length,
      });
      return;
    }
    this.#read = reading.signature;
    if (this.#isClosed || isSameList(reading.destinations, this.#destinations)) return;
    const before = this.#destinations.length;
    this.#destinations = reading.destinations;
    log.info("relay.destinations_file_changed", { path, before, now: reading.destinations.length });
    onChange(reading.destinations);
  }
}

/** A file that cannot be looked at is as good as missing. */
async function signatureAt(path: string): Promise<string> {
  try {
    return signatureOf(await stat(path, { bigint: true }));
  } catch {
    return MISSING;
  }
}

function isSameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((text, index) => text === right[index]);
}
