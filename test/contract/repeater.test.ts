/** The repeater: what comes in goes on as it came, to living, dead, slow and late addresses. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { RepeatLink } from "../../aggregator/listener/repeat-link.ts";
import {
  type RepeaterContext,
  RepeaterLinks,
  repeaterSettings,
} from "../../aggregator/listener/repeater-links.ts";
import { systemClock } from "../../shared/clock.ts";
import type { RepeaterConfig } from "../../shared/config.ts";
import { parseConfig } from "../../shared/config.ts";
import { systemRandom } from "../../shared/random.ts";
import { chooseIo } from "../../shared/udp.ts";
import { EventLog } from "../support/event-log.ts";
import { IntakeRig } from "../support/intake-rig.ts";
import { TcpSink } from "../support/tcp-sink.ts";
import { UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const kinds = (await chooseIo("auto")) === "mmsg" ? (["mmsg", "dgram"] as const) : (["dgram"] as const);
const newContext = (): RepeaterContext => ({
  log: new EventLog().log,
  clock: systemClock,
  random: systemRandom,
});

function repeaterConfig(...addresses: readonly string[]): RepeaterConfig {
  const lines = addresses.map((address) => `address[] = ${address}`);
  return parseConfig(["[repeater]", ...lines].join("\n"), "test").repeater;
}

/** Has the links take what an intake posts, as the control thread does. */
async function carry(rig: IntakeRig, links: RepeaterLinks, lines: number): Promise<void> {
  let taken = 0;
  await waitFor(`${lines} lines to be carried`, () => {
    for (; taken < rig.reports.length; taken++) {
      const report = rig.reports[taken]!;
      if (report.kind === "repeat") links.accept(report.lines, rig.counters);
    }
    return links.statuses.every(({ sentLines, lostLines }) => {
      return sentLines + lostLines.queue_full + lostLines.connection >= lines;
    });
  });
}

for (const io of kinds) {
  test(`${io}: datagrams go on as they came, to all addresses, also past a dead one`, async () => {
    const sinks = [await UdpSink.open(), await UdpSink.open("::1")];
    const dead = await UdpSink.open();
    const { destination } = dead;
    await dead.close();
    const addresses = [destination, ...sinks.map((sink) => sink.destination)].map((one) => `udp://${one}`);
    const rig = await IntakeRig.start({ io, repeater: await repeaterSettings(repeaterConfig(...addresses)) });
    const datagrams = ["a:1|c\nb:2|c\n", "no line at all", "x", `${"y".repeat(9000)}:1|c`];
    await rig.send(...datagrams, "");
    for (const sink of sinks) {
      await waitFor("all datagrams", () => sink.packets.length === datagrams.length);
      assert.deepEqual(sink.packets, datagrams);
    }
    await rig.stop();
    const { counts } = rig;
    const lost = counts["repeatLost.refused"];
    assert.equal(counts.repeatedDatagrams + lost, 3 * datagrams.length);
    assert.ok(counts.repeatedDatagrams >= 2 * datagrams.length);
    assert.equal(counts.accepted, 2);
    for (const sink of sinks) await sink.close();
  });

  test(`${io}: lines of a stream become datagrams of whole lines`, async () => {
    const sink = await UdpSink.open();
    const rig = await IntakeRig.start({
      io,
      listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
      stream: { lineBytesMax: 4000, idleTimeoutMs: 0, connectionsMax: 10 },
      repeater: await repeaterSettings(repeaterConfig(`udp://${sink.destination}`)),
    });
    const lines = Array.from({ length: 3000 }, (_, i) => `line.${i}:1|c`);
    lines.splice(100, 0, `${"long".repeat(900)}:1|c`);
    const client = connect(rig.port, "127.0.0.1");
    client.end(lines.join("\n"));
    await waitFor("all lines", () => sink.lines.length === lines.length);
    assert.deepEqual(sink.lines, lines);
    assert.ok(sink.packets.length < 100);
    for (const packet of sink.packets) assert.ok(packet.length <= 1432 || packet.startsWith("long"));
    await rig.stop();
    await sink.close();
  });

  test(`${io}: lines go on over connections, each behind its line feed`, async () => {
    const sinks = [await TcpSink.start(), await TcpSink.start()];
    const config = repeaterConfig(...sinks.map(({ port }) => `tcp://127.0.0.1:${port}`));
    const links = new RepeaterLinks(config, newContext());
    const rig = await IntakeRig.start({ io, repeater: await repeaterSettings(config) });
    await rig.send("a:1|c", "b:2|c\nc:3|c\n", "", "d:4|c");
    await carry(rig, links, 4);
    for (const sink of sinks) {
      await waitFor("the lines", () => sink.lines.length === 4);
      assert.deepEqual(sink.lines, ["a:1|c", "b:2|c", "c:3|c", "d:4|c"]);
    }
    // What waits in the thread leaves when it ends.
    await rig.send("last:1|c");
    await waitFor("the last one", () => rig.counts.accepted === 5);
    await rig.stop();
    await carry(rig, links, 5);
    assert.ok(await links.drain(systemClock.monotonicMs() + 5000));
    assert.equal(rig.counts.repeatLostLines, 0);
    links.close();
    for (const sink of sinks) await sink.stop();
  });
}

test("lines that the control thread does not take are lost and counted; intake goes on", async () => {
  const settings = { datagrams: [], hasLinks: true, queueBytesMax: 100_000 };
  const rig = await IntakeRig.start({ repeater: settings });
  const datagram = `${"x".repeat(50)}:1|c\n`.repeat(500);
  for (let round = 1; round <= 10; round++) {
    await rig.send(datagram);
    await waitFor("the lines", () => rig.counts.accepted === 500 * round);
  }
  await rig.stop();
  const posted = rig.reportsOf("repeat").reduce((sum, { lines }) => sum + lines.length, 0);
  assert.ok(posted <= 100_000);
  assert.equal(posted / 55 + rig.counts.repeatLostLines, 5000);
});

const lineOf = (i: number): { bytes: Buffer; lines: number } => ({
  bytes: Buffer.from(`line.${String(i).padStart(6, "0")}:1|c\n`),
  lines: 1,
});

test("a link keeps the newest lines while its address is dead, and sends them once it lives", async () => {
  const sink = await TcpSink.start();
  await sink.stop();
  const link = new RepeatLink(
    { host: "127.0.0.1", port: sink.port },
    { queueBytesMax: 14_400, connectTimeoutMs: 1000, ...newContext() },
  );
  // Each takes 144 bytes.
  for (let i = 0; i < 1000; i++) link.accept(lineOf(i));
  assert.equal(link.status.lostLines.queue_full, 900);
  assert.equal(link.status.queuedBytes, 14_400);
  await sink.restart();
  await waitFor("the newest lines", () => sink.lines.length === 100);
  assert.equal(sink.lines[0], "line.000900:1|c");
  await waitFor("their count", () => link.status.sentLines === 100);
  assert.ok(link.status.isConnected);
  link.close();
  await sink.stop();
});

test("a link whose address takes nothing gives the connection up; every line is accounted for", async () => {
  const sink = await TcpSink.start([{ kind: "stall" }]);
  const options = { queueBytesMax: 32 << 20, connectTimeoutMs: 1000, writeTimeoutMs: 300, ...newContext() };
  const link = new RepeatLink({ host: "127.0.0.1", port: sink.port }, options);
  const piece = { bytes: Buffer.from(lineOf(1).bytes.toString().repeat(4096)), lines: 4096 };
  for (let i = 0; i < 300; i++) link.accept(piece);
  await waitFor("another connection", () => sink.connectionCount >= 2);
  assert.ok(await link.drain(systemClock.monotonicMs() + 10_000));
  const { sentLines, lostLines, queuedBytes } = link.status;
  assert.equal(queuedBytes, 0);
  assert.equal(sentLines + lostLines.connection, 300 * 4096);
  assert.ok(lostLines.connection >= 4096);
  link.close();
  await sink.stop();
});

test("a link comes back after its peer has reset or closed the connection", async () => {
  const sink = await TcpSink.start([{ kind: "reset", afterBytes: 1 }, { kind: "half-close" }]);
  const link = new RepeatLink(
    { host: "127.0.0.1", port: sink.port },
    { queueBytesMax: 1 << 20, connectTimeoutMs: 1000, ...newContext() },
  );
  let i = 0;
  await waitFor("a third connection", () => {
    link.accept(lineOf(i++));
    return sink.connectionCount >= 3;
  });
  const before = i;
  while (i < before + 10) link.accept(lineOf(i++));
  await waitFor("the last line", () => sink.lines.includes(`line.${String(i - 1).padStart(6, "0")}:1|c`));
  link.close();
  link.accept(lineOf(0));
  const { sentLines, lostLines } = link.status;
  assert.equal(sentLines + lostLines.connection + lostLines.closed, i + 1);
  assert.equal(lostLines.closed, 1);
  await sink.stop();
});

test("a link that is closed while its address is dead tells what it gave up", async () => {
  const sink = await TcpSink.start();
  await sink.stop();
  const link = new RepeatLink(
    { host: "127.0.0.1", port: sink.port },
    { queueBytesMax: 1600, connectTimeoutMs: 1000, ...newContext() },
  );
  link.accept(lineOf(1));
  assert.equal(await link.drain(systemClock.monotonicMs()), false);
  link.close();
  assert.equal(link.status.lostLines.closed, 1);
});

test("udp addresses are resolved at the start, and must have an address", async () => {
  const config = repeaterConfig("udp://some.test:8125", "tcp://other.test:8125", "udp://[::1]:8126");
  const found = async () => [{ address: "10.0.0.1", family: 4 }];
  assert.deepEqual(await repeaterSettings(config, found), {
    datagrams: [
      { kind: "udp", host: "10.0.0.1", port: 8125 },
      { kind: "udp", host: "::1", port: 8126 },
    ],
    hasLinks: true,
    queueBytesMax: config.queueBytesMax,
  });
  assert.equal(await repeaterSettings(repeaterConfig()), undefined);
  await assert.rejects(
    repeaterSettings(config, async () => []),
    /repeater.address udp:\/\/some.test:8125/,
  );
});
