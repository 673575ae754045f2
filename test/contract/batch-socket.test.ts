/** What both kinds of batch sockets must do alike. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { OperatorError } from "../../shared/errors.ts";
import {
  type BatchReceiver,
  CONTROL_DRAIN,
  chooseIo,
  openReceiver,
  openSender,
  type RemoteAddress,
} from "../../shared/udp.ts";
import { fill, HEADERS, type Kind, newBatch, receive } from "../support/receive-batch.ts";

const options = { receiveBufferBytes: 4 << 20, sharePort: false };
const loopbacks: readonly RemoteAddress[] = [
  { kind: "udp", host: "127.0.0.1", port: 0 },
  { kind: "udp", host: "::1", port: 0 },
];
/** Where packets for a receiver go. */
function remoteOf({ address }: BatchReceiver): RemoteAddress {
  assert.ok(address.kind === "udp" || address.kind === "unixgram");
  return address;
}

const preferred = await chooseIo("auto");
const kinds: readonly Kind[] = preferred === "mmsg" ? ["mmsg", "dgram"] : ["dgram"];
if (preferred !== "mmsg") console.error("batch sockets: mmsg cannot work here, only dgram is tested");

for (const io of kinds) {
  for (const address of loopbacks) {
    test(`${io}: sizes and order are kept over ${address.kind === "udp" ? address.host : ""}`, async () => {
      const receiver = await openReceiver(io, address, options);
      const batch = await newBatch(io);
      const sender = await openSender(io, remoteOf(receiver), {
        memory: batch.memory,
        queueBytesMax: 1 << 20,
      });
      const packets = ["", "a", "b".repeat(1400), "c".repeat(60_000), "\0\xff\n"].map((text) =>
        Buffer.from(text, "latin1"),
      );
      fill(batch, packets);
      sender.send(HEADERS, packets.length);
      await sender.flush();
      const texts = await receive(receiver, io, packets.length);
      assert.deepEqual(
        texts,
        packets.map((packet) => packet.toString("latin1")),
      );
      assert.equal(sender.tally.packetsSent, packets.length);
      assert.equal(sender.tally.linesSent, 3 * packets.length);
      assert.equal(
        sender.tally.bytesSent,
        packets.reduce((sum, packet) => sum + packet.length, 0),
      );
      assert.equal(receiver.kernelDrops(), 0);
      receiver.close();
      sender.close();
    });
  }

  test(`${io}: every packet is sent, refused or counted as lost`, async () => {
    const receiver = await openReceiver(io, loopbacks[0]!, options);
    const batch = await newBatch(io);
    const sender = await openSender(io, remoteOf(receiver), { memory: batch.memory, queueBytesMax: 1 << 20 });
    receiver.close();
    fill(
      batch,
      Array.from({ length: 10 }, () => Buffer.from("lost")),
    );
    for (let round = 0; round < 5; round++) {
      sender.send(HEADERS, 10);
      await sender.flush();
    }
    const { tally } = sender;
    const lost = Object.values(tally.linesLost).reduce((sum, lines) => sum + lines, 0);
    assert.equal(tally.linesSent + lost, 150);
    assert.ok(tally.refusals > 0, "the refusal was seen");
    fill(batch, [Buffer.alloc(65_530)]);
    sender.send(HEADERS, 1);
    await sender.flush();
    assert.equal(tally.linesLost.too_long + tally.linesLost.refused, lost + 3, "no datagram is that long");
    sender.close();
  });

  test(`${io}: a queue that is full drops and counts`, async () => {
    const receiver = await openReceiver(io, loopbacks[0]!, options);
    const batch = await newBatch(io);
    const sender = await openSender(io, remoteOf(receiver), { memory: batch.memory, queueBytesMax: 1000 });
    fill(
      batch,
      Array.from({ length: 10 }, () => Buffer.alloc(300)),
    );
    sender.send(HEADERS, 10);
    await sender.flush();
    assert.equal(sender.tally.linesSent + sender.tally.linesLost.queue_full, 30);
    assert.equal(sender.tally.linesLost.queue_full, io === "dgram" ? 21 : 0);
    receiver.close();
    sender.close();
  });

  test(`${io}: drops of the system are counted`, async () => {
    const receiver = await openReceiver(io, loopbacks[0]!, { ...options, receiveBufferBytes: 4096 });
    const { address } = receiver;
    assert.ok(address.kind === "udp");
    const client = createSocket("udp4");
    const datagram = Buffer.alloc(1000);
    for (let sent = 0; sent < 2000; sent++) {
      await new Promise((resolve) => client.send(datagram, address.port, address.host, resolve));
      if (sent % 100 === 99 && receiver.kernelDrops() > 0) break;
    }
    // node:dgram reads on its own as soon as it is bound, so only a socket that nobody reads fills up.
    if (io === "mmsg") assert.ok(receiver.kernelDrops() > 0);
    client.close();
    receiver.close();
  });

  test(`${io}: an address in use is refused with its name`, async () => {
    const taken = createSocket("udp4");
    taken.bind(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address();
    const address = { kind: "udp", host: "127.0.0.1", port } as const;
    for (const sharePort of [false, true]) {
      await assert.rejects(
        async () => openReceiver(io, address, { ...options, sharePort, isFirst: true }),
        (error) => error instanceof OperatorError && error.message.includes(`udp://127.0.0.1:${port}`),
      );
    }
    taken.close();
  });
}

for (const io of kinds) {
  test(`${io}: a receiver of :: takes IPv6 and IPv4`, async () => {
    const receiver = await openReceiver(io, { kind: "udp", host: "::", port: 0 }, options);
    assert.ok(receiver.address.kind === "udp");
    for (const [type, host] of [
      ["udp4", "127.0.0.1"],
      ["udp6", "::1"],
    ] as const) {
      const client = createSocket(type);
      const { port } = receiver.address;
      await new Promise<void>((resolve) => client.send(host, port, host, () => resolve()));
      client.close();
    }
    const texts = await receive(receiver, io, 2);
    assert.deepEqual(texts.sort(), ["127.0.0.1", "::1"]);
    receiver.close();
  });

  test(`${io}: a destination that no socket can be connected to is named`, async () => {
    const remote = { kind: "udp", host: "255.255.255.255", port: 9 } as const;
    const { memory } = await newBatch(io);
    await assert.rejects(
      openSender(io, remote, { memory, queueBytesMax: 0 }),
      (error) => error instanceof OperatorError && error.message.includes("udp://255.255.255.255:9"),
    );
  });
}

test("dgram: a receiver stops although datagrams never cease", async () => {
  const receiver = await openReceiver("dgram", loopbacks[0]!, options);
  const { address } = receiver;
  assert.ok(address.kind === "udp");
  const client = createSocket("udp4");
  let isOver = false;
  let sent = 0;
  const send = () => {
    sent += 1;
    if (!isOver) client.send("a", address.port, address.host, () => setImmediate(send));
  };
  send();
  const control = new Int32Array(new SharedArrayBuffer(4));
  Atomics.store(control, 0, CONTROL_DRAIN);
  await receiver.run(await newBatch("dgram"), { onBatch: () => true }, control);
  isOver = true;
  assert.ok(sent > 100);
  client.close();
  receiver.close();
});

test("mmsg: sockets of one process share a port", {
  skip: preferred !== "mmsg" && "no mmsg here",
}, async () => {
  const first = await openReceiver("mmsg", loopbacks[0]!, { ...options, sharePort: true, isFirst: true });
  const second = await openReceiver("mmsg", first.address, { ...options, sharePort: true });
  assert.deepEqual(second.address, first.address);
  await assert.rejects(
    async () => openReceiver("mmsg", first.address, { ...options, sharePort: true, isFirst: true }),
    OperatorError,
  );
  first.close();
  second.close();
});

test("mmsg: unix datagram sockets", { skip: preferred !== "mmsg" && "no mmsg here" }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "batch-"));
  const address = { kind: "unixgram", path: join(folder, "in.sock") } as const;
  const receiver = await openReceiver("mmsg", address, options);
  await assert.rejects(
    async () => openReceiver("mmsg", address, options),
    OperatorError,
    "it is listened on",
  );
  const batch = await newBatch("mmsg");
  const sender = await openSender("mmsg", address, { memory: batch.memory, queueBytesMax: 0 });
  fill(batch, [Buffer.from("one"), Buffer.from("two")]);
  sender.send(HEADERS, 2);
  assert.deepEqual(await receive(receiver, "mmsg", 2), ["one", "two"]);
  receiver.close();
  sender.close();
  await assert.rejects(async () => openReceiver("dgram", address, options), /io=mmsg/);
  const file = join(folder, "notes.txt");
  writeFileSync(file, "keep me");
  await assert.rejects(async () => openReceiver("mmsg", { kind: "unixgram", path: file }, options), /in use/);
  assert.equal(readFileSync(file, "utf8"), "keep me");
  const nowhere = { kind: "unixgram", path: join(folder, "none", "in.sock") } as const;
  await assert.rejects(async () => openReceiver("mmsg", nowhere, options), /folder does not exist/);
  const orphan = await openReceiver("mmsg", address, options);
  rmSync(address.path);
  orphan.close();
  rmSync(folder, { recursive: true });
});
