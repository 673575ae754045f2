/** The thread of the listener for Rust peers, from its start to its end. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { PEER_COUNTERS, type PeerCounter } from "../../aggregator/capnp/peer-counters.ts";
import type {
  RustPeerInfo,
  RustPeerReport,
  RustPeerThreadData,
} from "../../aggregator/capnp/rust-peer-thread.ts";
import { INTAKE_COUNTERS, type IntakeCounter } from "../../aggregator/counters.ts";
import { Counters } from "../../shared/counters.ts";
import { OperatorError } from "../../shared/errors.ts";
import { CONTROL_DRAIN } from "../../shared/udp.ts";
import { readLabel } from "../../shared/wire.ts";
import { startWorker } from "../../shared/worker.ts";
import { messageNamed, WRITER_OPTIONS } from "../support/capnp-messages.ts";
import { waitFor } from "../support/wait-for.ts";

const URL_OF_THREAD = new URL("../../aggregator/capnp/rust-peer-thread.js", import.meta.url);

async function start(port = 0) {
  const counters = new Counters<IntakeCounter>(INTAKE_COUNTERS);
  const peerCounters = new Counters<PeerCounter>(PEER_COUNTERS);
  const control = new Int32Array(new SharedArrayBuffer(4));
  const counting = new Int32Array(new SharedArrayBuffer(4));
  const { port1, port2 } = new MessageChannel();
  const data: RustPeerThreadData = {
    ...WRITER_OPTIONS,
    intervalMs: 3_600_000,
    snapshotIntervalMs: 60_000,
    host: "127.0.0.1",
    port,
    store: port2,
    words: undefined,
    backlogBytesMax: 1 << 20,
    control: control.buffer as SharedArrayBuffer,
    counting: counting.buffer as SharedArrayBuffer,
    counters: counters.buffer,
    peerCounters: peerCounters.buffer,
  };
  const reports: RustPeerReport[] = [];
  const thread = await startWorker<RustPeerInfo, RustPeerReport>(URL_OF_THREAD, data, {
    onMessage: (report) => reports.push(report),
    onExit: () => {},
    transferList: [port2],
  });
  return { thread, reports, counters, peerCounters, control, counting, store: port1 };
}

async function send(port: number, bytes: Buffer): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.end(bytes);
  // Which may be by a reset.
  await new Promise((resolve) => socket.once("close", resolve));
}

test("it listens, counts as it is told, and ends with the last snapshot", async () => {
  const { thread, reports, counters, peerCounters, control, counting, store } = await start();
  const { port } = thread.info;
  await send(port, messageNamed("golden"));
  await waitFor("a discarded message", () => peerCounters.get("discardedMessages") === 1);
  Atomics.store(counting, 0, 1);
  await send(port, messageNamed("all types"));
  await waitFor("metrics", () => counters.get("accepted") === 5);
  await send(port, Buffer.alloc(64, 0xff));
  await waitFor("a report", () => reports.length === 1);
  assert.deepEqual(reports, [{ kind: "fault", host: "127.0.0.1", fault: "malformed" }]);
  await assert.rejects(start(port), OperatorError);
  Atomics.store(control, 0, CONTROL_DRAIN);
  assert.equal(await thread.exited, 0);
  const messages: unknown[] = [];
  for (let next = receiveMessageOnPort(store); next !== undefined; next = receiveMessageOnPort(store)) {
    messages.push(next.message);
  }
  store.close();
  assert.equal(messages.pop(), null);
  const labels = messages.map((message) => readLabel(message as Uint8Array)!);
  assert.equal(
    labels.reduce((sum, { entries }) => sum + entries, 0),
    5,
  );
  assert.equal(labels.at(-1)!.lowestOpen, labels.at(-1)!.interval + 1);
  assert.equal(counters.get("samples"), 3 + 3 + 2 + 4 + 40);
});
