/**
 * Deltas that an agent holds on disk while no member takes them, in a folder of its own
 * (`cluster.spool-dir`): segments that are written one after the other, and removed when all in them is safe.
 * A delta has its identity with it, so that one that is sent once more after a crash counts once.
 *
 *   lock.N              who has the folder
 *   000000000001.deltas
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { machineMs } from "../../shared/clock.ts";
import { OperatorError } from "../../shared/errors.ts";
import { readLabel } from "../../shared/wire.ts";
import type { AgentSpool, SpooledDelta } from "../agent-world.ts";
import type { Delta } from "../delta.ts";
import type { WorldLog } from "../world.ts";
import { AgentSegment, encodeRecords, SEGMENT_HEAD_BYTES, type SegmentRecord } from "./agent-segment.ts";
import { DiskFaults } from "./disk-faults.ts";
import { syncFolder } from "./file-access.ts";
import { type FolderLock, lockFolder } from "./folder-lock.ts";

const NAME = /^(\d{12})\.deltas$/;
const SEGMENT_BYTES_MAX = 8 << 20;
const SEGMENT_BYTES_MIN = 64 << 10;
/** Segments that a full spool has, about: the oldest one is given up for what is new. */
const SEGMENTS = 16;
/** A disk that failed is left alone for so long. */
const PAUSE_MS = 1000;
/** A segment that cannot be read so often is given up. */
const READ_TRIES = 5;

export interface AgentSpoolOptions {
  /** At least 1 MiB. */
  readonly bytesMax: number;
  /** Deltas of other intervals, from before a change of the configuration, are of no more use. */
  readonly intervalMs: number;
}

export class AgentSpoolFolder implements AgentSpool {
  readonly #folder: string;
  readonly #options: AgentSpoolOptions;
  readonly #lock: FolderLock;
  readonly #faults: DiskFaults;
  #segments: AgentSegment[];
  #nextNumber: number;
  #work: Promise<void> = Promise.resolve();
  /** Segments whose head is not on disk as it should be. */
  readonly #stale = new Set<AgentSegment>();
  #isTidying = false;
  #resumeMs = Number.NEGATIVE_INFINITY;
  #readFaults = 0;
  #isClosed = false;
  lostSamples = 0;

  private constructor(
    folder: string,
    options: AgentSpoolOptions,
    lock: FolderLock,
    faults: DiskFaults,
    found: { readonly segments: AgentSegment[]; readonly nextNumber: number },
  ) {
    this.#folder = folder;
    this.#options = options;
    this.#lock = lock;
    this.#faults = faults;
    this.#segments = found.segments;
    this.#nextNumber = found.nextNumber;
  }

  /**
   * Opens a folder, and makes it where there is none. Throws OperatorError where it cannot be used, or
   * another process has it.
   */
  static async open(
    path: string,
    options: AgentSpoolOptions,
    log: Pick<WorldLog, "warn">,
  ): Promise<AgentSpoolFolder> {
    let lock: FolderLock | undefined;
    try {
      // Not recursive: a mistyped path shall be told of.
      for (const one of [dirname(path), path]) if (!existsSync(one)) await mkdir(one, { mode: 0o700 });
      const folder = await realpath(path);
      lock = await lockFolder(folder);
      const faults = new DiskFaults(folder, log);
      const found = await findSegments(folder);
      const spool = new AgentSpoolFolder(folder, options, lock, faults, found);
      spool.#tidy();
      return spool;
    } catch (error) {
      await lock?.release();
      const said = (error as Error).message;
      if (error instanceof OperatorError) {
        throw new OperatorError(said.replace("aggregator.state-dir", "cluster.spool-dir"));
      }
      const remedy = "name a folder on a disk of this machine that the daemon may write to";
      throw new OperatorError(`cluster.spool-dir is ${path}: ${said}; ${remedy}`);
    }
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get isUsable(): boolean {
    return !this.#isClosed && machineMs() >= this.#resumeMs;
  }

  get hasUnread(): boolean {
    return this.#segments.some(({ hasUnread }) => hasUnread);
  }

  append(deltas: readonly Delta[], done: (isSaved: boolean) => void): void {
    this.#enqueue(async () => done(await this.#append(deltas)));
  }

  read(bytesMax: number, done: (deltas: readonly SpooledDelta[]) => void): void {
    this.#enqueue(async () => done(await this.#read(bytesMax)));
  }

  /** Resolves when all that was asked for so far is done. */
  settled(): Promise<void> {
    return this.#work;
  }

  /** Ends what is under way, and gives the folder back. */
  async close(): Promise<void> {
    this.#tidy();
    this.#isClosed = true;
    await this.#work;
    await this.#lock.release();
  }

  #enqueue(work: () => Promise<void>): void {
    this.#work = this.#work.then(work);
  }

  async #append(deltas: readonly Delta[]): Promise<boolean> {
    const { bytesMax } = this.#options;
    const samples = deltas.reduce((sum, delta) => sum + delta.samples, 0);
    const records = encodeRecords(deltas);
    const bytes = records.reduce((sum, { length }) => sum + length, 0);
    if (bytes + SEGMENT_HEAD_BYTES > bytesMax) {
      this.lostSamples += samples;
      this.#faults.tell("deltas", new Error(`${bytes} bytes do not fit; raise cluster.spool-bytes`));
      return true;
    }
    try {
      const segment = await this.#writable(bytes);
      if (segment === undefined) return false;
      await segment.append(records, samples);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** The segment to append to, with room for so many bytes; undefined where none can be made. */
  async #writable(bytes: number): Promise<AgentSegment | undefined> {
    const { bytesMax } = this.#options;
    const share = Math.floor(bytesMax / SEGMENTS);
    const segmentBytes = Math.min(SEGMENT_BYTES_MAX, Math.max(SEGMENT_BYTES_MIN, share));
    const last = this.#segments.at(-1);
    if (last !== undefined && last.bytes >= segmentBytes) last.isSealed = true;
    // A new segment brings its head.
    while (this.bytes + bytes + SEGMENT_HEAD_BYTES > bytesMax) {
      // What was read and is not safe yet has to stay: whoever read it relies on that.
      const oldest = this.#segments.find(({ isInUse }) => !isInUse);
      if (oldest === undefined) return undefined;
      if (oldest.unreadSamples > 0) this.#faults.tell("deltas", new Error("full; the oldest are given up"));
      await this.#remove(oldest);
    }
    const kept = this.#segments.at(-1);
    if (kept !== undefined && !kept.isSealed) return kept;
    const name = `${String(this.#nextNumber).padStart(12, "0")}.deltas`;
    this.#nextNumber += 1;
    const segment = await AgentSegment.create(join(this.#folder, name));
    this.#segments.push(segment);
    await syncFolder(this.#folder);
    return segment;
  }

  async #read(bytesMax: number): Promise<SpooledDelta[]> {
    const segment = this.#segments.find(({ hasUnread }) => hasUnread);
    if (segment === undefined || !this.isUsable) return [];
    let records: readonly SegmentRecord[];
    try {
      records = await segment.read(bytesMax);
      this.#readFaults = 0;
    } catch (error) {
      this.#fail(error);
      this.#readFaults += 1;
      if (this.#readFaults >= READ_TRIES) {
        this.#readFaults = 0;
        this.#giveUp(segment);
      }
      return [];
    }
    if (!segment.hasUnread && segment.isSealed) this.#giveUp(segment);
    const spooled: SpooledDelta[] = [];
    for (const { offset, samples, delta } of records) {
      const release = (): void => this.#release(segment, offset);
      const isOfUse = delta !== undefined && readLabel(delta.bytes)?.intervalMs === this.#options.intervalMs;
      if (isOfUse) spooled.push({ delta, release });
      else {
        this.lostSamples += samples;
        this.#faults.tell("deltas", new Error("a record is damaged, or of another version or interval"));
        release();
      }
    }
    // Where all of these were damaged, others may follow.
    return spooled.length === 0 && records.length > 0 ? this.#read(bytesMax) : spooled;
  }

  /** Nothing more can be read of a segment: what should have been there is lost. */
  #giveUp(segment: AgentSegment): void {
    if (segment.unreadSamples > 0) this.#faults.tell("deltas", new Error(`${segment.path} is damaged`));
    segment.isSealed = true;
    this.lostSamples += segment.skipRest();
    this.#tidy();
  }

  #release(segment: AgentSegment, offset: number): void {
    if (!segment.release(offset) || segment.isRemoved) return;
    this.#stale.add(segment);
    this.#tidy();
  }

  /** Removes segments that are done with, and writes heads; once for all that has come meanwhile. */
  #tidy(): void {
    if (this.#isTidying || this.#isClosed) return;
    this.#isTidying = true;
    this.#enqueue(async () => {
      this.#isTidying = false;
      const stale = [...this.#stale];
      this.#stale.clear();
      try {
        for (const segment of this.#segments.filter(({ isDone }) => isDone)) await this.#remove(segment);
        for (const segment of stale) if (!segment.isRemoved) await segment.writeHead();
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  async #remove(segment: AgentSegment): Promise<void> {
    this.#segments = this.#segments.filter((other) => other !== segment);
    this.lostSamples += segment.skipRest();
    await segment.remove();
  }

  #fail(error: unknown): void {
    this.#faults.count("deltas", error);
    this.#resumeMs = machineMs() + PAUSE_MS;
  }
}

async function findSegments(folder: string): Promise<{ segments: AgentSegment[]; nextNumber: number }> {
  const names = (await readdir(folder)).filter((name) => NAME.test(name)).sort();
  const segments: AgentSegment[] = [];
  for (const name of names) segments.push(await AgentSegment.open(join(folder, name)));
  const newest = names.at(-1);
  return { segments, nextNumber: newest === undefined ? 1 : Number(newest.slice(0, 12)) + 1 };
}
