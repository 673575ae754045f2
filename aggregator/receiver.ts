/**
 * An intake thread: one socket, one kernel. It waits in the system call for datagrams, has the kernel
 * accumulate them where they landed, and cuts snapshots by the wall clock, which go straight to the store's
 * thread.
 *
 *   socket -> signatures -> repeater -> senders -> kernel -> snapshots, events
 */
import { setTimeout as pause } from "node:timers/promises";
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Counters } from "../shared/counters.ts";
import { type BatchHandler, CONTROL_RUN, type ListenAddress, memoryAddress, TICK_MS } from "../shared/udp.ts";
import { reportFailure, reportReady } from "../shared/worker.ts";
import { intervalClock } from "./cluster-words.ts";
import { INTAKE_COUNTERS, type IntakeCounter } from "./counters.ts";
import type { DogItem } from "./event/event.ts";
import { EventGate } from "./event/event-gate.ts";
import { publishIntake } from "./intake-counters.ts";
import { addressOf } from "./kernel.ts";
import { type ListenerParts, publishListener } from "./listener/listener-counters.ts";
import { type ListenerOptions, openListener } from "./listener/opener.ts";
import { Repeater, type RepeaterSettings } from "./listener/repeater.ts";
import { SenderBook, type SenderEntry } from "./listener/sender-book.ts";
import { Snapshotter, type SnapshotterOptions } from "./snapshotter.ts";

export interface ReceiverData extends Omit<SnapshotterOptions, "memoryBase">, ListenerOptions {
  /** Whether series are counted by sender. */
  readonly watchesSenders: boolean;
  /** Undefined where nothing is repeated. */
  readonly repeater: RepeaterSettings | undefined;
  /** See ClusterWords; undefined where there is no cluster. */
  readonly words?: SharedArrayBuffer | undefined;
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

/**
 * What it tells the control thread while it runs. senders: hosts that it had not told of before. event: one
 * for the sinks. repeat: whole lines for the repeater's connections; the control thread adds their bytes to
 * the counter `repeatBytesTaken`.
 */
export type ReceiverReport =
  | { readonly kind: "senders"; readonly entries: readonly SenderEntry[] }
  | { readonly kind: "event"; readonly event: DogItem }
  | { readonly kind: "repeat"; readonly lines: Uint8Array<ArrayBuffer> };

/** Kernel drops are asked for this often: it is a system call. */
const DROPS_MS = 1000;

/** Streams are read as long as snapshots fill no more of the way to the store than this. */
const BACKLOG_SHARE = 0.5;

class Intake implements BatchHandler {
  readonly #parts: ListenerParts;
  readonly #snapshotter: Snapshotter;
  readonly #counters: Counters<IntakeCounter>;
  readonly #events: EventGate;
  readonly #senders: SenderBook | undefined;
  readonly #isCrowded: () => boolean;
  readonly #nowMs: () => number;
  #isHeldUp = false;
  #nextPublishMs = 0;
  #nextDropsMs = 0;

  constructor(
    parts: ListenerParts,
    snapshotter: Snapshotter,
    counters: Counters<IntakeCounter>,
    { watchesSenders, words }: Pick<ReceiverData, "watchesSenders" | "words">,
    isCrowded: () => boolean,
    report: (message: ReceiverReport) => void,
  ) {
    this.#nowMs = intervalClock(words);
    this.#parts = parts;
    this.#isCrowded = isCrowded;
    this.#snapshotter = snapshotter;
    this.#counters = counters;
    this.#events = new EventGate(snapshotter.kernel, (event) => report({ kind: "event", event }));
    const tell = (entries: readonly SenderEntry[]) => report({ kind: "senders", entries });
    this.#senders = watchesSenders ? new SenderBook(parts.receiver, tell) : undefined;
  }

  onBatch(received: number): boolean {
    const nowMs = this.#nowMs();
    const { receiver, gate, repeater } = this.#parts;
    const snapshotter = this.#snapshotter;
    if (received > 0) gate?.filter(snapshotter.batch, received, nowMs);
    repeater?.take(snapshotter.batch, received, receiver.io === "stream", performance.now());
    if (this.#senders !== undefined) {
      const { memory, exports } = snapshotter.kernel;
      this.#senders.note(memory, addressOf(exports.batchSenders()), received, nowMs);
    }
    snapshotter.consume(received, nowMs);
    if (received > 0) this.#events.take(nowMs);
    // Also early where the clock was set back.
    if (nowMs >= this.#nextPublishMs || nowMs < this.#nextPublishMs - TICK_MS) this.#publish(nowMs);
    const isCrowded = this.#isCrowded();
    if (isCrowded) this.#isHeldUp = true;
    return !isCrowded;
  }

  /** Whether a batch since the last call was the last one for a while. */
  takeHold(): boolean {
    const isHeldUp = this.#isHeldUp;
    this.#isHeldUp = false;
    return isHeldUp;
  }

  #publish(nowMs: number): void {
    this.#nextPublishMs = nowMs + TICK_MS;
    const counters = this.#counters;
    publishIntake(this.#snapshotter, counters, () => publishListener(this.#parts, counters));
    if (nowMs < this.#nextDropsMs && nowMs > this.#nextDropsMs - DROPS_MS) return;
    this.#nextDropsMs = nowMs + DROPS_MS;
    counters.set("kernelDrops", this.#parts.receiver.kernelDrops());
  }

  /** Sends the last snapshot, lets the repeater finish and publishes the final counts. */
  async finish(): Promise<void> {
    this.#snapshotter.cut(this.#nowMs());
    this.#snapshotter.close();
    await this.#parts.repeater?.close();
    this.#nextDropsMs = 0;
    this.#publish(this.#nowMs());
  }
}

/** What is open before the thread is told to start. */
interface Opened {
  readonly parts: ListenerParts;
  readonly counters: Counters<IntakeCounter>;
}

async function open(port: MessagePort, data: ReceiverData): Promise<Opened> {
  const counters = new Counters<IntakeCounter>(INTAKE_COUNTERS, data.counters);
  const listener = await openListener(data);
  try {
    const link = {
      post: (lines: Uint8Array<ArrayBuffer>) =>
        port.postMessage({ kind: "repeat", lines } satisfies ReceiverReport, [lines.buffer]),
      takenBytes: () => counters.get("repeatBytesTaken"),
    };
    const repeater =
      data.repeater === undefined ? undefined : await Repeater.open(data.repeater, data.io, link);
    return { parts: { ...listener, repeater }, counters };
  } catch (error) {
    // Left open, it would keep the address, and one of streams this thread.
    listener.receiver.close();
    throw error;
  }
}

async function serve(
  store: MessagePort,
  { parts, counters }: Opened,
  data: ReceiverData,
  report: (message: ReceiverReport) => void,
): Promise<void> {
  const control = new Int32Array(data.control);
  // Clients of streams can wait for the store; datagrams would only be dropped elsewhere. Who shall end reads
  // what there is.
  const canWait = () => parts.receiver.io === "stream" && Atomics.load(control, 0) === CONTROL_RUN;
  let postedBytes = 0;
  const waitingBytes = () => postedBytes - counters.get("snapshotBytesTaken");
  const isCrowded = () => canWait() && waitingBytes() > data.backlogBytesMax * BACKLOG_SHARE;
  const post = (frame: Uint8Array<ArrayBuffer>): boolean => {
    const waiting = waitingBytes();
    // An empty frame closes an interval, and passes always; and so does one that has nothing to wait for,
    // since one that is too large now would be so for ever. Of streams nothing more is read once some
    // snapshots wait, so no more can pass than one batch makes.
    const isBounded = frame.length > 1024 && waiting > 0 && !canWait();
    if (isBounded && waiting + frame.length > data.backlogBytesMax) return false;
    postedBytes += frame.length;
    store.postMessage(frame, [frame.buffer]);
    return true;
  };
  const memoryBase = (memory: WebAssembly.Memory) => memoryAddress(data.io, memory);
  const options = { ...data, memoryBase, isOfCluster: data.words !== undefined };
  const snapshotter = await Snapshotter.create(options, intervalClock(data.words)(), post);
  const intake = new Intake(parts, snapshotter, counters, data, isCrowded, report);
  do {
    await parts.receiver.run(snapshotter.batch, intake, control);
    // Snapshots are cut meanwhile: intervals end though nobody is heard.
    for (; isCrowded(); intake.onBatch(0)) await pause(TICK_MS);
  } while (intake.takeHold());
  await intake.finish();
  store.postMessage(null);
  parts.receiver.close();
}

async function main(port: MessagePort, data: ReceiverData): Promise<void> {
  const opened = await open(port, data);
  const report = (message: ReceiverReport) => port.postMessage(message);
  port.once("message", ({ store }: ReceiverStart) => {
    port.unref();
    // A fault here is one of this program: it ends the thread, and with it the process.
    void serve(store, opened, data, report).then(() => port.close());
  });
  const { address, receiveBufferBytes } = opened.parts.receiver;
  reportReady(port, { address, receiveBufferBytes } satisfies ReceiverInfo);
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  main(port, workerData as ReceiverData).catch((error: unknown) => reportFailure(port, error));
}
