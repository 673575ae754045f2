/**
 * The receiver thread: one listening socket, one kernel, one sender for each destination.
 *
 *   recvmmsg, or the event loop -> kernel packs -> full packets leave at once
 *                               -> each flush interval: own lines, then everything that is left leaves
 *
 * It shares nothing with other threads but its counters and the word that tells it to stop. What the control
 * thread has to say it looks up between two batches; for a new plan it leaves the socket alone for as long
 * as it takes to load another kernel, and the system keeps what comes meanwhile.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { assert } from "../shared/errors.ts";
import { SLOT_BYTES, SLOT_COUNT } from "../shared/kernel/layout.ts";
import {
  type BatchReceiver,
  CONTROL_RUN,
  memoryAddress,
  openReceiver,
  type ReceiverOptions,
} from "../shared/udp.ts";
import { reportFailure, reportReady } from "../shared/worker.ts";
import { newOutputCounters, type OutputCounters } from "./counters.ts";
import { IntakeTally } from "./intake-tally.ts";
import type { PlanOrder, ReceiverInfo, ReceiverMessage, ReceiverOrder, ReceiverReport } from "./orders.ts";
import { kernelStates, Outputs } from "./outputs.ts";
import { Packer } from "./packer.ts";
import { TopSampler } from "./top/sampler.ts";

/** How often counters are published and messages read, in milliseconds. */
const PUBLISH_MS = 50;
/** How often what is watched is reported, in milliseconds. */
const TOP_MS = 1_000;
/**
 * With more input at hand, packets are left to gather up to so many: a system call costs less for each
 * then.
 */
const GATHERED_PACKETS_MAX = 32;

/** A plan at work: its kernel and its outputs. */
interface Work {
  readonly order: PlanOrder;
  readonly packer: Packer;
  readonly outputs: Outputs;
  readonly counters: readonly OutputCounters[];
  /** As the kernel has them. */
  kernelStates: string;
}

class Receiver {
  readonly #order: ReceiverOrder;
  readonly #socket: BatchReceiver;
  readonly #port: MessagePort;
  readonly #tally: IntakeTally;
  readonly #control: Int32Array;
  #outletPort: MessagePort | undefined;
  #work: Work;
  #nextPlan: PlanOrder | undefined;
  #nextFlushMs: number;
  #nextPublishMs = 0;
  /** When names that were taken over from the plan before go where this plan wants them. */
  #handoverEndMs = Number.POSITIVE_INFINITY;
  #sampler: TopSampler | undefined;
  #nextTopMs = 0;

  constructor(order: ReceiverOrder, socket: BatchReceiver, port: MessagePort, work: Work) {
    this.#order = order;
    this.#socket = socket;
    this.#port = port;
    this.#control = new Int32Array(order.control);
    this.#outletPort = order.outletPort;
    this.#work = work;
    this.#tally = new IntakeTally(order.intake, socket);
    this.#nextFlushMs = performance.now() + work.order.flushIntervalMs;
  }

  /** Opens everything. Throws OperatorError naming the address or destination that fails. */
  static async open(order: ReceiverOrder, port: MessagePort): Promise<Receiver> {
    const { io, listen, sharePort, isFirst, receiveBufferBytes, stream, inheritedFd } = order;
    const options: ReceiverOptions = {
      sharePort,
      isFirst,
      receiveBufferBytes,
      stream,
      ...(inheritedFd === undefined ? {} : { inheritedFd }),
    };
    const socket = await openReceiver(io, listen, options);
    try {
      return new Receiver(order, socket, port, await startWork(io, order.first, order.outletPort));
    } catch (error) {
      // Left open, it would keep the address, and one of streams this thread.
      socket.close();
      throw error;
    }
  }

  get info(): ReceiverInfo {
    return { address: this.#socket.address, receiveBufferBytes: this.#socket.receiveBufferBytes };
  }

  /** Relays until told to stop; then sends what is left, publishes the last numbers and closes. */
  async run(): Promise<void> {
    this.#publish(performance.now());
    const handler = { onBatch: (received: number): boolean => this.#onBatch(received) };
    for (;;) {
      await this.#socket.run(this.#work.packer.batch, handler, this.#control);
      if (Atomics.load(this.#control, 0) !== CONTROL_RUN) break;
      if (this.#nextPlan !== undefined) await this.#swap(this.#nextPlan);
    }
    const { packer, outputs } = this.#work;
    packer.flush(outputs.senders);
    await outputs.close();
    this.#tally.endFlush();
    this.#publish(performance.now(), true);
    this.#socket.close();
  }

  /** Returns whether to go on; not where another plan waits. */
  #onBatch(received: number): boolean {
    const { packer, outputs } = this.#work;
    if (received > 0) {
      if (this.#sampler !== undefined) this.#sample(this.#sampler, received);
      packer.consume(received, outputs.senders);
    }
    if (received < SLOT_COUNT || packer.exports.sealedCount() >= GATHERED_PACKETS_MAX) {
      packer.sendSealed(outputs.senders);
    }
    const nowMs = performance.now();
    if (nowMs >= this.#nextFlushMs) {
      this.#flush();
      const { flushIntervalMs } = this.#work.order;
      // A metronome, as in the original; beats that a stalled thread missed are not made up for.
      this.#nextFlushMs += flushIntervalMs;
      if (this.#nextFlushMs <= nowMs) this.#nextFlushMs = nowMs + flushIntervalMs;
    }
    if (nowMs >= this.#nextPublishMs) this.#tick(nowMs);
    return this.#nextPlan === undefined;
  }

  #flush(): void {
    this.#work.packer.flush(this.#work.outputs.senders);
    this.#tally.endFlush();
  }

  /** What is done now and then. */
  #tick(nowMs: number): void {
    this.#publish(nowMs);
    const { packer } = this.#work;
    if (packer.rules?.rotate(nowMs) === true) packer.exports.forgetNames();
    if (nowMs >= this.#handoverEndMs) {
      this.#handoverEndMs = Number.POSITIVE_INFINITY;
      packer.exports.forgetNames();
    }
    if (this.#sampler !== undefined && nowMs >= this.#nextTopMs) {
      this.#nextTopMs = nowMs + TOP_MS;
      this.#report({ kind: "top", snapshot: this.#sampler.snapshot() });
    }
    // What is said behind a plan is about that plan, so it waits until that one is in force.
    while (this.#nextPlan === undefined) {
      const message = receiveMessageOnPort(this.#port);
      if (message === undefined) break;
      this.#onMessage(message.message as ReceiverMessage);
    }
  }

  #onMessage(message: ReceiverMessage): void {
    const { order, packer, outputs } = this.#work;
    if (message.kind === "plan") {
      this.#nextPlan = message.order;
      this.#outletPort = message.outletPort ?? this.#outletPort;
    } else if (message.kind === "own") {
      for (const line of message.lines) packer.addOwnLine(line, outputs.senders);
    } else if (message.kind === "watch") {
      this.#watch(message.isOn);
    } else {
      if (message.generation === order.generation) {
        // Packets that are full go the old way; none may be sealed while states change.
        packer.sendSealed(outputs.senders);
        outputs.setStates(message.states);
        this.#setKernelStates(kernelStates(message.states));
      }
      this.#report({ kind: "stated", sequence: message.sequence });
    }
  }

  /** States that are told again would make the kernel forget all names for nothing. */
  #setKernelStates(states: readonly number[]): void {
    if (states.join() === this.#work.kernelStates) return;
    this.#work.kernelStates = states.join();
    this.#work.packer.setStates(states);
  }

  #watch(isOn: boolean): void {
    if (isOn === (this.#sampler !== undefined)) return;
    this.#socket.watchSenders(isOn);
    this.#sampler = isOn ? new TopSampler() : undefined;
    this.#nextTopMs = performance.now() + TOP_MS;
  }

  #sample(sampler: TopSampler, received: number): void {
    const { memory, slots, headers } = this.#work.packer.batch;
    const bytes = new Uint8Array(memory.buffer);
    sampler.onBatch(bytes, slots, SLOT_BYTES, headers, received, (slot) => this.#socket.senderOf(slot));
  }

  /** Goes on by another plan. One that fails is told of and forgotten. */
  async #swap(order: PlanOrder): Promise<void> {
    this.#nextPlan = undefined;
    const before = this.#work;
    let work: Work;
    try {
      work = await startWork(this.#order.io, order, this.#outletPort, before);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.#report({ kind: "kept", generation: order.generation, error: text });
      return;
    }
    before.packer.flush(before.outputs.senders);
    await before.outputs.close();
    this.#publish(performance.now());
    this.#tally.nextKernel(before.packer);
    this.#work = work;
    this.#handoverEndMs =
      order.handover === undefined ? Number.POSITIVE_INFINITY : performance.now() + order.handover.ms;
    this.#nextFlushMs = performance.now() + order.flushIntervalMs;
    this.#report({ kind: "swapped", generation: order.generation });
  }

  #report(report: ReceiverReport): void {
    this.#port.postMessage(report);
  }

  #publish(nowMs: number, isLast = false): void {
    this.#nextPublishMs = nowMs + PUBLISH_MS;
    const { packer, outputs, counters } = this.#work;
    this.#tally.publish(nowMs, packer, isLast);
    outputs.publish(packer, counters);
  }
}

/** Loads the kernel of a plan and opens its outputs. before: whose names are taken over where asked for. */
async function startWork(
  io: "mmsg" | "dgram",
  order: PlanOrder,
  outletPort: MessagePort | undefined,
  before?: Work,
): Promise<Work> {
  let memoryBase = 0n;
  const { handover } = order;
  const isHeir = handover !== undefined && before !== undefined;
  const packer = await Packer.load(order.plan, {
    addressOf: async (memory) => {
      memoryBase = await memoryAddress(io, memory);
      return memoryBase;
    },
    states: kernelStates(order.states),
    ...(isHeir ? { hashSeed: before.packer.exports.namesSeed() } : {}),
  });
  if (isHeir) packer.inheritNames(before.packer, handover.indexes);
  const outputs = await Outputs.open(io, order, packer, memoryBase, outletPort);
  return {
    order,
    packer,
    outputs,
    counters: order.counters.map((buffer) => newOutputCounters(buffer)),
    kernelStates: kernelStates(order.states).join(),
  };
}

async function main(port: MessagePort, order: ReceiverOrder): Promise<void> {
  let receiver: Receiver;
  try {
    receiver = await Receiver.open(order, port);
  } catch (error) {
    reportFailure(port, error);
    return;
  }
  reportReady<ReceiverInfo>(port, receiver.info);
  await receiver.run();
}

assert(parentPort !== null, "receiver.ts runs as a worker");
await main(parentPort, workerData as ReceiverOrder);
