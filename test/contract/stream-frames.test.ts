/** Streams of frames, as DogStatsD clients write them to unix stream sockets. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { LengthFramer } from "../../shared/length-framer.ts";
import type { StreamTally } from "../../shared/udp.ts";
import { StreamSubject } from "../support/stream-subject.ts";
import { waitFor } from "../support/wait-for.ts";

const folder = mkdtempSync(join(tmpdir(), "stream-frames-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const listen = { kind: "unix", path: join(folder, "in.sock") } as const;

function frame(text: string): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(Buffer.byteLength(text));
  return Buffer.concat([head, Buffer.from(text)]);
}

const start = (): Promise<StreamSubject> => StreamSubject.start(listen, { framing: "length" });

test("frames of several connections, whole and in pieces, are slots", async () => {
  const subject = await start();
  const [one, other] = [await subject.connect(), await subject.connect()];
  const large = "b:2|c\n".repeat(8_000);
  const bytes = Buffer.concat([frame("a:1|c"), frame(""), frame(large), frame("c:3|c\nd:4|c\n")]);
  one.write(bytes.subarray(0, 6));
  await waitFor("the connection", () => subject.tally.connections === 2);
  other.end(frame("other:1|c"));
  await waitFor("the other's frame", () => subject.texts.length === 1);
  for (let at = 6; at < bytes.length; at += 10_007) one.write(bytes.subarray(at, at + 10_007));
  one.end();
  await waitFor("all frames", () => subject.texts.length === 4);
  await waitFor("the end", () => subject.tally.connections === 0);
  assert.deepEqual(subject.texts, ["other:1|c", "a:1|c", large, "c:3|c\nd:4|c\n"]);
  assert.equal(subject.tally.linesCut, 0);
  assert.equal(subject.tally.linesTooLong, 0);
  await subject.close();
});

test("a frame that fits into no slot ends its connection and is counted", async () => {
  const subject = await start();
  const client = await subject.connect();
  const head = Buffer.alloc(4);
  head.writeUInt32LE(65_537);
  client.write(Buffer.concat([frame("a:1|c"), head, Buffer.alloc(100)]));
  await new Promise<void>((resolve) => client.resume().once("close", () => resolve()));
  await waitFor("the end", () => subject.tally.connections === 0);
  await subject.close();
  assert.deepEqual(subject.texts, ["a:1|c"]);
  assert.equal(subject.tally.linesTooLong, 1);
  assert.equal(subject.tally.linesCut, 0);
});

test("the largest frame fits", async () => {
  const subject = await start();
  const client = await subject.connect();
  const text = `${"x".repeat(65_530)}:1|c\n\n`;
  client.end(frame(text));
  await waitFor("the frame", () => subject.texts.length === 1);
  assert.equal(subject.text, text);
  await subject.close();
});

test("unfinished frames are dropped and counted, however their connections end", async () => {
  const subject = await StreamSubject.start(listen, { framing: "length", idleTimeoutMs: 300 });
  const ended = await subject.connect();
  ended.end(frame("ended:1|c").subarray(0, 8));
  await waitFor("its end", () => subject.tally.linesCut === 1);
  const short = await subject.connect();
  short.end(Buffer.from([1, 0]));
  await waitFor("the end in a length", () => subject.tally.linesCut === 2);
  const idle = await subject.connect();
  idle.resume().write(frame("idle:1|c").subarray(0, 8));
  await waitFor("the idle one", () => subject.tally.linesCut === 3);
  assert.equal(subject.tally.idleClosed, 1);
  const drained = await subject.connect();
  drained.write(frame("drained:1|c").subarray(0, 8));
  await waitFor("its connection", () => subject.tally.connections === 1);
  await subject.close();
  assert.equal(subject.tally.linesCut, 4);
  assert.equal(subject.text, "");
  drained.destroy();
});

test("the file of a unix socket gets the permissions that are asked for", async () => {
  for (const socketMode of [0o600, 0o666]) {
    const subject = await StreamSubject.start(listen, {}, { socketMode });
    assert.equal(statSync(listen.path).mode & 0o777, socketMode);
    await subject.close();
  }
});

test("random frames in random pieces come out as they went in", () => {
  const texts = fc.array(fc.oneof(fc.string({ maxLength: 20 }), fc.string({ minLength: 200 })), {
    maxLength: 30,
  });
  const cuts = fc.array(fc.nat(400), { maxLength: 60 });
  fc.assert(
    fc.property(texts, cuts, (frames, lengths) => {
      const tally: StreamTally = {
        connections: 0,
        accepted: 0,
        refused: 0,
        idleClosed: 0,
        handshakesFailed: 0,
        linesTooLong: 0,
        bytesTooLong: 0,
        linesCut: 0,
      };
      const taken: string[] = [];
      const framer = new LengthFramer(
        tally,
        (head, chunk, from, to) => taken.push(Buffer.concat([head, chunk.subarray(from, to)]).toString()),
        () => assert.fail("the stream is in order"),
      );
      const bytes = Buffer.concat(frames.map(frame));
      let at = 0;
      for (const length of [...lengths, bytes.length]) {
        // A chunk is only lent: what is kept of it must be a copy.
        const chunk = Buffer.from(bytes.subarray(at, at + length));
        framer.push(chunk);
        chunk.fill(0);
        at += length;
      }
      framer.end();
      assert.deepEqual(
        taken,
        frames.filter((text) => text !== ""),
      );
      assert.equal(tally.linesCut, 0);
    }),
  );
});
