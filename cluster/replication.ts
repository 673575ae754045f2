/**
 * Sends each delta of this member, and of those that it speaks for, to every other that holds deltas, until
 * that one has acknowledged it. Each peer has its own backlog, bounded in bytes; none waits for another.
 */
import { Backlog } from "./backlog.ts";
import type { Delta } from "./delta.ts";
import type { HeldInterval } from "./held-interval.ts";
import { deltasOf, type Manifest } from "./manifest.ts";
import { TIMES } from "./options.ts";
import type { Peer, Peers } from "./peers.ts";
import type { Settings } from "./settings.ts";
import type { ClusterCounts } from "./view.ts";
import type { Net } from "./world.ts";

/** Bytes of deltas in one message. */
export const BUNDLE_BYTES = 1 << 20;
/** While more than this waits in a transport, no deltas are added. */
export const PENDING_BYTES_MAX = 4 << 20;
/** A closed interval is told of at least so often. */
const CLOSED_MS = 500;

export class Replication {
  readonly #settings: Settings;
  readonly #peers: Peers;
  readonly #net: Net;
  readonly #counts: ClusterCounts;
  /** Told of each delta that a peer has acknowledged. */
  readonly #onAcked: (source: string, sequence: number) => void;
  readonly #backlogs = new Map<string, Backlog>();
  /** When each peer was sent something last, and when sent deltas were looked through last. */
  readonly #toldMs = new Map<string, number>();
  #closedBelow = 0;

  constructor(
    settings: Settings,
    peers: Peers,
    net: Net,
    counts: ClusterCounts,
    onAcked: (source: string, sequence: number) => void,
  ) {
    this.#settings = settings;
    this.#peers = peers;
    this.#net = net;
    this.#counts = counts;
    this.#onAcked = onAcked;
  }

  /** Interval below which this member's own intakes have closed all. */
  get closedBelow(): number {
    return this.#closedBelow;
  }

  backlog(peer: string): Backlog {
    let backlog = this.#backlogs.get(peer);
    if (backlog === undefined) {
      backlog = new Backlog();
      this.#backlogs.set(peer, backlog);
    }
    return backlog;
  }

  add(delta: Delta, nowMs: number): void {
    for (const peer of this.#peers.data()) {
      const backlog = this.backlog(peer.name);
      backlog.add(delta, nowMs);
      while (backlog.bytes > this.#settings.backlogBytesMax && backlog.dropOldest()) {
        this.#counts.backlogDropped += 1;
      }
      this.#send(peer, nowMs, 1);
    }
  }

  /** This member's intakes have closed all intervals below. Peers hear of it at once. */
  closeBelow(interval: number, nowMs: number): void {
    if (interval <= this.#closedBelow) return;
    this.#closedBelow = interval;
    for (const peer of this.#peers.data()) this.#tell(peer, nowMs);
  }

  /** Sends what waits; if nothing does, only what is closed. */
  #tell(peer: Peer, nowMs: number): void {
    if (!this.#send(peer, nowMs, Number.MAX_SAFE_INTEGER)) this.#sendDeltas(peer, [], nowMs);
  }

  /** Returns whether anything was sent. */
  #send(peer: Peer, nowMs: number, bundlesMax: number): boolean {
    const backlog = this.backlog(peer.name);
    let bundles = 0;
    while (backlog.isWaiting && bundles < bundlesMax && !peer.isLost) {
      if (this.#net.pendingBytes(peer.name) >= PENDING_BYTES_MAX) break;
      // Somebody who is not heard may be gone: what was sent is not heaped up.
      if (bundles > 0 && !peer.isLive(nowMs)) break;
      const deltas = backlog.next(BUNDLE_BYTES, nowMs);
      this.#sendDeltas(peer, deltas, nowMs);
      bundles += 1;
    }
    return bundles > 0;
  }

  #sendDeltas(peer: Peer, deltas: readonly Delta[], nowMs: number): void {
    const { incarnation } = this.#settings;
    // Nothing is called closed while something of it has still to be sent.
    const waiting = this.backlog(peer.name).waitingInterval ?? Number.MAX_SAFE_INTEGER;
    const closedBelow = Math.min(this.#closedBelow, waiting);
    this.#net.send(peer.name, {
      kind: "deltas",
      deltas,
      closedBelow,
      incarnation,
      wantsAck: deltas.length > 0,
    });
    this.#toldMs.set(peer.name, nowMs);
    this.#counts.deltaBytesSent += bytesOf(deltas);
    this.#counts.samplesSent += deltas.reduce((sum, { samples }) => sum + samples, 0);
  }

  tick(nowMs: number): void {
    for (const peer of this.#peers.data()) {
      const backlog = this.backlog(peer.name);
      const pending = this.#net.pendingBytes(peer.name);
      if (pending === 0 && (peer.isLive(nowMs) || this.#isSilentFor(peer, nowMs))) {
        backlog.requeue(nowMs - TIMES.resendMs);
      }
      this.#send(peer, nowMs, Number.MAX_SAFE_INTEGER);
      if (this.#isSilentFor(peer, nowMs)) this.#sendDeltas(peer, [], nowMs);
    }
  }

  #isSilentFor(peer: Peer, nowMs: number): boolean {
    return nowMs - (this.#toldMs.get(peer.name) ?? 0) >= CLOSED_MS;
  }

  /** A peer is there again: all that it has not acknowledged is sent at once. */
  resend(peer: Peer, nowMs: number): void {
    this.backlog(peer.name).requeue(Number.MAX_SAFE_INTEGER);
    this.#tell(peer, nowMs);
  }

  acknowledge(peer: Peer, held: Manifest): void {
    const backlog = this.backlog(peer.name);
    for (const id of deltasOf(held)) {
      if (!backlog.remove(id)) continue;
      peer.ackedDeltas += 1;
      this.#onAcked(id.source, id.sequence);
    }
  }

  /** Deltas that are not held any more are not sent either. */
  forget(entry: HeldInterval): void {
    for (const delta of entry.deltas()) {
      for (const backlog of this.#backlogs.values()) backlog.remove(delta);
    }
  }

  /** Drops what waits for those who are no members any more. */
  forgetStrangers(): void {
    for (const name of this.#backlogs.keys()) {
      if (this.#peers.get(name) !== undefined) continue;
      this.#backlogs.delete(name);
      this.#toldMs.delete(name);
    }
  }

  /** Whether every peer that is there has all of it. */
  isAcknowledged(nowMs: number): boolean {
    return this.#peers.liveData(nowMs).every(({ name }) => this.backlog(name).size === 0);
  }
}

/** Bytes of deltas' frames. */
export function bytesOf(deltas: readonly Delta[]): number {
  return deltas.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
