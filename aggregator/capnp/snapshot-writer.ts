/**
 * Labels what a peer listener gathers as an intake labels what it hears: at every snapshot boundary of the
 * wall clock, and always at an interval's end, a frame goes to the store, and tells which intervals are
 * closed.
 */
import { newFrame } from "../../shared/wire.ts";
import { setBackIntervalsMax } from "../set-back.ts";
import type { PostSnapshot, SnapshotterOptions } from "../snapshotter.ts";
import type { PeerMetric } from "./metric.ts";
import { MetricWriter } from "./metric-writer.ts";
import type { Message } from "./reader.ts";
import type { NameRules } from "./series-key.ts";
import { SnapshotBody } from "./snapshot-body.ts";

/** Who writes, and when; see SnapshotterOptions. */
export interface WriterOptions
  extends Pick<
    SnapshotterOptions,
    "node" | "incarnation" | "origin" | "intervalMs" | "snapshotIntervalMs" | "isOfCluster"
  > {
  /** How names become keys. */
  readonly names: NameRules;
  /** A frame is cut early where its body would be larger; 4 MiB by default. */
  readonly bodyBytesMax?: number;
}

const BODY_BYTES_MAX = 4 << 20;

export class SnapshotWriter {
  snapshots = 0;
  snapshotBytes = 0;
  /** Samples in frames that found no room on the way to the store. */
  lostSamples = 0;
  readonly #options: WriterOptions;
  readonly #post: PostSnapshot;
  readonly #body: SnapshotBody;
  readonly #metrics: MetricWriter;
  #interval: number;
  #nextCutMs: number;
  #sequence = 0;

  /** nowMs: wall clock, which decides the first interval. */
  constructor(options: WriterOptions, nowMs: number, post: PostSnapshot) {
    const { origin, names, intervalMs, bodyBytesMax = BODY_BYTES_MAX } = options;
    this.#options = options;
    this.#post = post;
    this.#body = new SnapshotBody(origin, bodyBytesMax, () => this.#send(this.#interval));
    this.#metrics = new MetricWriter(names, this.#body);
    this.#interval = Math.floor(nowMs / intervalMs);
    this.#nextCutMs = this.#cutAfter(nowMs);
  }

  /** Samples of metrics that were taken. */
  get samples(): number {
    return this.#body.samplesWritten;
  }

  /** Samples of timers that were left out since they are no numbers. */
  get skippedSamples(): number {
    return this.#metrics.skippedSamples;
  }

  /** Adds a metric to the present interval; advance() comes first. Returns DROP_NONE or why it is dropped. */
  write(message: Message, metric: PeerMetric, nowMs: number): number {
    return this.#metrics.write(message, metric, nowMs);
  }

  /** Cuts a snapshot where a boundary has passed. To be called often, also when nothing comes. */
  advance(nowMs: number): void {
    const isSetBack = nowMs < this.#nextCutMs - this.#options.snapshotIntervalMs;
    if (nowMs >= this.#nextCutMs || isSetBack) this.#cut(nowMs);
  }

  /** Cuts the last snapshot and declares its interval closed. */
  close(nowMs: number): void {
    this.#cut(nowMs);
    this.#send(this.#interval + 1);
    this.#interval += 1;
  }

  /**
   * Goes on to the interval that nowMs lies in; not back to an earlier one, unless the clock was set back so
   * far that waiting for it makes no sense.
   */
  #cut(nowMs: number): void {
    const { intervalMs, isOfCluster } = this.#options;
    const wanted = Math.floor(nowMs / intervalMs);
    const isSetBack = wanted < this.#interval - setBackIntervalsMax(intervalMs, isOfCluster);
    const next = isSetBack ? wanted : Math.max(this.#interval, wanted);
    this.#send(next);
    this.#interval = next;
    if (isSetBack) this.#metrics.restartStamps();
    this.#nextCutMs = this.#cutAfter(nowMs);
  }

  /** The next snapshot boundary, or the interval's end where that comes first. */
  #cutAfter(nowMs: number): number {
    const { snapshotIntervalMs, intervalMs } = this.#options;
    const boundary = (Math.floor(nowMs / snapshotIntervalMs) + 1) * snapshotIntervalMs;
    return Math.min(boundary, (Math.floor(nowMs / intervalMs) + 1) * intervalMs);
  }

  /** Sends what was gathered. Nothing is sent when there is neither a series nor a closed interval. */
  #send(lowestOpen: number): void {
    const body = this.#body;
    if (body.entries === 0 && lowestOpen === this.#interval) return;
    const { samples } = body;
    const frame = this.#frame(lowestOpen, body.entries, samples, body.content);
    const frameBytes = frame.length;
    body.reset();
    // Posting may hand the memory over, so the frame is not looked at afterwards.
    if (this.#post(frame)) {
      this.snapshots += 1;
      this.snapshotBytes += frameBytes;
      return;
    }
    this.lostSamples += samples;
    // The store must still learn which intervals are closed; an empty frame is let through.
    if (lowestOpen !== this.#interval) this.#post(this.#frame(lowestOpen, 0, 0, body.content));
  }

  #frame(lowestOpen: number, entries: number, lines: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
    const { node, incarnation, origin, intervalMs } = this.#options;
    const sequence = this.#sequence++;
    const label = { node, incarnation, origin, sequence, intervalMs, lowestOpen, entries, lines };
    const frame = newFrame({ ...label, interval: this.#interval }, content.length);
    frame.set(content, frame.length - content.length);
    return frame;
  }
}
