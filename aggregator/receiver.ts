/**
 * An intake thread: one socket, one kernel. It waits in the system call for datagrams, has the kernel
 * accumulate them where they landed, and cuts snapshots by the wall clock, which go straight to the store's
 * thread.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Counters } from "../shared/counters.ts";
import {
  type BatchHandler,
  type BatchReceiver,
  type ListenAddress,
  memoryAddress,
  openReceiver,
  TICK_MS,
} from "../shared/udp.ts";
import { reportFailure, reportReady } from "../shared/worker.ts";
import { INTAKE_COUNTERS, type IntakeCounter } from "./counters.ts";
import { publishIntake } from "./intake-counters.ts";
import { Snapshotter, type SnapshotterOptions } from "./snapshotter.ts";

export interface ReceiverData extends Omit<SnapshotterOptions, "memoryBase"> {
  readonly io: "mmsg" | "dgram";
  readonly listen: ListenAddress;
  readonly receiveBufferBytes: number;
  readonly sharePort: boolean;
  readonly isFirst: boolean;
  /** Bytes of snapshots that may wait for the store. */
  readonly backlogBytesMax: number;
  /** CONTROL_RUN or CONTROL_DRAIN, in shared memory. */
  readonly control: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
}

/** What a receiver reports when its socket is open. */
export interface ReceiverInfo {
  readonly address: ListenAddress;
  readonly receiveBufferBytes: number;
}

/** The message that starts it: the port to the store. */
export interface ReceiverStart {
  readonly kind: "start";
  readonly store: MessagePort;
}

/** Kernel drops are asked for this often: it is a system call. */
const DROPS_MS = 1000;

class Intake implements BatchHandler {
  readonly #receiver: BatchReceiver;
  readonly #snapshotter: Snapshotter;
  readonly #counters: Counters<IntakeCounter>;
  #nextPublishMs = 0;
  #nextDropsMs = 0;

  constructor(receiver: BatchReceiver, snapshotter: Snapshotter, counters: Counters<IntakeCounter>) {
    this.#receiver = receiver;
    this.#snapshotter = snapshotter;
    this.#counters = counters;
  }

  onBatch(received: number): boolean {
    const nowMs = Date.now();
    this.#snapshotter.consume(received, nowMs);
    // Also early where the clock was set back.
    if (nowMs >= this.#nextPublishMs || nowMs < this.#nextPublishMs - TICK_MS) this.#publish(nowMs);
    return true;
  }

  #publish(nowMs: number): void {
    this.#nextPublishMs = nowMs + TICK_MS;
    publishIntake(this.#snapshotter, this.#counters);
    if (nowMs < this.#nextDropsMs && nowMs > this.#nextDropsMs - DROPS_MS) return;
    this.#nextDropsMs = nowMs + DROPS_MS;
    this.#counters.set("kernelDrops", this.#receiver.kernelDrops());
  }

  /** Sends the last snapshot and publishes the final counts. */
  finish(): void {
    this.#snapshotter.cut(Date.now());
    this.#snapshotter.close();
    this.#nextDropsMs = 0;
    this.#publish(Date.now());
  }
}

async function serve(store: MessagePort, receiver: BatchReceiver, data: ReceiverData): Promise<void> {
  const counters = new Counters<IntakeCounter>(INTAKE_COUNTERS, data.counters);
  let postedBytes = 0;
  const post = (frame: Uint8Array<ArrayBuffer>): boolean => {
    const waiting = postedBytes - counters.get("snapshotBytesTaken");
    // An empty frame closes an interval, and passes always.
    if (frame.length > 1024 && waiting + frame.length > data.backlogBytesMax) return false;
    postedBytes += frame.length;
    store.postMessage(frame, [frame.buffer]);
    return true;
  };
  const memoryBase = (memory: WebAssembly.Memory) => memoryAddress(data.io, memory);
  const snapshotter = await Snapshotter.create({ ...data, memoryBase }, Date.now(), post);
  const intake = new Intake(receiver, snapshotter, counters);
  await receiver.run(snapshotter.batch, intake, new Int32Array(data.control));
  intake.finish();
  store.postMessage(null);
  receiver.close();
}

async function main(port: MessagePort, data: ReceiverData): Promise<void> {
  const receiver = await openReceiver(data.io, data.listen, data);
  port.once("message", ({ store }: ReceiverStart) => {
    port.unref();
    // A fault here is one of this program: it ends the thread, and with it the process.
    void serve(store, receiver, data).then(() => port.close());
  });
  const { address, receiveBufferBytes } = receiver;
  reportReady(port, { address, receiveBufferBytes } satisfies ReceiverInfo);
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  main(port, workerData as ReceiverData).catch((error: unknown) => reportFailure(port, error));
}
