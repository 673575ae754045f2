// From a receiver's kernel memory through the real thread to a connection.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { OutletSender } from "../../relay/outlet/handoff.ts";
import { outletConservationError, readOutletCounters } from "../../relay/outlet/ledger.ts";
import type { OutletReport } from "../../relay/outlet/order.ts";
import {
  HEADER_BYTES,
  HEADER_IOV,
  HEADER_LINES,
  IOVEC_BYTES,
  IOVEC_LENGTH,
} from "../../shared/kernel/layout.ts";
import { startWorker } from "../../shared/worker.ts";
import { channelOrder, RIG_OPTIONS } from "../support/outlet-rig.ts";
import { TcpSink } from "../support/tcp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const threadUrl = new URL("../../relay/outlet-thread.js", import.meta.url);
const MEMORY_BASE = 0x7f00_0000_0000n;
const IOVECS = 8_192;
const PAYLOADS = 16_384;

/** Lays packets out as the kernel does: headers at 0, iovecs and payloads behind. */
function layOut(memory: WebAssembly.Memory, packets: readonly string[]): void {
  const bytes = Buffer.from(memory.buffer);
  let payload = PAYLOADS;
  packets.forEach((text, i) => {
    const iovec = IOVECS + i * IOVEC_BYTES;
    bytes.writeBigUInt64LE(MEMORY_BASE + BigInt(iovec), i * HEADER_BYTES + HEADER_IOV);
    bytes.writeUInt32LE(text.split("\n").length - 1, i * HEADER_BYTES + HEADER_LINES);
    bytes.writeBigUInt64LE(MEMORY_BASE + BigInt(payload), iovec);
    bytes.writeBigUInt64LE(BigInt(text.length), iovec + IOVEC_LENGTH);
    payload += bytes.write(text, payload, "latin1");
  });
}

test("packets are copied out of kernel memory and arrive; the thread ends after the drain", async () => {
  const sink = await TcpSink.start();
  const reports: OutletReport[] = [];
  const started = await startWorker<object, OutletReport>(
    threadUrl,
    { log: { level: "error", format: "json" } },
    { onMessage: (report) => void reports.push(report), onExit: () => {} },
  );
  const order = channelOrder(1, { port: sink.port });
  const { port1, port2 } = new MessageChannel();
  started.worker.postMessage({ kind: "channels", channels: [order], options: RIG_OPTIONS });
  started.worker.postMessage({ kind: "port", port: port2 }, [port2]);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 4 });
  const sender = new OutletSender(port1, 1, memory, MEMORY_BASE, order.backlog, 1 << 20);
  layOut(memory, ["a:1|c\nb:2|c\n", "c:3|ms\n"]);
  sender.send(0, 2);
  layOut(memory, ["d:4|c\n"]);
  memory.grow(1);
  sender.send(0, 1);
  await waitFor("lines", () => sink.lines.length === 4);
  assert.deepEqual(sink.lines, ["a:1|c", "b:2|c", "c:3|ms", "d:4|c"]);
  const { packetsSent, linesSent, bytesSent, linesLost } = sender.tally;
  assert.deepEqual({ packetsSent, linesSent, bytesSent }, { packetsSent: 3, linesSent: 4, bytesSent: 25 });
  assert.equal(linesLost.queue_full, 0);
  await sender.flush();
  // Posted, and not waited for: a drain takes it all the same.
  layOut(memory, ["e:5|c\n"]);
  sender.send(0, 1);
  started.worker.postMessage({ kind: "drain", deadlineMs: 5_000 });
  assert.equal(await started.exited, 0);
  assert.equal(reports.at(-1)?.kind, "drained");
  const counters = readOutletCounters(order.counters);
  assert.equal(outletConservationError(counters), 0);
  assert.deepEqual([counters.linesTaken, counters.linesSent], [5, 5]);
  assert.equal(new Int32Array(order.backlog)[0], 0);
  await waitFor("the last line", () => sink.lines.length === 5);
  await sink.stop();
});

test("an outlet that stands still costs a bounded amount of memory, and no time", () => {
  const { port1, port2 } = new MessageChannel();
  const order = channelOrder(1, {});
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const senders = [1, 2].map(() => new OutletSender(port1, 1, memory, MEMORY_BASE, order.backlog, 100));
  layOut(memory, ["a:1|c\nb:1|c\n"]);
  for (const sender of senders) for (let i = 0; i < 5; i++) sender.send(0, 1);
  assert.equal(new Int32Array(order.backlog)[0], 100);
  assert.deepEqual(
    senders.map(({ tally }) => [tally.linesSent, tally.linesLost.queue_full]),
    [
      [10, 0],
      [0, 10],
    ],
  );
  port1.close();
  port2.close();
});
