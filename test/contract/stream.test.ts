/** Streams of lines over real TCP and unix sockets: limits, ends of connections, draining, addresses. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { OperatorError } from "../../shared/errors.ts";
import { CONTROL_DRAIN, CONTROL_LEAVE, openReceiver } from "../../shared/udp.ts";
import { newBatch, newControl, textsOf } from "../support/receive-batch.ts";
import { SUBJECT_LIMITS as limits, StreamSubject } from "../support/stream-subject.ts";
import { waitFor } from "../support/wait-for.ts";

const folder = mkdtempSync(join(tmpdir(), "stream-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const tcp = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
const unix = { kind: "unix", path: join(folder, "in.sock") } as const;

for (const address of [tcp, unix]) {
  test(`${address.kind}: lines of all connections come whole, and the rest of one at its end`, async () => {
    const subject = await StreamSubject.start(address);
    const clients = [await subject.connect(), await subject.connect()];
    for (const [i, client] of clients.entries()) {
      client.write(`begin.${i}:1|c\nhalf.${i}`);
    }
    await waitFor("both beginnings", () => subject.texts.length === 2);
    assert.deepEqual(subject.texts.splice(0).sort(), ["begin.0:1|c\n", "begin.1:1|c\n"]);
    for (const [i, client] of clients.entries()) client.end(`:2|c\nend.${i}:3|c`);
    await waitFor("both ends", () => subject.tally.connections === 0);
    await waitFor("all slots", () => subject.texts.length === 4);
    const expected = [0, 1].flatMap((i) => [`half.${i}:2|c\n`, `end.${i}:3|c`]);
    assert.deepEqual(subject.texts.sort(), expected.sort());
    assert.equal(subject.tally.accepted, 2);
    assert.equal(subject.receiver.io, "stream");
    assert.equal(subject.receiver.kernelDrops(), 0);
    await subject.close();
  });

  test(`${address.kind}: lines that are too long are skipped and counted`, async () => {
    const subject = await StreamSubject.start(address);
    const client = await subject.connect();
    client.end(`a\n${"b".repeat(101)}\nc\n${"d".repeat(70_000)}`);
    await waitFor("the end", () => subject.tally.connections === 0 && subject.tally.accepted === 1);
    await subject.close();
    assert.equal(subject.text, "a\nc\n");
    assert.equal(subject.tally.linesTooLong, 2);
    assert.equal(subject.tally.bytesTooLong, 70_101);
  });

  test(`${address.kind}: connections beyond the bound are closed at once and counted`, async () => {
    const subject = await StreamSubject.start(address, { connectionsMax: 2 });
    const clients = [await subject.connect(), await subject.connect()];
    await waitFor("two connections", () => subject.tally.connections === 2);
    const third = await subject.connect();
    third.resume();
    await once(third, "close");
    assert.equal(subject.tally.refused, 1);
    assert.equal(subject.tally.accepted, 2);
    clients[0]!.end("a\n");
    await waitFor("room for another", () => subject.tally.connections === 1);
    const fourth = await subject.connect();
    fourth.end("b\n");
    await waitFor("its line", () => subject.text === "a\nb\n");
    clients[1]!.destroy();
    await subject.close();
  });

  test(`${address.kind}: idle connections are closed and counted, with their last line`, async () => {
    const subject = await StreamSubject.start(address, { idleTimeoutMs: 300 });
    const client = await subject.connect();
    const busy = await subject.connect();
    client.write("unfinished:1|c");
    client.resume();
    let isOver = false;
    const talk = () => isOver || busy.write("x\n", () => setImmediate(talk));
    talk();
    await once(client, "close");
    isOver = true;
    assert.equal(subject.tally.idleClosed, 1);
    assert.ok(subject.texts.includes("unfinished:1|c"));
    busy.destroy();
    await subject.close();
  });

  test(`${address.kind}: clients are told to go, and what they still say is read`, async () => {
    for (const word of [CONTROL_DRAIN, CONTROL_LEAVE]) {
      const subject = await StreamSubject.start(address);
      const clients = [await subject.connect(), await subject.connect(), await subject.connect()];
      await waitFor("the connections", () => subject.tally.connections === 3);
      clients[0]!.write("unfinished");
      // Node closes a client's side of its own, once all of this is sent.
      clients[1]!.resume().write("many\n".repeat(100_000));
      clients[2]!.resume().write("last\n");
      const stopped = subject.stop(word);
      await once(clients[1]!, "close");
      await stopped;
      const lines = subject.text.split("\n");
      assert.equal(lines.filter((line) => line === "many").length, 100_000);
      assert.equal(lines.filter((line) => line === "last").length, 1);
      assert.ok(subject.texts.includes("unfinished"));
      subject.receiver.close();
      subject.receiver.close();
      await assert.rejects(subject.connect(), /ECONNREFUSED|ENOENT/);
      clients[0]!.destroy();
    }
  });
}

/** Says a line over each of `count` connections; argv: count and where to connect to. */
const CROWD = `
  const [count, target] = process.argv.slice(1).map(JSON.parse);
  let said = 0;
  const onSaid = () => { if (++said === count) process.exit(0); };
  for (let i = 0; i < count; i++) require("node:net").connect(target).end("a:1|c\\n", onSaid);
`;

for (const address of [tcp, unix]) {
  test(`${address.kind}: all who wait to be accepted are heard before a stop`, async () => {
    const subject = await StreamSubject.start(address, { connectionsMax: 100 });
    const { address: bound } = subject.receiver;
    // Meanwhile this thread accepts nobody, and then the stop comes first.
    const { status } = spawnSync(process.execPath, ["-e", CROWD, "50", JSON.stringify(bound)]);
    assert.equal(status, 0);
    await subject.stop();
    subject.receiver.close();
    assert.equal(subject.tally.accepted, 50);
    assert.equal(subject.text, "a:1|c\n".repeat(50));
  });
}

test("tcp: a client that was silent before is heard when it is told to go", async () => {
  const subject = await StreamSubject.start(tcp);
  const client = await subject.connect();
  let ticks = 0;
  const { streamTally } = subject.receiver;
  client.resume().on("end", () => client.end("parting:1|c\n"));
  await waitFor("a long silence", () => streamTally?.connections === 1 && ++ticks > 20);
  await subject.close();
  assert.equal(subject.text, "parting:1|c\n");
});

test("tcp: clients wait while nobody reads", async () => {
  const options = { receiveBufferBytes: 0, sharePort: false, stream: limits };
  const receiver = await openReceiver("dgram", tcp, options);
  assert.ok(receiver.address.kind === "tcp");
  const client = connect(receiver.address.port, "127.0.0.1");
  const chunk = Buffer.from("0123456789abcde\n".repeat(65_536));
  // More than the sockets of both sides can hold.
  for (let i = 0; i < 64; i++) client.write(chunk);
  await waitFor("a connection", () => receiver.streamTally?.connections === 1);
  await waitFor("a client that waits", () => client.writableLength > 0);
  const batch = await newBatch("dgram");
  let bytes = 0;
  const control = newControl();
  const onBatch = (received: number): boolean => {
    for (const text of textsOf(batch, received)) bytes += text.length;
    if (bytes === 64 * chunk.length) Atomics.store(control, 0, CONTROL_DRAIN);
    return true;
  };
  await receiver.run(batch, { onBatch }, control);
  assert.equal(bytes, 64 * chunk.length);
  client.destroy();
  receiver.close();
});

test("tcp: the unfinished line of a connection that is reset is dropped and counted", async () => {
  const subject = await StreamSubject.start(tcp);
  const client = await subject.connect();
  client.write("whole:1|c\ncut:1");
  await waitFor("the line", () => subject.text === "whole:1|c\n");
  client.resetAndDestroy();
  await waitFor("the reset", () => subject.tally.connections === 0);
  await subject.close();
  assert.equal(subject.text, "whole:1|c\n");
  assert.equal(subject.tally.linesCut, 1);
});

test("tcp: what was read in a pause is kept although the connection is reset", async () => {
  const options = { receiveBufferBytes: 0, sharePort: false, stream: limits };
  const receiver = await openReceiver("dgram", tcp, options);
  assert.ok(receiver.address.kind === "tcp");
  const client = connect(receiver.address.port, "127.0.0.1");
  client.on("error", () => {});
  const batch = await newBatch("dgram");
  const control = newControl();
  let text = "";
  const onBatch = (received: number): boolean => {
    text += textsOf(batch, received).join("");
    return received === 0;
  };
  client.write("before\n");
  await receiver.run(batch, { onBatch }, control);
  client.write("pause\ncut");
  let turns = 0;
  await waitFor("time for reading", () => ++turns > 5);
  client.resetAndDestroy();
  await waitFor("time for the reset", () => ++turns > 10);
  Atomics.store(control, 0, CONTROL_DRAIN);
  await receiver.run(batch, { onBatch }, control);
  assert.equal(text, "before\npause\n");
  assert.equal(receiver.streamTally?.linesCut, 1);
  receiver.close();
});

test("tcp: :: takes IPv6 and IPv4", async () => {
  const subject = await StreamSubject.start({ ...tcp, host: "::" });
  const { address } = subject.receiver;
  assert.ok(address.kind === "tcp" && address.port > 0);
  for (const host of ["127.0.0.1", "::1"]) connect(address.port, host).end("a\n");
  await waitFor("both", () => subject.text === "a\na\n");
  await subject.close();
});

test("addresses that cannot be had are refused by name", async () => {
  const options = { receiveBufferBytes: 0, sharePort: false };
  const taken = createServer();
  taken.listen(0, "127.0.0.1");
  await once(taken, "listening");
  const bound = taken.address();
  assert.ok(bound !== null && typeof bound === "object");
  await assert.rejects(
    openReceiver("dgram", { ...tcp, port: bound.port }, options),
    (error) => error instanceof OperatorError && error.message.includes(`tcp://127.0.0.1:${bound.port}`),
  );
  taken.close();
  const file = join(folder, "notes.txt");
  writeFileSync(file, "keep me");
  await assert.rejects(openReceiver("dgram", { kind: "unix", path: file }, options), /unix:.*in use/);
  assert.equal(readFileSync(file, "utf8"), "keep me");
  const nowhere = { kind: "unix", path: join(folder, "none", "in.sock") } as const;
  await assert.rejects(openReceiver("dgram", nowhere, options), /folder does not exist/);
  const long = join(folder, "a".repeat(120));
  await assert.rejects(openReceiver("dgram", { kind: "unix", path: long }, options), /107 bytes/);
});

test("unix: a living socket is left, a stale one is replaced, its own is removed", async () => {
  const options = { receiveBufferBytes: 0, sharePort: false };
  const receiver = await openReceiver("dgram", unix, options);
  await assert.rejects(openReceiver("dgram", unix, options), OperatorError);
  assert.ok(existsSync(unix.path));
  // A socket whose file is still there although nobody listens any more.
  renameSync(unix.path, `${unix.path}.stale`);
  receiver.close();
  renameSync(`${unix.path}.stale`, unix.path);
  const next = await openReceiver("dgram", unix, options);
  next.close();
  assert.ok(!existsSync(unix.path));
});

test("unix: the file of whoever came next is left", async () => {
  const options = { receiveBufferBytes: 0, sharePort: false };
  const path = join(folder, "handed-on.sock");
  const subject = await StreamSubject.start({ kind: "unix", path });
  // It accepts nobody any more, so its address is free.
  await subject.stop();
  const next = await openReceiver("dgram", { kind: "unix", path }, options);
  subject.receiver.close();
  const client = connect(path);
  await once(client, "connect");
  client.destroy();
  next.close();
  assert.ok(!existsSync(path));
});
