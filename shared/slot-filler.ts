/**
 * Fills the slots of a receive batch from the event loop: what receivers have in common that do not block
 * in a system call. A batch is handed over when it is full or when the event loop has had its turn.
 */
import { assert } from "./errors.ts";
import { HEADER_BYTES, HEADER_PAYLOAD_BYTES, SLOT_BYTES, SLOT_COUNT } from "./kernel/layout.ts";
import { hashHost } from "./sender-hash.ts";
import { type BatchHandler, CONTROL_RUN, DRAIN_MS_MAX, type ReceiveBatch, TICK_MS } from "./udp.ts";

/** Payloads kept between two runs, and their bytes. */
const WAITING_MAX = 10_000;
const WAITING_BYTES_MAX = 16 << 20;
/** Senders whose numbers are remembered. */
const HASHES_MAX = 4096;

/** The socket behind a filler. */
export interface SlotSource {
  /** After so many ticks without a payload a run that shall end takes the socket for empty. */
  readonly quietTicks: number;
  /** A run begins: payloads are welcome. */
  resume(): void;
  /** A run has ended: what is put from now on has to wait, in bounds. */
  pause(): void;
  /** Called each TICK_MS of a run. */
  tick(): void;
  /**
   * Called in each tick of a run that shall end. word: CONTROL_DRAIN or CONTROL_LEAVE. Returns whether
   * anything may still come.
   */
  stop(word: number): boolean;
  /** A run that shall end does so now: the last chance to put something. */
  finish(): void;
}

interface Run {
  readonly batch: ReceiveBatch;
  readonly handler: BatchHandler;
  readonly control: Int32Array;
  readonly timer: NodeJS.Timeout;
  readonly resolve: () => void;
  putsBefore: number;
  quietTicks: number;
  drainEndMs: number;
}

interface Waiting {
  readonly payload: Buffer;
  readonly sender: string;
}

const NOTHING = Buffer.alloc(0);

export class SlotFiller {
  readonly #source: SlotSource;
  #run: Run | undefined;
  /** View of the run's memory. */
  #bytes: Buffer = NOTHING;
  #filled = 0;
  #puts = 0;
  #isFlushDue = false;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #isWatching = false;
  readonly #senders = new Array<string>(SLOT_COUNT).fill("");
  readonly #hashes = new Map<string, number>();
  readonly #flushLater = (): void => {
    this.#isFlushDue = false;
    if (this.#filled > 0) this.#handOver();
  };

  constructor(source: SlotSource) {
    this.#source = source;
  }

  /** Payloads that were lost because too many came between two runs. */
  get lost(): number {
    return this.#lost;
  }

  /** Whether payloads go into slots at this moment. */
  get isRunning(): boolean {
    return this.#run !== undefined;
  }

  /** See BatchReceiver. */
  watchSenders(isOn: boolean): void {
    this.#isWatching = isOn;
    this.#senders.fill("");
  }

  /** See BatchReceiver. */
  senderOf(slot: number): string {
    return this.#senders[slot] ?? "";
  }

  /** See BatchReceiver. */
  senderHashOf(slot: number): number {
    const sender = this.#senders[slot] ?? "";
    if (sender === "") return 0;
    let hash = this.#hashes.get(sender);
    if (hash === undefined) {
      if (this.#hashes.size >= HASHES_MAX) this.#hashes.clear();
      hash = hashHost(sender);
      this.#hashes.set(sender, hash);
    }
    return hash;
  }

  /**
   * Takes a payload: all of `head`, then `chunk` from `start` to `end`; together at most
   * SLOT_PAYLOAD_BYTES_MAX bytes. Both are copied. sender: address literal without a port.
   */
  put(head: Uint8Array, chunk: Buffer, start: number, end: number, sender: string): void {
    const run = this.#run;
    if (run === undefined) {
      this.#wait(Buffer.concat([head, chunk.subarray(start, end)]), sender);
      return;
    }
    const { memory, slots, headers } = run.batch;
    if (this.#bytes.buffer !== memory.buffer) this.#bytes = Buffer.from(memory.buffer);
    const slot = this.#filled;
    const at = slots + slot * SLOT_BYTES;
    if (head.length > 0) this.#bytes.set(head, at);
    chunk.copy(this.#bytes, at + head.length, start, end);
    const length = head.length + end - start;
    this.#bytes.writeUInt32LE(length, headers + slot * HEADER_BYTES + HEADER_PAYLOAD_BYTES);
    if (this.#isWatching) this.#senders[slot] = sender;
    this.#filled += 1;
    this.#puts += 1;
    if (this.#filled === SLOT_COUNT) this.#handOver();
    else if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      setImmediate(this.#flushLater);
    }
  }

  #wait(payload: Buffer, sender: string): void {
    const isFull =
      this.#waiting.length >= WAITING_MAX || this.#waitingBytes + payload.length > WAITING_BYTES_MAX;
    if (isFull) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push({ payload, sender });
    this.#waitingBytes += payload.length;
  }

  /** See BatchReceiver. */
  run(batch: ReceiveBatch, handler: BatchHandler, control: Int32Array): Promise<void> {
    assert(this.#run === undefined, "a receiver has one run at a time");
    return new Promise((resolve) => {
      const timer = setInterval(() => this.#tick(), TICK_MS);
      this.#run = {
        batch,
        handler,
        control,
        timer,
        resolve,
        putsBefore: -1,
        quietTicks: 0,
        drainEndMs: Infinity,
      };
      this.#putWaiting();
      if (this.#run !== undefined) this.#source.resume();
    });
  }

  /** Puts what has come between two runs; if the run ends meanwhile, the rest waits for another. */
  #putWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const { payload, sender } of waiting) this.put(NOTHING, payload, 0, payload.length, sender);
  }

  /** Hands over what is in the slots, which may be nothing. */
  #handOver(): void {
    const run = this.#run;
    if (run === undefined) return;
    const received = this.#filled;
    this.#filled = 0;
    if (!run.handler.onBatch(received)) this.#end();
  }

  #end(): void {
    const run = this.#run;
    if (run === undefined) return;
    clearInterval(run.timer);
    this.#run = undefined;
    this.#source.pause();
    run.resolve();
  }

  #tick(): void {
    this.#handOver();
    // The handler may have ended the run.
    const run = this.#run;
    if (run === undefined) return;
    this.#source.tick();
    run.quietTicks = this.#puts === run.putsBefore ? run.quietTicks + 1 : 0;
    run.putsBefore = this.#puts;
    const word = Atomics.load(run.control, 0);
    if (word === CONTROL_RUN) return;
    const nowMs = performance.now();
    if (run.drainEndMs === Infinity) {
      // That nothing came before says nothing of those who are only now told to finish.
      run.quietTicks = 0;
      run.drainEndMs = nowMs + DRAIN_MS_MAX;
    }
    const isQuiet = run.quietTicks >= this.#source.quietTicks;
    if (this.#source.stop(word) && !isQuiet && nowMs < run.drainEndMs) return;
    this.#source.finish();
    if (this.#filled > 0) this.#handOver();
    this.#end();
  }
}
