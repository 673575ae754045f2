/**
 * The far end of a test under load: sinks that count how often each numbered line of a LineSource has come,
 * in a thread of their own, so that the test's work does not cost them datagrams.
 *
 *   counts   one byte for each number, 255 at most
 *   lines    for each sink its lines, and then one more count: lines that nobody numbered
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { LINE_PREFIX } from "./line-source.ts";

/** How sinks are opened. */
export interface LedgerOptions {
  readonly protocol: "udp" | "tcp";
  readonly sinks: number;
  /** Numbers from here on are strange. */
  readonly linesMax: number;
}

/** What has become of the lines that were sent. */
export interface LedgerReport {
  /** Numbers that have come to no sink. */
  readonly missing: number;
  /** Lines beyond the first of their number. */
  readonly repeated: number;
  /** The first few numbers missing, for a message that helps. */
  readonly firstMissing: readonly number[];
}

interface SharedCounts {
  readonly counts: Uint8Array;
  readonly lines: Int32Array;
}

const THREAD = "ledger";
const RECEIVE_BUFFER_BYTES = 32 << 20;
const SHOWN_MAX = 8;
const COUNT_MAX = 255;
const [NEWLINE, COLON, BAR, ZERO, NINE] = [10, 58, 124, 48, 57];

/** Sinks at work. */
export class Ledger {
  /** HOST:PORT of each sink, in order; with the scheme `tcp://` where they take TCP. */
  readonly destinations: readonly string[];
  readonly #shared: SharedCounts;
  readonly #worker: Worker;

  private constructor(destinations: readonly string[], shared: SharedCounts, worker: Worker) {
    this.destinations = destinations;
    this.#shared = shared;
    this.#worker = worker;
  }

  /** Opens sinks on free ports of 127.0.0.1. */
  static async open(options: LedgerOptions): Promise<Ledger> {
    const shared = {
      counts: new Uint8Array(new SharedArrayBuffer(options.linesMax)),
      lines: new Int32Array(new SharedArrayBuffer((options.sinks + 1) * 4)),
    };
    const worker = new Worker(new URL(import.meta.url), { workerData: { kind: THREAD, options, shared } });
    const ports = await new Promise<number[]>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    const scheme = options.protocol === "tcp" ? "tcp://" : "";
    return new Ledger(
      ports.map((port) => `${scheme}127.0.0.1:${port}`),
      shared,
      worker,
    );
  }

  /** Numbered lines that came to a sink. */
  linesOf(sink: number): number {
    return Atomics.load(this.#shared.lines, sink);
  }

  /** Numbered lines that came to all sinks together. */
  get lines(): number {
    return this.destinations.reduce((sum, _, sink) => sum + this.linesOf(sink), 0);
  }

  /** Lines that carry the prefix and yet no number that can be: somebody has spoiled them. */
  get strange(): number {
    return Atomics.load(this.#shared.lines, this.destinations.length);
  }

  /** Compares with the numbers 0 to sent - 1. */
  report(sent: number): LedgerReport {
    const { counts } = this.#shared;
    const firstMissing: number[] = [];
    let missing = 0;
    let repeated = 0;
    counts.forEach((count, number) => {
      const wanted = number < sent ? 1 : 0;
      repeated += Math.max(0, count - wanted);
      if (count >= wanted) return;
      missing += 1;
      if (firstMissing.length < SHOWN_MAX) firstMissing.push(number);
    });
    return { missing, repeated, firstMissing };
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Counts the lines of one sink. Bytes are looked at once and no text is made of them. */
class SinkCount {
  readonly #shared: SharedCounts;
  readonly #sink: number;
  readonly #prefix = Buffer.from(LINE_PREFIX);

  constructor(shared: SharedCounts, sink: number) {
    this.#shared = shared;
    this.#sink = sink;
  }

  /** Takes whole lines. */
  take(bytes: Buffer): void {
    let start = 0;
    while (start < bytes.length) {
      const found = bytes.indexOf(NEWLINE, start);
      const end = found < 0 ? bytes.length : found;
      if (end > start && this.#isNumbered(bytes, start, end)) this.#count(bytes, start, end);
      start = end + 1;
    }
  }

  #isNumbered(bytes: Buffer, start: number, end: number): boolean {
    const prefix = this.#prefix;
    return (
      end - start > prefix.length &&
      bytes.compare(prefix, 0, prefix.length, start, start + prefix.length) === 0
    );
  }

  #count(bytes: Buffer, start: number, end: number): void {
    const { counts, lines } = this.#shared;
    const colon = bytes.indexOf(COLON, start);
    let number = 0;
    let at = colon + 1;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte < ZERO || byte > NINE) break;
      number = number * 10 + byte - ZERO;
    }
    const isWhole = colon > start && at > colon + 1 && at < end && bytes[at] === BAR;
    if (!isWhole || number >= counts.length) {
      Atomics.add(lines, lines.length - 1, 1);
      return;
    }
    if (counts[number]! < COUNT_MAX) counts[number]! += 1;
    Atomics.add(lines, this.#sink, 1);
  }
}

async function openUdpSink(count: SinkCount): Promise<number> {
  const socket = createSocket({ type: "udp4" });
  socket.on("message", (datagram) => count.take(datagram));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  // The system grants no more than net.core.rmem_max.
  socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
  return socket.address().port;
}

/** Cuts a stream behind its last whole line; what is left waits for the next chunk. */
function takeStream(socket: Socket, count: SinkCount): void {
  let rest = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    count.take(bytes.subarray(0, end));
    rest = Buffer.from(bytes.subarray(end));
  });
  // A sender that resets its connection is seen by the lines that are missing.
  socket.on("error", () => {});
}

async function openTcpSink(count: SinkCount): Promise<number> {
  const server = createServer((socket) => takeStream(socket, count));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function serve({ protocol, sinks }: LedgerOptions, shared: SharedCounts): Promise<void> {
  const open = protocol === "udp" ? openUdpSink : openTcpSink;
  const ports: number[] = [];
  for (let sink = 0; sink < sinks; sink++) ports.push(await open(new SinkCount(shared, sink)));
  parentPort!.postMessage(ports);
}

if (!isMainThread && workerData?.kind === THREAD) await serve(workerData.options, workerData.shared);
