/** The listener for Rust peers: real connections, and what comes of them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { PEER_COUNTERS, type PeerCounter } from "../../aggregator/capnp/peer-counters.ts";
import { RustPeerListener, type RustPeerOptions } from "../../aggregator/capnp/rust-peer-listener.ts";
import { INTAKE_COUNTERS, type IntakeCounter } from "../../aggregator/counters.ts";
import { droppedLines } from "../../aggregator/totals.ts";
import { Counters } from "../../shared/counters.ts";
import { OperatorError } from "../../shared/errors.ts";
import { readLabel, type SnapshotLabel } from "../../shared/wire.ts";
import { messageNamed, WRITER_OPTIONS } from "../support/capnp-messages.ts";
import { decodeFrame, TEST_NOW_MS } from "../support/snapshots.ts";
import { waitFor } from "../support/wait-for.ts";

const GOLDEN = messageNamed("golden");
const SINGLE = messageNamed("single");
const REFUSED = messageNamed("what is refused");
const HOST = "127.0.0.1";
const INTERVAL = TEST_NOW_MS / WRITER_OPTIONS.intervalMs;

class Rig {
  readonly frames: Uint8Array[] = [];
  readonly faults: string[] = [];
  readonly counters = new Counters<IntakeCounter>(INTAKE_COUNTERS);
  readonly peerCounters = new Counters<PeerCounter>(PEER_COUNTERS);
  nowMs = TEST_NOW_MS;
  listener!: RustPeerListener;

  static async open(context: TestContext, options: Partial<RustPeerOptions> = {}): Promise<Rig> {
    const rig = new Rig();
    rig.listener = await RustPeerListener.open(
      { host: HOST, port: 0 },
      {
        ...WRITER_OPTIONS,
        nowMs: () => rig.nowMs,
        post: (frame) => rig.frames.push(frame) > 0,
        counters: rig.counters,
        peerCounters: rig.peerCounters,
        isCounting: () => true,
        onFault: (_, fault) => rig.faults.push(fault),
        ...options,
      },
    );
    context.after(() => rig.listener.close());
    return rig;
  }

  /** Connects, from another address of this machine where one is given. */
  async connect(localAddress = HOST): Promise<Socket> {
    const socket = connect({ host: HOST, port: this.listener.port, localAddress });
    // Those that the listener closes are reset.
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  }

  /** Sends bytes over a connection of their own, as bioyino does. */
  async send(...messages: readonly Buffer[]): Promise<void> {
    const socket = await this.connect();
    socket.end(Buffer.concat(messages));
    await isClosed(socket);
  }

  get counts(): Record<IntakeCounter, number> {
    return this.counters.read();
  }

  get peer(): Record<PeerCounter, number> {
    return this.peerCounters.read();
  }

  get labels(): SnapshotLabel[] {
    return this.frames.map((frame) => readLabel(frame)!);
  }

  async until(counter: IntakeCounter | PeerCounter, value: number): Promise<void> {
    const read = (): number | undefined =>
      ({ ...this.counts, ...this.peer })[counter as IntakeCounter & PeerCounter];
    await waitFor(`${counter} ${value}, now ${read()}`, () => read() === value);
  }
}

/** Waits until a connection is closed, by a reset or not. */
async function isClosed(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
}

test("messages of both versions over one connection count in the interval at hand", async (context) => {
  const rig = await Rig.open(context);
  await rig.send(GOLDEN, SINGLE, REFUSED, GOLDEN);
  await rig.until("datagrams", 4);
  rig.nowMs += WRITER_OPTIONS.intervalMs;
  await waitFor("the interval's end", () => rig.frames.length > 0);
  const series = decodeFrame(rig.frames[0]!);
  assert.deepEqual(
    series.map(({ key, value, updates }) => [key, value, updates]),
    [
      ["a.b;k=v", 3, 2],
      ["a.b", 3, 1],
      ["ok", 1, 1],
      ["a.b;k=v", 3, 2],
    ],
  );
  const label = rig.labels[0]!;
  assert.equal(label.interval, INTERVAL);
  assert.equal(label.lowestOpen, INTERVAL + 1);
  assert.equal(label.entries, 4);
  assert.equal(label.lines, 6);
  await rig.until("snapshots", 1);
  const { counts, peer } = rig;
  assert.equal(counts.received, 21);
  assert.equal(counts.accepted, 4);
  assert.equal(counts.samples, 6);
  assert.equal(counts.received, counts.accepted + droppedLines(counts));
  assert.equal(counts["dropped.bad_tags"], 3);
  assert.equal(counts.bytes, 2 * GOLDEN.length + SINGLE.length + REFUSED.length);
  assert.equal(peer["messages.v1"], 1);
  assert.equal(peer["messages.v2"], 3);
});

test("snapshots are cut by the clock, and intervals closed though nothing comes", async (context) => {
  const rig = await Rig.open(context);
  await rig.send(GOLDEN);
  await rig.until("datagrams", 1);
  rig.nowMs += 1000;
  await waitFor("a snapshot", () => rig.frames.length === 1);
  rig.nowMs += 9000;
  await waitFor("the interval's end", () => rig.frames.length === 2);
  rig.nowMs += 10_000;
  await waitFor("the next one's end", () => rig.frames.length === 3);
  await rig.listener.close();
  assert.deepEqual(
    rig.labels.map(({ sequence, interval, lowestOpen, entries }) => [
      sequence,
      interval,
      lowestOpen,
      entries,
    ]),
    [
      [0, INTERVAL, INTERVAL, 1],
      [1, INTERVAL, INTERVAL + 1, 0],
      [2, INTERVAL + 1, INTERVAL + 2, 0],
      [3, INTERVAL + 2, INTERVAL + 3, 0],
    ],
  );
});

test("who does not count reads, checks and discards", async (context) => {
  let isCounting = false;
  const rig = await Rig.open(context, { isCounting: () => isCounting });
  await rig.send(GOLDEN, REFUSED);
  await rig.until("discardedMessages", 2);
  assert.equal(rig.peer.discardedMetrics, 19);
  assert.equal(rig.counts.received, 0);
  isCounting = true;
  await rig.send(GOLDEN);
  await rig.until("accepted", 1);
  await rig.listener.close();
  assert.equal(
    rig.labels.reduce((sum, { entries }) => sum + entries, 0),
    1,
  );
});

test("what cannot be read ends its connection, and nobody else's", async (context) => {
  const rig = await Rig.open(context, { limits: { messageBytesMax: 4096 } });
  const other = await rig.connect();
  other.write(GOLDEN.subarray(0, 50));
  const cases = [
    { bytes: Buffer.alloc(8, 0xff), fault: "malformed" },
    { bytes: Buffer.concat([GOLDEN, Buffer.from("GET / HTTP/1.1\r\n\r\n")]), fault: "malformed" },
    { bytes: Buffer.alloc(16), fault: "malformed" },
    { bytes: Buffer.from([0, 0, 0, 0, 0, 2, 0, 0]), fault: "too-large" },
  ] as const;
  let malformed = 0;
  for (const { bytes, fault } of cases) {
    const socket = await rig.connect();
    socket.write(bytes);
    await isClosed(socket);
    if (fault === "malformed") malformed += 1;
  }
  await rig.until("faults.malformed", malformed);
  await rig.until("faults.too-large", 1);
  assert.deepEqual(rig.faults, ["malformed"], "told once a second");
  other.end(GOLDEN.subarray(50));
  await rig.until("accepted", 2);
});

test("a message that its sender cuts off is counted, and what came before it counts", async (context) => {
  const rig = await Rig.open(context);
  await rig.send(GOLDEN, GOLDEN.subarray(0, GOLDEN.length - 1));
  await rig.until("faults.cut-off", 1);
  const socket = await rig.connect();
  socket.write(GOLDEN.subarray(0, 3));
  await rig.until("connections", 1);
  await rig.until("bytes", 2 * GOLDEN.length + 2);
  socket.resetAndDestroy();
  await rig.until("faults.cut-off", 2);
  assert.equal(rig.counts.accepted, 1);
});

test("connections are bounded, in all and by address", async (context) => {
  const rig = await Rig.open(context, { limits: { connectionsMax: 3, connectionsPerHostMax: 2 } });
  const first = await rig.connect();
  await rig.connect();
  await rig.until("connections", 2);
  await isClosed(await rig.connect());
  await rig.until("connectionsRefused", 1);
  await rig.connect("127.0.0.2");
  await rig.until("connections", 3);
  await isClosed(await rig.connect("127.0.0.3"));
  await rig.until("connectionsRefused", 2);
  first.end();
  await rig.until("connections", 2);
  const again = await rig.connect();
  again.write(GOLDEN);
  await rig.until("accepted", 1);
  assert.equal(rig.counts.connectionsAccepted, 4);
});

test("who is silent, or slow, is closed", async (context) => {
  const rig = await Rig.open(context, { limits: { idleTimeoutMs: 100, messageTimeoutMs: 300 } });
  await isClosed(await rig.connect());
  await rig.until("connectionsIdle", 1);
  const slow = await rig.connect();
  slow.write(GOLDEN.subarray(0, 20));
  await isClosed(slow);
  await rig.until("faults.timed-out", 1);
  assert.equal(rig.counts.connectionsIdle, 1);
  await rig.until("connections", 0);
});

test("where memory is short, whoever fills most of it has to go", async (context) => {
  const rig = await Rig.open(context, { limits: { partialBytesMax: 1 << 20 } });
  const announced = Buffer.from([0, 0, 0, 0, 0, 0, 64, 0]);
  const small = await rig.connect();
  small.write(GOLDEN.subarray(0, 100));
  const large = await rig.connect();
  large.write(Buffer.concat([announced, Buffer.alloc(2 << 20)]));
  await isClosed(large);
  await rig.until("faults.crowded", 1);
  small.end(GOLDEN.subarray(100));
  await rig.until("accepted", 1);
});

test("memory of connections that are gone is free again", async (context) => {
  const rig = await Rig.open(context, { limits: { partialBytesMax: 1 << 20 } });
  const begun = Buffer.alloc(300_000);
  begun.writeUInt32LE(50_000, 4);
  for (let turn = 1; turn <= 8; turn++) {
    await rig.send(begun);
    await rig.until("faults.cut-off", turn);
  }
  assert.equal(rig.peer["faults.crowded"], 0);
});

test("a connection on which one message follows the other is not slow", async (context) => {
  const rig = await Rig.open(context, { limits: { messageTimeoutMs: 400 } });
  const socket = await rig.connect();
  const half = GOLDEN.length / 2;
  const next = Buffer.concat([GOLDEN.subarray(half), GOLDEN.subarray(0, half)]);
  socket.write(GOLDEN.subarray(0, half));
  // Each turn takes a tick of the listener at least.
  for (let turn = 1; turn <= 12; turn++) {
    socket.write(next);
    await rig.until("accepted", turn);
  }
  socket.end(GOLDEN.subarray(half));
  await rig.until("accepted", 13);
  assert.equal(rig.peer["faults.timed-out"], 0);
});

test("peers wait while the store is behind", async (context) => {
  let isCrowded = true;
  const rig = await Rig.open(context, {
    isCrowded: () => isCrowded,
    limits: { idleTimeoutMs: 20, messageTimeoutMs: 20 },
  });
  const socket = await rig.connect();
  socket.write(GOLDEN);
  await rig.until("accepted", 1);
  socket.end(GOLDEN);
  const other = await rig.connect();
  other.end(GOLDEN);
  // Each ends an interval, which takes some ticks of the listener.
  for (let interval = 1; interval <= 3; interval++) {
    rig.nowMs += WRITER_OPTIONS.intervalMs;
    await waitFor("an interval's end", () => rig.frames.length >= interval);
  }
  assert.equal(rig.counts.accepted, 1);
  isCrowded = false;
  await rig.until("accepted", 3);
});

test("frames that find no room are lost and counted, and the interval is closed", async (context) => {
  const posted: SnapshotLabel[] = [];
  const rig = await Rig.open(context, {
    post: (frame) => {
      const label = readLabel(frame)!;
      if (label.entries > 0) return false;
      return posted.push(label) > 0;
    },
  });
  await rig.send(GOLDEN);
  await rig.until("accepted", 1);
  rig.nowMs += WRITER_OPTIONS.intervalMs;
  await rig.until("lostLines", 2);
  assert.equal(posted[0]!.lowestOpen, INTERVAL + 1);
  assert.equal(rig.counts.snapshots, 0);
});

test("at the end what is being sent is read, and what stands still is cut off", async (context) => {
  const rig = await Rig.open(context);
  const socket = await rig.connect();
  socket.write(GOLDEN.subarray(0, 60));
  await rig.until("bytes", 60);
  const closing = rig.listener.close();
  socket.write(Buffer.concat([GOLDEN.subarray(60), GOLDEN]));
  await closing;
  await isClosed(socket);
  assert.equal(rig.counts.accepted, 2);
  assert.equal(rig.peer["faults.cut-off"], 0);
  const label = rig.labels.at(-1)!;
  assert.equal(label.lowestOpen, INTERVAL + 1);
  assert.equal(rig.counts.samples, 4);
  await assert.rejects(rig.connect());
});

test("an address that is taken is the operator's fault", async (context) => {
  const rig = await Rig.open(context);
  const { port } = rig.listener;
  const options = { ...WRITER_OPTIONS, nowMs: () => TEST_NOW_MS, post: () => true, isCounting: () => true };
  const counters = { counters: rig.counters, peerCounters: rig.peerCounters };
  await assert.rejects(
    RustPeerListener.open({ host: HOST, port }, { ...options, ...counters }),
    (error) => error instanceof OperatorError && error.message.includes(String(port)),
  );
});
