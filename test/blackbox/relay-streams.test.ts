/** Lines that come in over TCP and unix streams. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { rmSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { seededRandom } from "../../shared/random.ts";
import type { TestDaemon } from "../support/daemons.ts";
import {
  closeBooks,
  connectTo,
  dropped,
  IO,
  KINDS,
  named,
  newFolder,
  openSink,
  openSinks,
  sendLines,
  startWith,
} from "../support/relay-rig.ts";
import { collectLines } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const TCP = "listen[] = tcp://127.0.0.1:0";
const CONNECTIONS = "statsrelay_connections";
const ACCEPTED = "statsrelay_connections_accepted_total";
const CLOSED = "statsrelay_connections_closed_total";

/** Resolves when the other side has ended the connection, however. */
function ended(socket: Socket): Promise<unknown> {
  return socket.destroyed ? Promise.resolve() : once(socket, "close");
}

/** Waits until so many connections are open. */
function open(relay: TestDaemon, count: number): Promise<unknown> {
  return relay.until(`${count} connections`, (now) => now.sum(CONNECTIONS) === count);
}

for (const io of KINDS) {
  test(`${io}: many TCP connections bring lines that are cut anywhere`, async (t) => {
    const sinks = await openSinks(t, 3);
    const relay = await startWith(t, `${named(sinks)}\n${TCP}`, io);
    const random = seededRandom(7);
    const clients = Array.from({ length: 40 }, async (_, client) => {
      const lines = Array.from({ length: 100 }, (__, number) => `tcp.${client}.${number}:1|c`);
      const socket = await connectTo(t, relay.ports[0]!);
      const text = `${lines.join(client % 2 === 0 ? "\n" : "\r\n")}\n`;
      for (let at = 0; at < text.length; ) {
        const length = random.between(1, 400);
        const piece = text.slice(at, at + length);
        await new Promise((resolve) => socket.write(piece, resolve));
        at += piece.length;
      }
      socket.end();
      return lines;
    });
    const wanted = (await Promise.all(clients)).flat().sort();
    const got = await collectLines(sinks, wanted.length);
    assert.deepEqual(
      got.map((line) => line.replace("\r", "")),
      wanted,
    );
    const metrics = await closeBooks(relay, wanted.length);
    assert.equal(metrics.sum(ACCEPTED), 40);
    await open(relay, 0);
  });
}

test("a unix stream socket takes lines, and its file is gone with the relay", async (t) => {
  const sink = await openSink(t);
  const path = join(newFolder(t), "in.sock");
  const relay = await startWith(t, `${named([sink])}\nlisten[] = unix://${path}`);
  const socket = await connectTo(t, path);
  // The last line has no line feed, but an end.
  socket.end("a:1|c\nb:2|g\nnocolon\nlast:3|c");
  assert.deepEqual(await collectLines([sink], 3), ["a:1|c", "b:2|g", "last:3|c"]);
  const metrics = await closeBooks(relay, 4);
  assert.equal(dropped(metrics, "no_colon"), 1);
  await relay.stop();
  assert.throws(() => rmSync(path), /ENOENT/);
});

test("line-bytes-max skips longer lines and counts them, and the stream goes on", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\n${TCP}\nline-bytes-max = 100`);
  const socket = await connectTo(t, relay.ports[0]!);
  const fitting = `${"f".repeat(96)}:1|c`;
  assert.equal(fitting.length, 100);
  socket.write(`a:1|c\n${fitting}\n${"x".repeat(97)}:1|c\n${"y".repeat(300_000)}:1|c\nb:1|c\n`);
  assert.deepEqual(await collectLines([sink], 3), ["a:1|c", "b:1|c", fitting]);
  const metrics = await closeBooks(relay, 5);
  assert.equal(dropped(metrics, "line_too_long"), 2);
});

test("idle-timeout closes silent connections and no others", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\n${TCP}\nidle-timeout = 1s`);
  const [silent, busy] = [await connectTo(t, relay.ports[0]!), await connectTo(t, relay.ports[0]!)];
  // Its line was finished by nothing but its end.
  silent.write("whole:1|c\nhalf:1|c");
  let lines = 0;
  let isSilentClosed = false;
  void ended(silent).then(() => {
    isSilentClosed = true;
  });
  await waitFor("the end of the silent one", () => {
    busy.write("busy:1|c\n");
    lines += 1;
    return isSilentClosed;
  });
  assert.equal(busy.destroyed, false);
  const metrics = await closeBooks(relay, lines + 2);
  assert.equal(metrics.sum(CLOSED, 'reason="idle"'), 1);
  assert.equal(metrics.sum(CONNECTIONS), 1);
  await collectLines([sink], lines + 2);
  assert.ok(sink.lines.includes("half:1|c"));
});

test("connections-max closes further connections at once, until there is room", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\n${TCP}\nconnections-max = 3`);
  const port = relay.ports[0]!;
  const first = [await connectTo(t, port), await connectTo(t, port), await connectTo(t, port)];
  await open(relay, 3);
  await ended(await connectTo(t, port));
  const metrics = await relay.until("a refusal", (now) => now.sum(CLOSED, 'reason="refused"') >= 1);
  assert.equal(metrics.sum(CONNECTIONS), 3);
  first[0]!.end("gone:1|c\n");
  await open(relay, 2);
  const next = await connectTo(t, port);
  await open(relay, 3);
  next.write("next:1|c\n");
  first[1]!.write("stayed:1|c\n");
  assert.deepEqual(await collectLines([sink], 3), ["gone:1|c", "next:1|c", "stayed:1|c"]);
  await closeBooks(relay, 3);
});

test("a client that resets its connection loses half a line and no more", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\n${TCP}`);
  const socket = await connectTo(t, relay.ports[0]!);
  socket.write("whole:1|c\nhal");
  await closeBooks(relay, 1);
  socket.resetAndDestroy();
  const metrics = await closeBooks(relay, 2);
  assert.equal(dropped(metrics, "cut"), 1);
  assert.deepEqual(await collectLines([sink], 1), ["whole:1|c"]);
});

test("datagrams and streams of every kind come in side by side", async (t) => {
  const sinks = await openSinks(t, 2);
  const path = join(newFolder(t), "in.sock");
  const listen = `listen[] = udp://127.0.0.1:0\n${TCP}\nlisten[] = unix://${path}`;
  const relay = await startWith(t, `${named(sinks)}\n${listen}\nthreads = ${IO === "mmsg" ? 2 : 1}`);
  await sendLines(relay, ["udp:1|c"]);
  (await connectTo(t, relay.ports[1]!)).end("tcp:1|c\n");
  (await connectTo(t, path)).end("unix:1|c\n");
  assert.deepEqual(await collectLines(sinks, 3), ["tcp:1|c", "udp:1|c", "unix:1|c"]);
  const metrics = await closeBooks(relay, 3);
  for (const scheme of ["udp", "tcp", "unix"]) {
    assert.equal(metrics.sum("statsrelay_lines_received_total", `listen="${scheme}:`), 1, scheme);
  }
});

test("at SIGTERM streams are told to end, and what they say until then arrives", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\n${TCP}\nflush-interval = 1m`);
  const socket = await connectTo(t, relay.ports[0]!);
  socket.on("end", () => socket.end("farewell:1|c\n"));
  socket.write("first:1|c\n");
  await closeBooks(relay, 1);
  assert.deepEqual(await relay.stop(), { code: 0, signal: null });
  assert.deepEqual(await collectLines([sink], 2), ["farewell:1|c", "first:1|c"]);
  assert.equal(relay.events("relay.stopped")[0]?.accepted, 2);
});
