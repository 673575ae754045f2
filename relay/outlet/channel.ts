/**
 * One destination of the outlet.
 *
 *   handoff -> queue -> link -> network
 *        \      ^ replay, at a bounded rate
 *         -> hold        while the destination is down, or the queue is full
 */
import { Backoff } from "../../shared/backoff.ts";
import type { Clock } from "../../shared/clock.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import type { Random } from "../../shared/random.ts";
import { DatagramLink } from "./datagram-link.ts";
import { DeadLink } from "./dead-link.ts";
import { type Handoff, handoffBytes, type Packet, readHandoff } from "./handoff.ts";
import { Hold } from "./hold.ts";
import { Ledger } from "./ledger.ts";
import { countLines, type Link, type LinkContext } from "./link.ts";
import type { ChannelOrder, OutletOptions } from "./order.ts";
import { type PacketBounds, PacketQueue } from "./queue.ts";
import { Spool } from "./spool.ts";
import type { SpoolFolder } from "./spool-folder.ts";
import { StreamLink } from "./stream-link.ts";

/** A remote that is down is told of once in so many milliseconds. */
const LOG_MS = 10_000;
/** Replay that was missed is made up for, but no more than that of so many milliseconds. */
const REPLAY_BURST_MS = 200;
/** Replay leaves so much of the queue to what comes in: half of it. */
const REPLAY_QUEUE_SHARE = 0.5;
const PACKET_BYTES_MAX = 1_400;

/** A channel that is not wanted any more stays so long at least: receivers learn of it a little later. */
const CLOSE_MS_MIN = 1_000;

/** What all channels work with. */
export interface ChannelContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Undefined where there is no spool. */
  readonly folder: SpoolFolder | undefined;
  /** A TCP or TLS connection was made or lost. */
  onConnection(id: number, isUp: boolean): void;
}

export class Channel {
  #order: ChannelOrder;
  #options: OutletOptions;
  readonly #context: ChannelContext;
  readonly #log: Log;
  readonly #ledger: Ledger;
  readonly #backlog: Int32Array;
  readonly #queue: PacketQueue;
  #hold: Hold | undefined;
  #link: Link;
  #isUp = true;
  /** Moment at which a channel that is not wanted any more ends, whatever still waits. */
  #closeAtMs = Number.POSITIVE_INFINITY;
  /** Moment before which it does not end, though nothing waits. */
  #closeAfterMs = Number.POSITIVE_INFINITY;
  #ending: Promise<void> | undefined;
  /** Lines that may be replayed now. */
  #replayLines = 0;
  #replayedMs: number;
  /**
   * What a spool had at the start waits until health had time to tell whether a destination without
   * connections lives.
   */
  #replayFromMs = 0;

  /** Begins to connect at once, and takes over what the spool has for its key. */
  constructor(order: ChannelOrder, options: OutletOptions, context: ChannelContext) {
    this.#order = order;
    this.#options = options;
    this.#context = context;
    this.#log = rateLimited(context.log, LOG_MS, context.clock);
    this.#ledger = new Ledger(order.counters);
    this.#backlog = new Int32Array(order.backlog);
    this.#queue = new PacketQueue(this.#queueBounds(), context.clock, (reason, lines) =>
      this.#ledger.lose(reason, lines),
    );
    this.#replayedMs = context.clock.monotonicMs();
    const isConnectionless = order.protocol === "udp" || order.protocol === "unixgram";
    if (isConnectionless) this.#replayFromMs = this.#replayedMs + (options.replayDelayMs ?? 0);
    this.#openHold();
    this.#link = this.#connect();
    this.publish();
  }

  get order(): ChannelOrder {
    return this.#order;
  }

  /** Whether the channel takes nothing any more. */
  get isEnded(): boolean {
    return this.#ending !== undefined;
  }

  /** Whether waiting longer would not get more lines out, as far as can be known. */
  get isSettled(): boolean {
    const hold = this.#hold;
    const canSend = this.#isUp || this.#link.isConnected;
    if (!canSend || (this.#order.policy === "hold" && !this.#isUp)) return true;
    if (!this.#queue.isEmpty || this.#link.pending.length > 0) return false;
    return hold === undefined || hold.isEmpty || hold.hasSpool || !this.#link.isConnected;
  }

  /** Takes packets from a receiver. */
  take(handoff: Handoff): void {
    Atomics.sub(this.#backlog, 0, handoffBytes(handoff));
    const packets = readHandoff(handoff, this.#context.clock.monotonicMs());
    const lines = countLines(packets);
    const { policy } = this.#order;
    this.#ledger.add("linesTaken", lines);
    if (this.isEnded) {
      this.#ledger.lose("shutdown", lines);
      this.publish();
    } else if (!this.#isUp && (policy === "drop" || policy === "next")) this.#ledger.lose("down", lines);
    else if (!this.#isUp && policy === "hold") this.#hold!.put(packets);
    else {
      this.#enqueue(packets);
      this.#link.pump();
    }
  }

  /** What health says of the destination. */
  setUp(isUp: boolean): void {
    if (this.isEnded) return;
    if (isUp && !this.#isUp) this.#replayFromMs = 0;
    this.#isUp = isUp;
    if (isUp) {
      // A destination that was down long is not sent at once what could have been replayed meanwhile.
      this.#replayLines = 0;
      this.#replayedMs = this.#context.clock.monotonicMs();
    } else this.#holdWaiting();
  }

  /** Takes up what a reload has changed. */
  update(order: ChannelOrder, options: OutletOptions): void {
    const before = this.#order;
    this.#order = order;
    this.#options = options;
    this.#closeAtMs = Number.POSITIVE_INFINITY;
    this.#closeAfterMs = Number.POSITIVE_INFINITY;
    this.#queue.bounds = this.#queueBounds();
    if (this.#hold !== undefined) this.#hold.bounds = this.#holdBounds();
    this.#openHold();
    const isMoved =
      before.protocol !== order.protocol ||
      before.host !== order.host ||
      before.port !== order.port ||
      before.path !== order.path ||
      before.serverName !== order.serverName;
    if (!isMoved) return;
    const link = this.#link;
    if (link.pending.length === 0) void link.finish();
    else this.#queue.putFront(link.abandon());
    this.#link = this.#connect();
  }

  /** Sends what it has, for at most queueAgeMs or a second, whichever is longer, and ends. */
  close(): void {
    const nowMs = this.#context.clock.monotonicMs();
    this.#closeAfterMs = Math.min(this.#closeAfterMs, nowMs + CLOSE_MS_MIN);
    this.#closeAtMs = Math.min(this.#closeAtMs, nowMs + Math.max(CLOSE_MS_MIN, this.#options.queueAgeMs));
  }

  /** Does what time demands. */
  tick(): void {
    if (this.isEnded) return;
    const nowMs = this.#context.clock.monotonicMs();
    if (!this.#isUp) this.#holdWaiting();
    this.#queue.expire();
    this.#expirePending(nowMs);
    this.#hold?.tick();
    this.#replay(nowMs);
    this.#link.pump();
    if (nowMs >= this.#closeAtMs || (nowMs >= this.#closeAfterMs && this.isSettled)) void this.end();
  }

  /** Takes over what another process left in the spool meanwhile. */
  restore(): void {
    if (!this.isEnded) this.#hold?.restore();
  }

  /** Shows the numbers as they are now. */
  publish(): void {
    const nowMs = this.#context.clock.monotonicMs();
    const { pending } = this.#link;
    const oldestTakenMs = pending[0]?.takenMs ?? this.#queue.oldestTakenMs ?? nowMs;
    this.#ledger.publish({
      linesQueued: this.#queue.lines + countLines(pending),
      bytesQueued: this.#queue.bytes + pending.reduce((sum, { bytes }) => sum + bytes.length, 0),
      linesHeld: this.#hold?.lines ?? 0,
      linesSpooled: this.#hold?.spooledLines ?? 0,
      connected: this.#link.isConnected ? 1 : 0,
      oldestMs: Math.max(0, nowMs - oldestTakenMs, this.#hold?.oldestMs ?? 0),
    });
  }

  /** Ends now: what waits goes to the spool, or is counted. Resolves when the socket is closed. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    const link = this.#link;
    const pending = link.pending.length > 0 ? link.abandon() : [];
    const waiting = [...pending, ...this.#queue.takeAll()];
    if (this.#order.policy === "hold" && this.#hold !== undefined) this.#hold.putBack(waiting);
    else this.#ledger.lose("shutdown", countLines(waiting));
    this.#hold?.end();
    this.publish();
    await link.finish();
    this.publish();
  }

  /** To the queue, unless gauges of theirs are still to be replayed before them, or there is no room. */
  #enqueue(packets: readonly Packet[]): void {
    const hold = this.#hold;
    if (hold === undefined) {
      for (const packet of packets) this.#queue.push(packet);
      return;
    }
    const overflow: Packet[] = [];
    for (const packet of packets) {
      const rest = hold.hasGauges ? hold.takeGauges(packet) : packet;
      if (rest === undefined) continue;
      // Once one is held, those behind it are too: a gauge must not be overtaken by its older value.
      if (overflow.length > 0 || !this.#queue.hasRoom(rest)) overflow.push(rest);
      else this.#queue.push(rest);
    }
    if (overflow.length > 0) hold.put(overflow);
  }

  /** The destination is down: what waits for it is held, where that is the policy. */
  #holdWaiting(): void {
    if (this.#order.policy !== "hold") return;
    const waiting = [...this.#link.recall(), ...this.#queue.takeAll()];
    if (waiting.length > 0) this.#hold!.putBack(waiting);
  }

  /** A batch that waits to be written once more grows old as well. */
  #expirePending(nowMs: number): void {
    const newest = this.#link.pending.at(-1);
    if (newest === undefined || newest.takenMs >= nowMs - this.#queue.bounds.ageMs) return;
    this.#ledger.lose("too_old", countLines(this.#link.recall()));
  }

  #replay(nowMs: number): void {
    const hold = this.#hold;
    const linesPerMs = this.#options.replayLinesPerSecond / 1_000;
    this.#replayLines = Math.min(
      this.#replayLines + (nowMs - this.#replayedMs) * linesPerMs,
      REPLAY_BURST_MS * linesPerMs,
    );
    this.#replayedMs = nowMs;
    if (hold === undefined || !this.#isUp || !this.#link.isConnected || nowMs < this.#replayFromMs) return;
    const bytesMax = this.#queue.bounds.bytesMax * REPLAY_QUEUE_SHARE;
    while (this.#replayLines >= 1 && this.#queue.bytes <= bytesMax) {
      const packet = hold.next(this.#options.packetBytesMax ?? PACKET_BYTES_MAX, this.#replayLines);
      if (packet === undefined) return;
      this.#replayLines -= packet.lines;
      this.#ledger.add("linesReplayed", packet.lines);
      this.#queue.push(packet);
    }
  }

  #queueBounds(): PacketBounds {
    const { queueBytesMax, queueAgeMs, holdAgeMs } = this.#options;
    const ageMs = this.#order.policy === "hold" ? Math.max(queueAgeMs, holdAgeMs) : queueAgeMs;
    return { bytesMax: queueBytesMax, ageMs };
  }

  #holdBounds(): PacketBounds {
    return { bytesMax: this.#options.holdBytesMax, ageMs: this.#options.holdAgeMs };
  }

  /** A hold, once there, stays to be emptied even where the policy is another one now. */
  #openHold(): void {
    if (this.#order.policy !== "hold" || this.#hold !== undefined) return;
    const { clock, folder } = this.#context;
    const spool =
      folder === undefined
        ? undefined
        : new Spool(folder, this.#order.key, () => this.#options.holdAgeMs, clock, this.#ledger, this.#log);
    this.#hold = new Hold(this.#holdBounds(), clock, this.#ledger, spool);
  }

  #connect(): Link {
    const order = this.#order;
    const { retryDelayMs, retryDelayMultiplier, retryDelayMaxMs } = this.#options;
    const backoff = new Backoff(
      { delayMs: retryDelayMs, multiplier: retryDelayMultiplier, delayMaxMs: retryDelayMaxMs },
      this.#context.random,
    );
    const context: LinkContext = {
      order,
      options: () => this.#options,
      queue: this.#queue,
      ledger: this.#ledger,
      clock: this.#context.clock,
      backoff,
      log: this.#log,
      onConnection: (isUp) => this.#context.onConnection(order.id, isUp),
    };
    if (order.protocol === "unixgram") return new DeadLink(context);
    return order.protocol === "udp" ? new DatagramLink(context) : new StreamLink(context);
  }
}
