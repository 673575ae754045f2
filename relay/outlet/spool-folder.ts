/**
 * The disk spool's folder: names its files, says whose they are, and keeps all of them together within their
 * bound. The channels' parts of it are in spool.ts.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../../shared/log.ts";
import { Segment, type SegmentKind } from "./segment.ts";

const SEGMENT_BYTES_MAX = 4 << 20;
/** A small spool has several segments too, so that dropping the oldest is not dropping everything. */
const SEGMENTS_MIN = 8;
const HASH_DIGITS = 16;
const NAME = /^([0-9a-f]{16})-([0-9a-z-]+)\.(?:spool|(\d+)\.open)$/;

/** Files that this thread owns: of others with its process's number the owner has died. */
const owned = new Set<string>();

/** A channel's part of the spool, as the folder needs it. */
export interface SpoolOwner {
  /** Its segment is the oldest of all and makes room; called before the file is removed. */
  onEvict(segment: Segment): void;
}

/** The part of a file's name that stands for a channel's key. */
export function keyHash(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, HASH_DIGITS);
}

export class SpoolFolder {
  readonly path: string;
  bytesMax: number;
  readonly #log: Log;
  readonly #owners = new Map<Segment, SpoolOwner>();
  /** Key hashes whose files nobody claims, as far as they were told of. */
  readonly #unclaimed = new Set<string>();
  #bytes = 0;

  /** Makes the folder where only it is missing. Throws what the file system says. */
  constructor(path: string, bytesMax: number, log: Log) {
    this.path = path;
    this.bytesMax = bytesMax;
    this.#log = log;
    // Not recursive: a mistyped path shall be told of, and below /proc Node would try for ever.
    if (!existsSync(path)) mkdirSync(path, { mode: 0o700 });
    readdirSync(path);
  }

  /** Size at which a segment is ended. */
  get segmentBytesMax(): number {
    return Math.min(SEGMENT_BYTES_MAX, Math.floor(this.bytesMax / SEGMENTS_MIN));
  }

  /** Bytes of all segments with an owner here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Makes an empty segment. Throws what the file system says. */
  create(owner: SpoolOwner, key: string, kind: SegmentKind, nowMs: number): Segment {
    const segment = Segment.create(this.#openPath(key), key, kind, nowMs);
    this.#own(segment, owner);
    return segment;
  }

  /** Takes over what others have left for a key; oldest first. Skips what cannot be read. */
  claim(owner: SpoolOwner, key: string): Segment[] {
    const segments: Segment[] = [];
    for (const name of this.#free().filter((free) => free.startsWith(`${keyHash(key)}-`))) {
      const path = join(this.path, name);
      try {
        const segment = Segment.adopt(path);
        if (segment?.key !== key) {
          this.#log.warn("relay.spool_unreadable", { path });
          continue;
        }
        segment.claim(this.#openPath(key));
        this.#own(segment, owner);
        segments.push(segment);
      } catch (error) {
        // Also where another relay on the same folder was faster.
        this.#log.warn("relay.spool_unreadable", { path, error });
      }
    }
    return segments.sort((left, right) => left.createdMs - right.createdMs);
  }

  /** Logs, once for each, what belongs to none of these keys. */
  tellUnclaimed(keys: readonly string[]): void {
    const hashes = new Set(keys.map(keyHash));
    for (const name of this.#free()) {
      const hash = name.slice(0, HASH_DIGITS);
      if (hashes.has(hash) || this.#unclaimed.has(hash)) continue;
      this.#unclaimed.add(hash);
      this.#log.warn("relay.spool_unclaimed", { path: join(this.path, name) });
    }
  }

  /**
   * Makes room for bytes by removing the oldest segments, whosever they are. Returns whether there is room.
   * Throws what the file system says.
   */
  makeRoom(bytes: number): boolean {
    if (bytes > this.bytesMax) return false;
    while (this.#bytes + bytes > this.bytesMax) {
      const [oldest] = [...this.#owners.keys()].sort((left, right) => left.createdMs - right.createdMs);
      if (oldest === undefined) return false;
      this.#owners.get(oldest)!.onEvict(oldest);
      this.remove(oldest);
    }
    return true;
  }

  /** A segment has grown. */
  addBytes(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Deletes a segment's file. One that cannot be deleted is forgotten all the same. */
  remove(segment: Segment): void {
    this.#disown(segment);
    try {
      segment.remove();
    } catch (error) {
      this.#log.warn("relay.spool_failed", { path: segment.path, error });
    }
  }

  /** Gives a segment up for another process, or another channel of its key, to claim. */
  release(segment: Segment): void {
    this.#disown(segment);
    try {
      segment.release(join(this.path, `${keyHash(segment.key)}-${unique()}.spool`));
    } catch (error) {
      // Its name still says `open`, which the next process sees through.
      this.#log.warn("relay.spool_failed", { path: segment.path, error });
    }
  }

  #own(segment: Segment, owner: SpoolOwner): void {
    owned.add(segment.path);
    this.#owners.set(segment, owner);
    this.#bytes += segment.bytes;
  }

  #disown(segment: Segment): void {
    if (!this.#owners.delete(segment)) return;
    owned.delete(segment.path);
    this.#bytes -= segment.bytes;
  }

  #openPath(key: string): string {
    return join(this.path, `${keyHash(key)}-${unique()}.${process.pid}.open`);
  }

  /** Names of files that nobody alive owns. */
  #free(): string[] {
    return readdirSync(this.path).filter((name) => {
      const [, , , pid] = NAME.exec(name) ?? [];
      if (pid === undefined) return NAME.test(name);
      if (Number(pid) === process.pid) return !owned.has(join(this.path, name));
      return !isAlive(Number(pid));
    });
  }
}

function unique(): string {
  return `${Date.now().toString(36)}-${randomBytes(6).toString("hex")}`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process is one too.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
