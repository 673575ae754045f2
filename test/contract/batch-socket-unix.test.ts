/** Unix datagram sockets as destinations: missing ones, ones made anew, ones that do not read. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chooseIo, openReceiver, openSender } from "../../shared/udp.ts";
import { fill, HEADERS, newBatch, receiveUntil } from "../support/receive-batch.ts";

const options = { receiveBufferBytes: 4 << 20, sharePort: false };
const skip = (await chooseIo("auto")) !== "mmsg" && "no mmsg here";
const folder = mkdtempSync(join(tmpdir(), "batch-unix-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

test("mmsg: a unix destination is found again when its socket is made anew", { skip }, async () => {
  const address = { kind: "unixgram", path: join(folder, "again.sock") } as const;
  const batch = await newBatch("mmsg");
  const sender = await openSender("mmsg", address, { memory: batch.memory, queueBytesMax: 0 });
  const send = (text: string) => {
    fill(batch, [Buffer.from(text)]);
    sender.send(HEADERS, 1);
  };
  send("nobody is there");
  assert.equal(sender.tally.linesLost.refused, 3);
  for (const round of [1, 2]) {
    const receiver = await openReceiver("mmsg", address, options);
    const before = sender.tally.packetsSent;
    // Connecting again is tried at intervals, so the first packets may still be refused.
    const endMs = Date.now() + 20_000;
    while (sender.tally.packetsSent === before && Date.now() < endMs) send(`round ${round}`);
    assert.deepEqual(await receiveUntil(receiver, "mmsg", (all) => all.length > 0), [`round ${round}`]);
    receiver.close();
    const lost: number = sender.tally.linesLost.refused;
    send("nobody is there any more");
    assert.equal(sender.tally.linesLost.refused, lost + 3);
    assert.ok(sender.tally.refusals > 0);
  }
  sender.close();
});

test("mmsg: a unix destination that does not read holds a thread up once", { skip }, async () => {
  const address = { kind: "unixgram", path: join(folder, "stuck.sock") } as const;
  const receiver = await openReceiver("mmsg", address, options);
  const batch = await newBatch("mmsg");
  const sender = await openSender("mmsg", address, { memory: batch.memory, queueBytesMax: 0 });
  fill(
    batch,
    Array.from({ length: 60 }, () => Buffer.from("x")),
  );
  const startMs = performance.now();
  for (let i = 0; i < 50; i++) sender.send(HEADERS, 60);
  const tookMs = performance.now() - startMs;
  assert.ok(sender.tally.linesLost.no_buffer > 0);
  assert.equal(sender.tally.linesLost.no_buffer + sender.tally.linesSent, 50 * 60 * 3);
  assert.ok(tookMs < 5_000, `${tookMs} ms`);
  const sent = sender.tally.packetsSent;
  await receiveUntil(receiver, "mmsg", (all) => all.length === sent);
  sender.send(HEADERS, 1);
  assert.equal(sender.tally.packetsSent, sent + 1);
  receiver.close();
  sender.close();
});

test("mmsg: a sender that may not wait never holds a thread up", { skip }, async () => {
  const address = { kind: "unixgram", path: join(folder, "hasty.sock") } as const;
  const receiver = await openReceiver("mmsg", address, options);
  const batch = await newBatch("mmsg");
  fill(
    batch,
    Array.from({ length: 60 }, () => Buffer.from("x")),
  );
  const durationsMs: number[] = [];
  for (let attempt = 0; attempt < 5; attempt++) {
    const options = { memory: batch.memory, queueBytesMax: 0, mayWait: false };
    const sender = await openSender("mmsg", address, options);
    const startMs = performance.now();
    for (let i = 0; i < 50; i++) sender.send(HEADERS, 60);
    durationsMs.push(performance.now() - startMs);
    const { linesSent, linesLost } = sender.tally;
    assert.ok(linesLost.no_buffer > 0);
    assert.equal(linesLost.no_buffer + linesSent, 50 * 60 * 3);
    sender.close();
  }
  // One that waits needs 100 ms at least; on a busy machine one of several has its turn in time.
  assert.ok(Math.min(...durationsMs) < 90, `${durationsMs} ms`);
  receiver.close();
});

test("dgram: a unix destination is refused with a remedy", async () => {
  const { memory } = await newBatch("dgram");
  const remote = { kind: "unixgram", path: join(folder, "any.sock") } as const;
  await assert.rejects(openSender("dgram", remote, { memory, queueBytesMax: 0 }), /io=mmsg/);
});

test("mmsg: a unix destination that is no socket is refused by name", { skip }, async () => {
  const { memory } = await newBatch("mmsg");
  const path = join(folder, "a".repeat(120));
  const long = { kind: "unixgram", path } as const;
  await assert.rejects(openSender("mmsg", long, { memory, queueBytesMax: 0 }), /107 bytes/);
});

test("mmsg: the unix socket of whoever came next is left", { skip }, async () => {
  const address = { kind: "unixgram", path: join(folder, "handed-on.sock") } as const;
  const receiver = await openReceiver("mmsg", address, options);
  rmSync(address.path);
  const next = await openReceiver("mmsg", address, options);
  receiver.close();
  assert.ok(existsSync(address.path));
  next.close();
  assert.ok(!existsSync(address.path));
});
