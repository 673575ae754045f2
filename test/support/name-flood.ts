/**
 * Sends lines of ever new names over a TCP connection from a thread of its own, evenly, or slower where they
 * are not taken so fast: one line a name, and each counts one, as the value of a counter, the only sample of
 * a timer or the only member of a set. Counters are the most; some names are long, some have tags.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { isMainThread, Worker, workerData } from "node:worker_threads";

export interface NameFloodOptions {
  /** Port of 127.0.0.1. */
  readonly port: number;
  /** The first name's number, and how many there are. */
  readonly first: number;
  readonly count: number;
  readonly linesPerSecond: number;
}

const THREAD = "name-flood";
const CHUNK_LINES = 500;
const LONG = "long-".repeat(60);

/** One of so many lines is of a timer or a set. */
export const OTHERS_EVERY = 10;

/** Makes the line of a number. */
export function floodLine(number: number): string {
  const kind = number % 20;
  const name = `flood.user.${number.toString(36)}.requests`;
  if (kind === 0) return `${name}:${number % 997}.5|ms`;
  if (kind === 1) return `${name}:member-${number}|s`;
  if (kind === 2) return `${name};host=web-${number % 100};zone=eu:1|c`;
  if (kind === 3) return `${name}:1|c|#customer:${number},env:prod`;
  return kind === 4 ? `${LONG}${name}:1|c` : `${name}:1|c`;
}

/** Sends the lines; resolves when the other side has them all, and rejects when it does not want them. */
export async function floodNames(options: NameFloodOptions): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { kind: THREAD, options } });
  const [code] = (await once(worker, "exit")) as [number];
  if (code !== 0) throw new Error(`the flood ended with ${code}`);
}

async function run({ port, first, count, linesPerSecond }: NameFloodOptions): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  const startMs = performance.now();
  for (let done = 0; done < count; ) {
    const dueMs = startMs + (done / linesPerSecond) * 1000;
    if (dueMs > performance.now()) await new Promise((resolve) => setTimeout(resolve, 1));
    else {
      const lines = Array.from({ length: Math.min(CHUNK_LINES, count - done) }, (_, index) =>
        floodLine(first + done + index),
      );
      done += lines.length;
      if (!socket.write(`${lines.join("\n")}\n`, "latin1")) await once(socket, "drain");
    }
  }
  socket.end();
  await once(socket.resume(), "close");
}

if (!isMainThread && workerData?.kind === THREAD) await run(workerData.options);
