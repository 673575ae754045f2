/**
 * The receiver thread: one listening socket, one kernel, one sender for each destination.
 *
 *   recvmmsg -> kernel packs -> full packets leave at once
 *            -> each flush interval: self stat, then everything that is left leaves
 *
 * It shares nothing with other threads but its counters and the word that tells it to stop.
 */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { assert } from "../shared/errors.ts";
import { SLOT_COUNT } from "../shared/kernel/layout.ts";
import {
  type BatchReceiver,
  type BatchSender,
  type ListenAddress,
  LOSS_REASONS,
  memoryAddress,
  openReceiver,
  openSender,
  type RemoteAddress,
} from "../shared/udp.ts";
import { reportFailure, reportReady } from "../shared/worker.ts";
import { attachCounters, type CounterBuffers, lostCounter, type ThreadCounters } from "./counters.ts";
import { DiscardSender } from "./discard.ts";
import { Packer } from "./packer.ts";

/** What the control thread tells a receiver thread. */
export interface ReceiverOrder {
  readonly io: "mmsg" | "dgram";
  readonly listen: ListenAddress;
  readonly sharePort: boolean;
  readonly isFirst: boolean;
  readonly receiveBufferBytes: number;
  /** By index of the destination; see ring.ts. */
  readonly remotes: readonly RemoteAddress[];
  readonly ring: readonly number[];
  readonly packetlen: number;
  readonly flushIntervalMs: number;
  readonly prefix: string;
  readonly metricsPrefix: string;
  readonly metricsTags: string;
  readonly sendproto: "udp" | "test";
  readonly counters: CounterBuffers;
  /** One word: CONTROL_RUN or CONTROL_DRAIN. */
  readonly control: SharedArrayBuffer;
}

/** What a receiver thread says once its socket is bound. */
export interface ReceiverInfo {
  readonly address: ListenAddress;
  /** As granted by the system. */
  readonly receiveBufferBytes: number;
}

/** How often counters are published, in milliseconds. */
const PUBLISH_MS = 50;
/** How often the system is asked for its drops, in milliseconds. */
const KERNEL_DROPS_MS = 1_000;
/** Bytes that may wait for the event loop in a sender of the dgram kind. */
const QUEUE_BYTES_MAX = 8 << 20;
/**
 * With more input at hand, packets are left to gather up to so many: a system call costs less for each
 * then.
 */
const GATHERED_PACKETS_MAX = 32;

class Receiver {
  readonly #order: ReceiverOrder;
  readonly #socket: BatchReceiver;
  readonly #packer: Packer;
  readonly #senders: readonly BatchSender[];
  readonly #counters: ThreadCounters;
  #flushes = 0;
  #kernelDrops = 0;
  #nextFlushMs: number;
  #nextPublishMs = 0;
  #nextDropsMs = 0;

  constructor(order: ReceiverOrder, socket: BatchReceiver, packer: Packer, senders: readonly BatchSender[]) {
    this.#order = order;
    this.#socket = socket;
    this.#packer = packer;
    this.#senders = senders;
    this.#counters = attachCounters(order.counters);
    this.#nextFlushMs = performance.now() + order.flushIntervalMs;
  }

  /** Opens everything. Throws OperatorError naming the address or destination that fails. */
  static async open(order: ReceiverOrder): Promise<Receiver> {
    const { io, listen, sharePort, isFirst, receiveBufferBytes, remotes } = order;
    const socket = await openReceiver(io, listen, { sharePort, isFirst, receiveBufferBytes });
    let memoryBase = 0n;
    const packer = await Packer.load({
      ...order,
      destinationCount: remotes.length,
      addressOf: async (memory) => {
        memoryBase = await memoryAddress(io, memory);
        return memoryBase;
      },
    });
    const { memory } = packer;
    const senders: BatchSender[] = [];
    for (const remote of remotes) {
      senders.push(
        order.sendproto === "test"
          ? new DiscardSender(memory, memoryBase)
          : await openSender(io, remote, { memory, queueBytesMax: QUEUE_BYTES_MAX }),
      );
    }
    return new Receiver(order, socket, packer, senders);
  }

  get info(): ReceiverInfo {
    return { address: this.#socket.address, receiveBufferBytes: this.#socket.receiveBufferBytes };
  }

  /** Relays until told to drain; then sends what is left, publishes the last numbers and closes. */
  async run(): Promise<void> {
    this.#publish(performance.now());
    const handler = { onBatch: (received: number) => this.#onBatch(received) };
    await this.#socket.run(this.#packer.batch, handler, new Int32Array(this.#order.control));
    this.#flush();
    await Promise.all(this.#senders.map((sender) => sender.flush()));
    this.#nextDropsMs = 0;
    this.#publish(performance.now());
    this.#socket.close();
    for (const sender of this.#senders) sender.close();
  }

  #onBatch(received: number): void {
    const packer = this.#packer;
    if (received > 0) packer.consume(received, this.#senders);
    if (received < SLOT_COUNT || packer.exports.sealedCount() >= GATHERED_PACKETS_MAX) {
      packer.sendSealed(this.#senders);
    }
    const nowMs = performance.now();
    if (nowMs >= this.#nextFlushMs) {
      this.#flush();
      const { flushIntervalMs } = this.#order;
      // A metronome, as in the original; beats that a stalled thread missed are not made up for.
      this.#nextFlushMs += flushIntervalMs;
      if (this.#nextFlushMs <= nowMs) this.#nextFlushMs = nowMs + flushIntervalMs;
    }
    if (nowMs >= this.#nextPublishMs) this.#publish(nowMs);
  }

  #flush(): void {
    this.#packer.flush(this.#senders);
    this.#flushes += 1;
  }

  #publish(nowMs: number): void {
    this.#nextPublishMs = nowMs + PUBLISH_MS;
    if (nowMs >= this.#nextDropsMs) {
      this.#kernelDrops = this.#socket.kernelDrops();
      this.#nextDropsMs = nowMs + KERNEL_DROPS_MS;
    }
    const { intake, outputs } = this.#counters;
    const { exports } = this.#packer;
    intake.beginWrite();
    intake.set("datagrams", exports.datagramsReceived());
    intake.set("bytes", exports.bytesReceived());
    intake.set("received", exports.received());
    intake.set("accepted", exports.linesAccepted());
    intake.set("droppedNoColon", exports.droppedNoColon());
    intake.set("droppedCut", exports.droppedCut());
    intake.set("selfLines", exports.selfLines());
    intake.set("kernelDrops", this.#kernelDrops);
    intake.set("flushes", this.#flushes);
    intake.endWrite();
    this.#senders.forEach(({ tally }, destination) => {
      const output = outputs[destination]!;
      output.beginWrite();
      output.set("routed", exports.linesRouted(destination));
      output.set("waiting", exports.linesWaiting(destination));
      output.set("linesSent", tally.linesSent);
      output.set("packetsSent", tally.packetsSent);
      output.set("bytesSent", tally.bytesSent);
      output.set("refusals", tally.refusals);
      for (const reason of LOSS_REASONS) output.set(lostCounter(reason), tally.linesLost[reason]);
      output.endWrite();
    });
  }
}

async function main(port: MessagePort, order: ReceiverOrder): Promise<void> {
  let receiver: Receiver;
  try {
    receiver = await Receiver.open(order);
  } catch (error) {
    reportFailure(port, error);
    return;
  }
  reportReady<ReceiverInfo>(port, receiver.info);
  await receiver.run();
}

assert(parentPort !== null, "receiver.ts runs as a worker");
await main(parentPort, workerData as ReceiverOrder);
