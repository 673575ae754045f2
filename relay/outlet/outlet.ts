/** All channels, and what the control thread and the receivers have to do with them. */
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import type { Random } from "../../shared/random.ts";
import { Channel } from "./channel.ts";
import { type Handoff, readHandoff } from "./handoff.ts";
import { countLines } from "./link.ts";
import type { ChannelOrder, OutletMessage, OutletOptions, OutletReport } from "./order.ts";
import { SpoolFolder } from "./spool-folder.ts";

/** How often ages are looked at, lines replayed and numbers shown, in milliseconds. */
const TICK_MS = 50;
/** How often the spool is searched for what a process that ends beside this one has left. */
const RESTORE_MS = 2_000;
/** Channels that have ended are remembered, so that what still comes for them is counted. */
const ENDED_MAX = 1_024;

/** What an outlet works with. */
export interface OutletContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Listens to a control port from its making until it has drained; then it closes all its ports. */
export class Outlet {
  readonly #control: MessagePort;
  readonly #context: OutletContext;
  /** Of events that a remote or a receiver can cause at will. */
  readonly #limitedLog: Log;
  readonly #ports = new Set<MessagePort>();
  /** In the order in which they were opened; those that have ended too. */
  readonly #channels = new Map<number, Channel>();
  #folder: SpoolFolder | undefined;
  #timer: TimerHandle | undefined;
  #nextRestoreMs = 0;
  #isDraining = false;

  /** control: its messages are OutletMessage, its answers OutletReport. */
  constructor(control: MessagePort, context: OutletContext) {
    this.#control = control;
    this.#context = context;
    this.#limitedLog = rateLimited(context.log, undefined, context.clock);
    control.on("message", (message: OutletMessage) => this.#onControl(message));
    this.#schedule();
  }

  #onControl(message: OutletMessage): void {
    if (message.kind === "channels") this.#setChannels(message.channels, message.options);
    else if (message.kind === "port") this.#addPort(message.port);
    else if (message.kind === "state") this.#channels.get(message.id)?.setUp(message.isUp);
    else void this.#drain(message.deadlineMs);
  }

  #setChannels(orders: readonly ChannelOrder[], options: OutletOptions): void {
    if (this.#isDraining) return;
    // What receivers posted before they let go of a channel is its own; what is for a new one waits for it.
    const early = this.#posted().filter((handoff) => !this.#takeKnown(handoff));
    this.#openFolder(options);
    const wanted = new Map(orders.map((order) => [order.id, order]));
    const keys = new Set(orders.map(({ key }) => key));
    for (const [id, channel] of this.#channels) {
      if (wanted.has(id) || channel.isEnded) continue;
      channel.close();
      // Two channels of one key would have one spool: what the old one holds is the new one's.
      if (keys.has(channel.order.key)) void channel.end();
    }
    for (const order of orders) {
      const channel = this.#channels.get(order.id);
      if (channel !== undefined && !channel.isEnded) channel.update(order, options);
      else this.#channels.set(order.id, this.#open(order, options));
    }
    for (const handoff of early) this.#take(handoff);
    this.#forgetEnded();
    const holding = orders.filter(({ policy }) => policy === "hold").map(({ key }) => key);
    this.#tryFolder(() => this.#folder?.tellUnclaimed(holding));
  }

  #open(order: ChannelOrder, options: OutletOptions): Channel {
    return new Channel(order, options, {
      ...this.#context,
      folder: this.#folder,
      onConnection: (id, isUp) => this.#report({ kind: "connection", id, isUp }),
    });
  }

  /** The folder stays what it was at first; without one that can be made, nothing goes to disk. */
  #openFolder({ spoolDir, spoolBytesMax }: OutletOptions): void {
    if (this.#folder !== undefined) this.#folder.bytesMax = spoolBytesMax;
    else if (spoolDir !== undefined && spoolDir !== "") {
      this.#tryFolder(() => {
        this.#folder = new SpoolFolder(spoolDir, spoolBytesMax, this.#limitedLog);
      });
    }
  }

  #tryFolder(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#context.log.error("relay.spool_failed", { error });
    }
  }

  #addPort(port: MessagePort): void {
    this.#ports.add(port);
    port.on("message", (handoff: Handoff) => this.#take(handoff));
    port.on("close", () => this.#ports.delete(port));
  }

  #take(handoff: Handoff): void {
    // A receiver can be faster than the control thread, whose word on the channel may have come all the same.
    if (this.#takeKnown(handoff)) return;
    this.#pollControl();
    if (this.#takeKnown(handoff)) return;
    this.#limitedLog.error("relay.outlet_stray", { channel: handoff.channel, lines: lineCount(handoff) });
  }

  /** Returns whether there is such a channel. */
  #takeKnown(handoff: Handoff): boolean {
    const channel = this.#channels.get(handoff.channel);
    channel?.take(handoff);
    return channel !== undefined;
  }

  #pollControl(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#control);
      if (received === undefined) return;
      this.#onControl(received.message as OutletMessage);
    }
  }

  #schedule(): void {
    this.#timer = this.#context.clock.setTimer(TICK_MS, () => {
      this.#tick();
      this.#schedule();
    });
  }

  #tick(): void {
    const nowMs = this.#context.clock.monotonicMs();
    const isRestoreDue = nowMs >= this.#nextRestoreMs && !this.#isDraining;
    if (isRestoreDue) this.#nextRestoreMs = nowMs + RESTORE_MS;
    for (const channel of this.#channels.values()) {
      if (channel.isEnded) continue;
      if (isRestoreDue) channel.restore();
      channel.tick();
      channel.publish();
    }
  }

  #forgetEnded(): void {
    const ended = [...this.#channels].filter(([, channel]) => channel.isEnded);
    for (const [id] of ended.slice(0, Math.max(0, ended.length - ENDED_MAX))) this.#channels.delete(id);
  }

  async #drain(deadlineMs: number): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const { clock } = this.#context;
    const endMs = clock.monotonicMs() + deadlineMs;
    this.#pollReceivers();
    const isSettled = () =>
      [...this.#channels.values()].every((channel) => channel.isEnded || channel.isSettled);
    while (!isSettled() && clock.monotonicMs() < endMs) {
      await new Promise<void>((resolve) => clock.setTimer(TICK_MS, resolve));
      this.#pollReceivers();
    }
    this.#timer?.cancel();
    await Promise.all([...this.#channels.values()].map((channel) => channel.end()));
    // What came while connections were closed is counted, too.
    this.#pollReceivers();
    this.#report({ kind: "drained" });
    for (const port of this.#ports) port.close();
    this.#control.close();
  }

  #pollReceivers(): void {
    for (const handoff of this.#posted()) this.#take(handoff);
  }

  /** What receivers have posted until now, without waiting for the event loop. */
  #posted(): Handoff[] {
    const handoffs: Handoff[] = [];
    for (const port of this.#ports) {
      for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port)) {
        handoffs.push(got.message as Handoff);
      }
    }
    return handoffs;
  }

  #report(report: OutletReport): void {
    this.#control.postMessage(report);
  }
}

function lineCount(handoff: Handoff): number {
  return countLines(readHandoff(handoff, 0));
}
