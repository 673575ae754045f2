/**
 * A node outside the membership: it hands its deltas to any one member, and to the next where it does not
 * hear that they are safe. Members know repetitions by their identity, so nothing counts twice. What no
 * member takes is held, in memory and then on disk; of too much the oldest is given up, and counted.
 */
import { AgentClock } from "./agent-clock.ts";
import { AgentHold, type HeldDelta } from "./agent-hold.ts";
import type { AgentOptions, AgentWorld } from "./agent-world.ts";
import type { Delta } from "./delta.ts";
import { deltasOf, type Manifest } from "./manifest.ts";
import type { Message } from "./message.ts";
import { BUNDLE_BYTES, PENDING_BYTES_MAX } from "./replication.ts";
import { isSoundMessage } from "./sense.ts";
import type { AgentStanding } from "./view.ts";

/** Bytes that may be sent and not acknowledged. */
const WINDOW_BYTES = 8 << 20;
/** A closed interval is told of at least so often; a member does not wait for who is silent for longer. */
const CLOSED_MS = 500;
/** What was not acknowledged is sent again after this; a member needs one second where it is alone. */
const RESEND_MS = 2000;
/** A member that acknowledges nothing for so long is left. */
const PATIENCE_MS = 5000;
/** Of the time between two ticks: this process itself may have been stopped. */
const PASSED_MS_MAX = 200;
/** Members are not left more often. */
const GO_ON_MS = 1000;
/** What has waited for so long goes to disk. */
const SPILL_MS = 3000;
const SPILL_BYTES = 1 << 20;
/** Losses are told of at most so often. */
const TELL_MS = 10_000;

export class AgentNode {
  readonly #world: AgentWorld;
  readonly #clock: AgentClock;
  readonly #hold = new AgentHold();
  #options: AgentOptions;
  #member: string | undefined;
  #lastMember: string | undefined;
  #closedBelow = 0;
  /** What this member was told of it. */
  #toldBelow = 0;
  #toldMs = 0;
  /** For how long nothing was acknowledged though all has arrived. */
  #idleMs = 0;
  #lastTickMs: number;
  #wentOnMs = Number.NEGATIVE_INFINITY;
  #spilling: readonly HeldDelta[] = [];
  #isLoading = false;
  #isEnded = false;
  #leavingMs: number | undefined;
  #toldLossMs = Number.NEGATIVE_INFINITY;
  #untoldSamples = 0;
  #ackedDeltas = 0;
  #droppedSamples = 0;
  #failovers = 0;

  constructor(options: AgentOptions, world: AgentWorld) {
    this.#options = options;
    this.#world = world;
    this.#clock = new AgentClock(world.clock);
    this.#lastTickMs = world.clock.monotonicMs();
  }

  /** A delta of this node's own intakes. */
  add(delta: Delta): void {
    this.#hold.add(delta, this.#nowMs());
    this.#spill();
    this.#keepBound();
    this.#pump();
  }

  /** This node's intakes have closed all intervals below. */
  closeBelow(interval: number): void {
    if (interval <= this.#closedBelow) return;
    this.#closedBelow = interval;
    if (this.#member === undefined) return;
    this.#pump();
    if (this.#toldBelow < interval) this.#tellClosed();
  }

  /** A member takes messages from now on. */
  connected(member: string): void {
    if (this.#lastMember !== undefined && this.#lastMember !== member) this.#failovers += 1;
    this.#member = member;
    this.#lastMember = member;
    this.#toldBelow = 0;
    this.#idleMs = 0;
    this.#clock.connected();
    this.#tickClock();
    this.#pump();
    this.#tellClosed();
  }

  /** It does so no more: what it has not acknowledged has to be sent to the next one. */
  lost(): void {
    if (this.#member === undefined) return;
    this.#member = undefined;
    this.#hold.requeue(Number.POSITIVE_INFINITY);
  }

  receive(message: Message): void {
    if (this.#member === undefined || !isSoundMessage(message)) return;
    if (message.kind === "deltas-ack") this.#acknowledge(message.held);
    else if (message.kind === "clock-answer") this.#clock.receive(message.askedMs, message.clockMs);
    else if (message.kind === "leaving") this.#goOn("it is leaving the cluster");
  }

  /** Looks what is due; to be called about every TIMES.tickMs. */
  tick(): void {
    const nowMs = this.#nowMs();
    const passedMs = Math.min(nowMs - this.#lastTickMs, PASSED_MS_MAX);
    this.#lastTickMs = nowMs;
    this.#tickClock();
    this.#spill();
    this.#keepBound();
    if (this.#member === undefined) return;
    this.#watch(passedMs, nowMs);
    this.#pump();
    if (this.#member !== undefined && nowMs - this.#toldMs >= CLOSED_MS) this.#tellClosed();
  }

  /** After the last add(): whoever stops this node waits for isDrained. */
  leave(): void {
    this.#leavingMs ??= this.#nowMs();
  }

  /** Whether a leaving node may stop: nothing is in memory that is neither safe at members nor on disk. */
  get isDrained(): boolean {
    return this.#leavingMs !== undefined && this.#hold.unspooled === 0 && this.#spilling.length === 0;
  }

  /** Begins nothing any more: the process is at its end. */
  end(): void {
    this.#member = undefined;
    this.#isEnded = true;
  }

  /** Takes out, at the end of a process, what is neither safe at members nor on disk. */
  takeRest(): Delta[] {
    const rest = [...this.#spilling];
    for (let held = this.#hold.takeOldest(); held !== undefined; held = this.#hold.takeOldest()) {
      rest.push(held);
    }
    this.#spilling = [];
    return rest.map(({ delta }) => delta);
  }

  /** The clock that intakes label by, in milliseconds of the epoch. */
  clusterNowMs(): number {
    return this.#clock.nowMs();
  }

  /** Whether that is the cluster's, so that intakes had better wait for it; true after a while alone. */
  get hasClock(): boolean {
    return this.#clock.isKnown;
  }

  setHoldBytesMax(holdBytesMax: number): void {
    this.#options = { ...this.#options, holdBytesMax };
  }

  standing(): AgentStanding {
    const { spool } = this.#world;
    const spillingBytes = this.#spilling.reduce((sum, { delta }) => sum + delta.bytes.length, 0);
    return {
      member: this.#member,
      heldDeltas: this.#hold.size + this.#spilling.length,
      heldBytes: this.#hold.bytes + spillingBytes,
      spooledBytes: spool?.bytes ?? 0,
      ackedDeltas: this.#ackedDeltas,
      droppedSamples: this.#droppedSamples + (spool?.lostSamples ?? 0),
      failovers: this.#failovers,
    };
  }

  #acknowledge(held: Manifest): void {
    for (const id of deltasOf(held)) {
      const removed = this.#hold.remove(id);
      if (removed === undefined) continue;
      removed.spooled?.release();
      this.#ackedDeltas += 1;
      this.#idleMs = 0;
    }
    this.#pump();
  }

  /** Sends what waits, the oldest first: what is to be repeated, what is on disk, and then the rest. */
  #pump(): void {
    const { way } = this.#world;
    const windowBytes = this.#windowBytes;
    while (this.#member !== undefined) {
      if (way.pendingBytes() >= PENDING_BYTES_MAX || this.#hold.sentBytes >= windowBytes) break;
      const bundle = this.#hold.next(this.#bundleBytes, !this.#isBehind);
      if (bundle.length === 0 || !this.#send(bundle)) break;
    }
    this.#load();
  }

  /** Returns whether it was sent. */
  #send(bundle: readonly HeldDelta[]): boolean {
    const { incarnation } = this.#options;
    // Nothing is called closed while something of it has still to be sent. Who has more on disk does not say:
    // nobody shall wait for what is late anyway.
    if (bundle.length === this.#hold.waiting && !this.#isBehind) this.#toldBelow = this.#closedBelow;
    const isSent = this.#world.way.send({
      kind: "deltas",
      deltas: bundle.map(({ delta }) => delta),
      ...(!this.#isBehind && { closedBelow: this.#toldBelow }),
      incarnation,
      wantsAck: bundle.length > 0,
    });
    if (!isSent) return false;
    const nowMs = this.#nowMs();
    this.#toldMs = nowMs;
    this.#hold.sent(bundle, nowMs);
    return true;
  }

  #tellClosed(): void {
    this.#send([]);
  }

  /** Whether there is more than what is in memory. */
  get #isBehind(): boolean {
    return this.#spilling.length > 0 || this.#isLoading || this.#world.spool?.hasUnread === true;
  }

  get #windowBytes(): number {
    return Math.min(WINDOW_BYTES, this.#options.holdBytesMax / 2);
  }

  get #bundleBytes(): number {
    return Math.min(BUNDLE_BYTES, this.#windowBytes);
  }

  /** Reads what lies on disk, as far as it can be sent soon. */
  #load(): void {
    const { spool } = this.#world;
    if (spool?.hasUnread !== true || this.#isLoading || this.#member === undefined) return;
    if (this.#leavingMs !== undefined || this.#hold.busyBytes >= this.#windowBytes) return;
    this.#isLoading = true;
    spool.read(this.#bundleBytes, (deltas) => {
      this.#isLoading = false;
      this.#hold.load(deltas, this.#nowMs());
      // Where the disk fails, the next tick tries again.
      if (deltas.length > 0) this.#pump();
    });
  }

  /** Looks whether the member does what it is there for. */
  #watch(passedMs: number, nowMs: number): void {
    if (this.#hold.sentCount === 0) this.#idleMs = 0;
    else if (this.#world.way.pendingBytes() === 0) {
      // Only time in which nothing is on its way: a slow line is no reason to begin anew elsewhere.
      this.#idleMs += passedMs;
      this.#hold.requeue(nowMs - RESEND_MS);
    }
    if (this.#idleMs >= PATIENCE_MS) this.#goOn("it acknowledges nothing");
  }

  #goOn(reason: string): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#wentOnMs < GO_ON_MS) return;
    this.#wentOnMs = nowMs;
    this.#idleMs = 0;
    this.#world.log.info("agent.goes_on", { member: this.#member, reason });
    this.#world.way.goOn(reason);
  }

  #tickClock(): void {
    this.#clock.tick((askedMs) => {
      if (this.#member !== undefined) this.#world.way.send({ kind: "clock-request", askedMs });
    });
  }

  /** Writes to disk what has waited for too long, or is too much for the memory. */
  #spill(): void {
    const { spool } = this.#world;
    if (spool?.isUsable !== true || this.#spilling.length > 0 || this.#isEnded) return;
    const nowMs = this.#nowMs();
    const isCrowded = this.#hold.bytes > this.#options.holdBytesMax / 2;
    const items = this.#hold.takeForDisk(
      this.#mustSpill(nowMs) || isCrowded ? nowMs : nowMs - SPILL_MS,
      SPILL_BYTES,
    );
    if (items.length === 0) return;
    this.#spilling = items;
    spool.append(
      items.map(({ delta }) => delta),
      (isSaved) => {
        // Meanwhile the process may have been at its end.
        if (this.#spilling !== items) return;
        this.#spilling = [];
        // Where the disk refuses, the next tick tries again.
        if (isSaved) this.#spill();
        else this.#hold.restore(items);
        this.#keepBound();
        this.#pump();
      },
    );
  }

  /** Whether a leaving node cannot wait for members any more. */
  #mustSpill(nowMs: number): boolean {
    if (this.#leavingMs === undefined) return false;
    const isLate = nowMs - this.#leavingMs >= RESEND_MS;
    if (isLate) this.#hold.requeue(Number.POSITIVE_INFINITY);
    return isLate || this.#member === undefined || this.#isBehind;
  }

  /** Gives the oldest up where there are too many. */
  #keepBound(): void {
    const spillingBytes = this.#spilling.reduce((sum, { delta }) => sum + delta.bytes.length, 0);
    while (this.#hold.bytes + spillingBytes > this.#options.holdBytesMax) {
      const dropped = this.#hold.takeOldest();
      if (dropped === undefined) break;
      this.#droppedSamples += dropped.delta.samples;
      this.#untoldSamples += dropped.delta.samples;
    }
    const nowMs = this.#nowMs();
    if (this.#untoldSamples === 0 || nowMs - this.#toldLossMs < TELL_MS) return;
    this.#world.log.warn("agent.samples_dropped", { samples: this.#untoldSamples, member: this.#member });
    this.#toldLossMs = nowMs;
    this.#untoldSamples = 0;
  }

  #nowMs(): number {
    return this.#world.clock.monotonicMs();
  }
}
