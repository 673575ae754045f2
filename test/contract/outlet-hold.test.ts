// The policy `hold`: what waits for a destination that is down, and how it comes back.
import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { type TestContext, test } from "node:test";
import type { ChannelOrder, OutletOptions } from "../../relay/outlet/order.ts";
import { channelOrder, newSpoolDir, OutletRig } from "../support/outlet-rig.ts";
import { TcpSink } from "../support/tcp-sink.ts";
import { collectLines, UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

/** A rig with one holding channel whose destination is down. */
function downRig(
  t: TestContext,
  fields: Partial<ChannelOrder>,
  options: Partial<OutletOptions> = {},
): OutletRig {
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { policy: "hold", ...fields })], options);
  rig.tell({ kind: "state", id: 1, isUp: false });
  return rig;
}

test("hold: nothing leaves while down, gauges come back first and only the newest of each", async (t) => {
  const sink = await TcpSink.start();
  const rig = downRig(t, { port: sink.port });
  rig.send(1, ["level:1|g\nhits:1|c\n", "level:+5|g\nlevel,zone=b:7|g|#host:x\n"]);
  rig.send(1, ["level:10|g\nhits:2|c\n", "level:-3|g\n", "level:+1|g\ntime:5|ms\n"]);
  await rig.until(1, "held", ({ linesTaken, linesQueued }) => linesTaken === 9 && linesQueued === 0);
  const held = rig.counters(1);
  assert.deepEqual([held.linesSent, held.linesHeld, held.lost_gauge_superseded], [0, 7, 2]);
  rig.tell({ kind: "state", id: 1, isUp: true });
  await waitFor("lines", () => sink.lines.length === 7);
  assert.deepEqual(sink.lines.slice(0, 4), [
    "level,zone=b:7|g|#host:x",
    "level:10|g",
    "level:-3|g",
    "level:+1|g",
  ]);
  assert.deepEqual(sink.lines.slice(4), ["hits:1|c", "hits:2|c", "time:5|ms"]);
  await rig.drain();
  assert.equal(rig.counters(1).linesReplayed, 7);
  await sink.stop();
});

test("hold: replay keeps to its rate, and new lines do not wait for it", async (t) => {
  const sink = await TcpSink.start();
  const rig = downRig(t, { port: sink.port }, { replayLinesPerSecond: 1_000 });
  rig.send(
    1,
    Array.from({ length: 1_000 }, (_, i) => `old.${i}:1|c\n`),
  );
  await rig.until(1, "held", ({ linesHeld }) => linesHeld === 1_000);
  const startedMs = performance.now();
  rig.tell({ kind: "state", id: 1, isUp: true });
  rig.send(1, ["new:1|c\n"]);
  await waitFor("the new line", () => sink.lines.includes("new:1|c"));
  assert.ok(rig.counters(1).linesHeld > 500);
  await rig.until(1, "replayed", ({ linesSent }) => linesSent === 1_001);
  assert.ok(performance.now() - startedMs >= 700, "the replay was too fast");
  await rig.drain();
  await sink.stop();
});

test("hold: a new value of a gauge that is not replayed yet replaces the held one", async (t) => {
  const sink = await TcpSink.start();
  const rig = downRig(t, { port: sink.port }, { replayLinesPerSecond: 200 });
  rig.send(1, [Array.from({ length: 100 }, (_, i) => `g.${i}:1|g\n`).join("")]);
  await rig.until(1, "held", ({ linesHeld }) => linesHeld === 100);
  rig.tell({ kind: "state", id: 1, isUp: true });
  rig.send(1, ["g.99:2|g\nother:1|c\n"]);
  await rig.until(1, "replayed", ({ linesSent, linesHeld }) => linesSent === 101 && linesHeld === 0);
  await rig.drain();
  assert.deepEqual(
    sink.lines.filter((line) => line.startsWith("g.99:")),
    ["g.99:2|g"],
  );
  assert.equal(rig.counters(1).lost_gauge_superseded, 1);
  await sink.stop();
});

test("hold: what was queued for a connection that is gone is held too", async (t) => {
  const sink = await TcpSink.start();
  await sink.stop();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { policy: "hold", port: sink.port })]);
  rig.send(1, ["g:1|g\n", "hits:1|c\n"]);
  await rig.until(1, "queued", ({ linesQueued }) => linesQueued === 2);
  rig.tell({ kind: "state", id: 1, isUp: false });
  rig.send(1, ["g:2|g\n"]);
  await rig.until(1, "held", ({ linesHeld, linesTaken }) => linesTaken === 3 && linesHeld === 2);
  await sink.restart();
  rig.tell({ kind: "state", id: 1, isUp: true });
  await waitFor("lines", () => sink.lines.length === 2);
  assert.deepEqual(sink.lines, ["g:2|g", "hits:1|c"]);
  await rig.drain();
  await sink.stop();
});

test("hold: memory is bounded, and so is age", async (t) => {
  const rig = downRig(t, { port: 9 }, { holdBytesMax: 20_000, holdAgeMs: 400, connectTimeoutMs: 100 });
  rig.send(
    1,
    Array.from({ length: 300 }, (_, i) => `a.${i}:1|c\nb.${i}:1|g\n`),
  );
  await rig.until(1, "pushed out", ({ lost_queue_full }) => lost_queue_full > 0);
  await rig.until(
    1,
    "too old",
    ({ lost_too_old, lost_queue_full }) => lost_too_old + lost_queue_full === 600,
  );
  await rig.drain(0);
});

test("hold: what the queue has no room for is held instead of lost", async (t) => {
  const sink = await TcpSink.start();
  await sink.stop();
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { policy: "hold", port: sink.port })], { queueBytesMax: 10_000 });
  rig.send(
    1,
    Array.from({ length: 500 }, (_, i) => `a.${i}:1|c\n`),
  );
  await rig.until(
    1,
    "both",
    ({ linesQueued, linesHeld }) => linesQueued > 0 && linesQueued + linesHeld === 500,
  );
  await sink.restart();
  await rig.until(1, "all sent", ({ linesSent }) => linesSent === 500);
  await rig.drain();
  assert.equal(new Set(sink.lines).size, 500);
  await sink.stop();
});

test("hold: UDP", async (t) => {
  const sink = await UdpSink.open();
  const rig = downRig(t, { protocol: "udp", port: Number(sink.destination.split(":")[1]) });
  await rig.until(1, "connected and down", ({ connected }) => connected === 1);
  const sent = Array.from({ length: 500 }, (_, i) => `a.${i}:1|c\n`);
  rig.send(1, sent);
  await rig.until(1, "held", ({ linesHeld }) => linesHeld === 500);
  rig.tell({ kind: "state", id: 1, isUp: true });
  rig.send(1, ["new:1|c\n"]);
  const expected = [...sent, "new:1|c\n"].map((line) => line.slice(0, -1)).sort();
  assert.deepEqual(await collectLines([sink], 501), expected);
  await sink.close();
  rig.send(1, ["gone:1|c\n"]);
  rig.send(1, ["gone:2|c\n"]);
  await rig.until(1, "taken", ({ linesTaken, linesQueued }) => linesTaken === 503 && linesQueued === 0);
  await rig.drain();
});

test("unix datagrams cannot leave from here: counted as error", async (t) => {
  const rig = new OutletRig(t);
  rig.order([channelOrder(1, { protocol: "unixgram", path: "/no/such/socket", policy: "hold" })]);
  rig.send(1, ["a:1|c\n"]);
  await rig.until(1, "lost", ({ lost_error }) => lost_error === 1);
  await rig.drain();
});

test("spool: lines and gauges survive a drain, and are told apart by key", async (t) => {
  const spoolDir = newSpoolDir();
  const first = downRig(t, { port: 9 }, { spoolDir });
  const sent = Array.from({ length: 1_000 }, (_, i) => `a.${i}:1|c\nb.${i}:1|g\n`);
  first.send(1, sent);
  first.send(1, ["b.5:2|g\n"]);
  await first.until(1, "spooled", ({ linesSpooled, linesHeld }) => linesSpooled + linesHeld === 2_000);
  assert.equal(first.counters(1).linesSpooled, 1_000);
  await first.drain(0);
  const left = first.counters(1);
  assert.deepEqual([left.linesSpooled, left.lost_shutdown, left.lost_gauge_superseded], [2_000, 0, 1]);

  const other = new OutletRig(t);
  other.order([channelOrder(7, { policy: "hold", port: 9, key: "other key" })], { spoolDir });
  await waitFor("the warning", () => other.events.includes("relay.spool_unclaimed"));
  assert.equal(other.counters(7).linesRestored, 0);
  await other.drain(0);

  const sink = await TcpSink.start();
  const second = new OutletRig(t);
  second.order([channelOrder(1, { policy: "hold", port: sink.port })], { spoolDir });
  await second.until(1, "replayed", ({ linesSent }) => linesSent === 2_000);
  const { linesRestored, linesReplayed, linesTaken } = second.counters(1);
  assert.deepEqual([linesRestored, linesReplayed, linesTaken], [2_000, 2_000, 0]);
  const expected = sent.flatMap((text) => text.split("\n").slice(0, -1));
  expected[11] = "b.5:2|g";
  await waitFor("lines", () => sink.lines.length === 2_000);
  assert.deepEqual([...sink.lines].sort(), expected.sort());
  await second.drain();
  assert.deepEqual(readdirSync(spoolDir), []);
  await sink.stop();
  rmSync(spoolDir, { recursive: true });
});

test("spool: a replay that a drain interrupts goes on where it was", async (t) => {
  const spoolDir = newSpoolDir();
  const sink = await TcpSink.start();
  const first = downRig(t, { port: sink.port }, { spoolDir, replayLinesPerSecond: 2_000 });
  first.send(
    1,
    Array.from({ length: 2_000 }, (_, i) => `a.${i}:1|c\n`),
  );
  await first.until(1, "spooled", ({ linesSpooled }) => linesSpooled === 2_000);
  first.tell({ kind: "state", id: 1, isUp: true });
  await first.until(1, "some replayed", ({ linesSent }) => linesSent > 100);
  await first.drain();
  const { linesSent, linesSpooled } = first.counters(1);
  assert.equal(linesSent + linesSpooled, 2_000);
  assert.ok(linesSpooled > 0);
  const second = new OutletRig(t);
  second.order([channelOrder(1, { policy: "hold", port: sink.port })], { spoolDir });
  await second.until(1, "the rest", (now) => now.linesSent === linesSpooled);
  await second.drain();
  await waitFor("lines", () => sink.lines.length === 2_000);
  assert.equal(new Set(sink.lines).size, 2_000);
  await sink.stop();
  rmSync(spoolDir, { recursive: true });
});

test("spool: its bound holds, and what is pushed out is counted", async (t) => {
  const spoolDir = newSpoolDir();
  const rig = downRig(t, { port: 9 }, { spoolDir, spoolBytesMax: 100_000 });
  for (let round = 0; round < 50; round++) {
    rig.send(
      1,
      Array.from({ length: 100 }, (_, i) => `round.${round}.${i}:1|c\n`),
    );
  }
  await rig.until(1, "held", (now) => now.linesTaken === 5_000 && now.linesQueued === 0);
  const { linesSpooled, lost_spool_full } = rig.counters(1);
  assert.ok(linesSpooled > 1_000 && lost_spool_full > 1_000, `${linesSpooled} kept, ${lost_spool_full} lost`);
  assert.equal(linesSpooled + lost_spool_full, 5_000);
  await rig.drain(0);
  rmSync(spoolDir, { recursive: true });
});

test("spool: a folder that cannot be made leaves memory only", async (t) => {
  const rig = downRig(t, { port: 9 }, { spoolDir: "/proc/no/such/folder" });
  rig.send(1, ["a:1|c\n"]);
  await rig.until(1, "held", ({ linesHeld }) => linesHeld === 1);
  assert.ok(rig.events.includes("relay.spool_failed"));
  await rig.drain(0);
  assert.equal(rig.counters(1).lost_shutdown, 1);
});

test("spool: a folder that vanishes costs what was in it, and no more", async (t) => {
  const spoolDir = newSpoolDir();
  const sink = await TcpSink.start();
  const rig = downRig(t, { port: sink.port }, { spoolDir });
  rig.send(1, ["a:1|c\n"]);
  await rig.until(1, "spooled", ({ linesSpooled }) => linesSpooled === 1);
  rmSync(spoolDir, { recursive: true });
  rig.tell({ kind: "state", id: 1, isUp: true });
  await rig.until(1, "gone", ({ lost_damaged }) => lost_damaged === 1);
  rig.tell({ kind: "state", id: 1, isUp: false });
  rig.send(1, ["b:1|c\n"]);
  await rig.until(1, "in memory", ({ linesHeld, spoolFaults }) => linesHeld === 1 && spoolFaults > 0);
  rig.tell({ kind: "state", id: 1, isUp: true });
  await waitFor("the line", () => sink.lines.includes("b:1|c"));
  await rig.drain();
  await sink.stop();
});

test("hold: a UDP socket that could not be connected is replaced, and ends, without a fault", async (t) => {
  const sink = await UdpSink.open();
  const rig = new OutletRig(t);
  const options = { retryDelayMs: 60_000, retryDelayMaxMs: 60_000 };
  // Without leave to broadcast, which nobody asks for here, there is no connecting to it.
  const fields = { policy: "hold", protocol: "udp", host: "255.255.255.255", port: 9 } as const;
  const [moved, stays] = [channelOrder(1, fields), channelOrder(2, fields)];
  rig.order([moved, stays], options);
  for (const id of [1, 2]) await rig.until(id, "a failure", ({ connectFailures }) => connectFailures === 1);
  rig.send(1, ["a:1|c\n"]);
  rig.order([{ ...moved, host: "127.0.0.1", port: sink.port }, stays], options);
  await rig.until(1, "sent", ({ linesSent }) => linesSent === 1);
  await rig.drain(0);
  sink.close();
});
