/**
 * Sends numbered lines at a steady rate from a thread of its own, and knows how many it has sent:
 *
 *   load.<number modulo names>.requests:<number>|c
 *
 * After a stall it goes on at the same rate instead of catching up, so that no burst of its own overflows a
 * receive buffer: what is then missing was lost by somebody else. Ledger (ledger.ts) reads these lines.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

/** What a source sends, and where. */
export interface LineSourceOptions {
  readonly protocol: "udp" | "tcp";
  /** Port of 127.0.0.1. */
  readonly port: number;
  readonly linesPerSecond: number;
  /** Lines of one datagram, or of one write over TCP. */
  readonly linesPerDatagram: number;
  /** Distinct names. */
  readonly names: number;
  /** The source ends by itself after so many lines. */
  readonly linesMax: number;
}

/** Every line begins with this, which tells it from a relay's own. */
export const LINE_PREFIX = "load.";

const THREAD = "line-source";
const PACE_MS = 2;
/** A source that is later than this has missed its turn, and starts its schedule anew. */
const LATE_MS_MAX = 20;
/** Words of the shared state. */
const SENT = 0;
const STOP = 1;

/** Makes the line of a number. */
export function numberedLine(number: number, names: number): string {
  return `${LINE_PREFIX}${number % names}.requests:${number}|c`;
}

/** A source at work. Lines are numbered 0 to sent - 1 without a gap. */
export class LineSource {
  readonly #state: Int32Array;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;

  private constructor(state: Int32Array, worker: Worker) {
    this.#state = state;
    this.#worker = worker;
    this.#ended = new Promise((resolve, reject) => {
      worker.once("exit", () => resolve());
      worker.once("error", reject);
    });
    // Reported by stop().
    this.#ended.catch(() => {});
  }

  static start(options: LineSourceOptions): LineSource {
    const state = new Int32Array(new SharedArrayBuffer(8));
    const url = new URL(import.meta.url);
    return new LineSource(state, new Worker(url, { workerData: { kind: THREAD, options, state } }));
  }

  /** Lines that the system has taken so far. */
  get sent(): number {
    return Atomics.load(this.#state, SENT);
  }

  /**
   * Ends the source. Resolves with the number of lines sent, when the system has taken the last one; rejects
   * when the system refused one.
   */
  async stop(): Promise<number> {
    Atomics.store(this.#state, STOP, 1);
    await this.#ended;
    return this.sent;
  }

  /** Ends the thread at once; for a test that failed. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Takes a datagram's bytes; resolves when the system has them. */
interface Output {
  send(bytes: Buffer): Promise<void>;
  close(): Promise<void>;
}

function openUdp(port: number): Output {
  const socket = createSocket("udp4");
  return {
    send: (bytes) =>
      new Promise((resolve, reject) => {
        socket.send(bytes, port, "127.0.0.1", (error) => (error === null ? resolve() : reject(error)));
      }),
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

async function openTcp(port: number): Promise<Output> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  socket.resume();
  return {
    send: (bytes) =>
      new Promise((resolve, reject) => {
        // Each line ends with a line feed, as a stream has no datagrams.
        socket.write(Buffer.concat([bytes, Buffer.from("\n")]), (error) =>
          error instanceof Error ? reject(error) : resolve(),
        );
      }),
    close: async () => {
      const closed = once(socket, "close");
      socket.end();
      await closed;
    },
  };
}

async function run(options: LineSourceOptions, state: Int32Array): Promise<void> {
  const { linesPerDatagram, linesPerSecond, linesMax, names } = options;
  const output = options.protocol === "udp" ? openUdp(options.port) : await openTcp(options.port);
  const gapMs = (linesPerDatagram / linesPerSecond) * 1e3;
  let next = 0;
  let dueMs = performance.now();
  while (Atomics.load(state, STOP) === 0 && next < linesMax) {
    const nowMs = performance.now();
    if (nowMs - dueMs > LATE_MS_MAX) dueMs = nowMs;
    const sends: Promise<void>[] = [];
    for (; dueMs <= nowMs && next < linesMax; dueMs += gapMs) {
      const count = Math.min(linesPerDatagram, linesMax - next);
      const lines = Array.from({ length: count }, (_, i) => numberedLine(next + i, names));
      sends.push(output.send(Buffer.from(lines.join("\n"))));
      next += count;
    }
    await Promise.all(sends);
    Atomics.store(state, SENT, next);
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  }
  await output.close();
  parentPort!.close();
}

if (!isMainThread && workerData?.kind === THREAD) await run(workerData.options, workerData.state);
