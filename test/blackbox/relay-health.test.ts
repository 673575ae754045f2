/** A destination that dies and comes back, under each policy, with every line accounted for. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import {
  type Io,
  type Metrics,
  sendDatagrams,
  startRelayByFile,
  type TestDaemon,
} from "../support/daemons.ts";
import { TcpSink } from "../support/tcp-sink.ts";
import { collectLines, UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const kinds: readonly Io[] = (await chooseIo("auto")) === "mmsg" ? ["mmsg", "dgram"] : ["dgram"];
const NAMES = Array.from({ length: 300 }, (_, number) => `app.request.${number}`);
const ROUTED = "statsrelay_destination_lines_routed_total";
const SENT = "statsrelay_destination_lines_sent_total";
const LOST = "statsrelay_destination_lines_lost_total";
const QUEUED = "statsrelay_destination_lines_queued";
const UP = "statsrelay_destination_up";
const HEALTH = "health-interval = 100ms\nhealth-fall = 2\nhealth-rise = 2\nhealth-timeout = 500ms";

async function openSinks(t: TestContext, count: number): Promise<UdpSink[]> {
  const sinks = await Promise.all(Array.from({ length: count }, () => UdpSink.open()));
  t.after(() => Promise.all(sinks.map((sink) => sink.close())));
  return sinks;
}

async function start(
  t: TestContext,
  io: Io,
  sinks: readonly { readonly destination: string }[],
  keys: string,
): Promise<TestDaemon> {
  const destinations = sinks.map(({ destination }) => `destinations[] = ${destination}`).join("\n");
  const relay = await startRelayByFile(io, `${destinations}\n${HEALTH}\n${keys}`);
  t.after(() => relay.stop());
  return relay;
}

/** Lines of one round: each name once, with a value that tells the round. */
function round(number: number): string[] {
  return NAMES.map((name) => `${name}:${number}|c`);
}

async function send(relay: TestDaemon, lines: readonly string[]): Promise<void> {
  for (let from = 0; from < lines.length; from += 30) {
    await sendDatagrams(relay.ports[0]!, [lines.slice(from, from + 30).join("\n")]);
  }
}

/** Lines of one round that a sink got. */
function linesOf(sink: UdpSink, number: number): string[] {
  return sink.lines.filter((line) => line.endsWith(`:${number}|c`)).sort();
}

async function assertBooksClose(relay: TestDaemon): Promise<Metrics> {
  return relay.until("closed books", (metrics) =>
    ["intake", "routing", "output"].every(
      (stage) => metrics.sum("statsrelay_conservation_error", `stage="${stage}"`) === 0,
    ),
  );
}

const isUp = (metrics: Metrics, sink: { readonly destination: string }): boolean =>
  metrics.sum(UP, `"${sink.destination}"`) === 1;

/** Sends a first round, lets the second of three sinks die, waits until the relay knows, sends another. */
async function kill(t: TestContext, relay: TestDaemon, sinks: readonly UdpSink[]): Promise<string[][]> {
  await send(relay, round(1));
  await collectLines(sinks, NAMES.length);
  const before = sinks.map((sink) => linesOf(sink, 1));
  for (const lines of before) assert.ok(lines.length > 50, "each destination has names");
  await sinks[1]!.close();
  t.diagnostic(`${before[1]!.length} of ${NAMES.length} names belong to the dead one`);
  return before;
}

const again = (lines: readonly string[], number: number): string[] =>
  lines.map((line) => line.replace(/:\d+\|/, `:${number}|`)).sort();

for (const io of kinds) {
  test(`${io}: drop counts the lines of a dead destination, until it is back`, async (t) => {
    const sinks = await openSinks(t, 3);
    const { port } = sinks[1]!;
    const dead = { destination: sinks[1]!.destination };
    const relay = await start(t, io, sinks, "on-dead = drop");
    const before = await kill(t, relay, sinks);
    await relay.until("it is down", (metrics) => !isUp(metrics, dead));
    const lostBefore = (await relay.metrics()).sum(LOST, 'reason="down"');
    await send(relay, round(2));
    await collectLines([sinks[0]!, sinks[2]!], 2 * (before[0]!.length + before[2]!.length));
    assert.deepEqual(linesOf(sinks[0]!, 2), again(before[0]!, 2));
    assert.deepEqual(linesOf(sinks[2]!, 2), again(before[2]!, 2));
    const lostNow = (now: Metrics) => now.sum(LOST, 'reason="down"') - lostBefore;
    await relay.until("they count as lost", (now) => lostNow(now) >= before[1]!.length);
    const metrics = await assertBooksClose(relay);
    const own = metrics.sum("statsrelay_self_lines_total");
    const lost = lostNow(metrics);
    assert.ok(lost >= before[1]!.length && lost <= before[1]!.length + own, `${lost} lines were lost`);
    const back = await UdpSink.open("127.0.0.1", port);
    t.after(() => back.close());
    await relay.until("it is up", (now) => isUp(now, dead));
    await send(relay, round(3));
    await waitFor("its lines", () => linesOf(back, 3).length === before[1]!.length);
    assert.deepEqual(linesOf(back, 3), again(before[1]!, 3));
    await assertBooksClose(relay);
  });

  test(`${io}: next moves the names of a dead destination and no others, and they come back`, async (t) => {
    const sinks = await openSinks(t, 3);
    const { port, destination } = sinks[1]!;
    const dead = { destination };
    const relay = await start(t, io, sinks, "on-dead = next");
    const before = await kill(t, relay, sinks);
    await relay.until("it is down", (metrics) => !isUp(metrics, dead));
    await send(relay, round(2));
    const living = [sinks[0]!, sinks[2]!];
    await waitFor("all lines", () => living.flatMap((sink) => linesOf(sink, 2)).length === NAMES.length);
    const moved = living.flatMap((sink, index) => {
      const lines = linesOf(sink, 2);
      const stayed = again(before[index === 0 ? 0 : 2]!, 2);
      for (const line of stayed) assert.ok(lines.includes(line), `${line} stays where it was`);
      return lines.filter((line) => !stayed.includes(line));
    });
    assert.deepEqual(moved.sort(), again(before[1]!, 2));
    for (const sink of living) assert.ok(linesOf(sink, 2).length > before[0]!.length / 2);
    const metrics = await relay.until("they count as diverted", (now) => {
      return now.sum("statsrelay_lines_diverted_total") >= before[1]!.length;
    });
    assert.equal(metrics.sum("statsrelay_lines_diverted_total"), before[1]!.length);
    assert.equal(metrics.sum(LOST, 'reason="down"'), 0);
    await assertBooksClose(relay);
    const back = await UdpSink.open("127.0.0.1", port);
    t.after(() => back.close());
    await relay.until("it is up", (now) => isUp(now, dead));
    await send(relay, round(3));
    await waitFor("its lines", () => linesOf(back, 3).length === before[1]!.length);
    assert.deepEqual(linesOf(back, 3), again(before[1]!, 3));
  });

  test(`${io}: hold keeps the lines of a dead destination and replays them`, async (t) => {
    const sinks = await openSinks(t, 3);
    const { port, destination } = sinks[1]!;
    const dead = { destination };
    const relay = await start(t, io, sinks, "on-dead = hold");
    const before = await kill(t, relay, sinks);
    await relay.until("it is down", (metrics) => !isUp(metrics, dead));
    await send(relay, round(2));
    const held = (metrics: Metrics) => metrics.sum(QUEUED, `"${destination}"`, 'where="held"');
    const metrics = await relay.until("lines are held", (now) => held(now) >= before[1]!.length);
    assert.ok(held(metrics) <= before[1]!.length + metrics.sum("statsrelay_self_lines_total"));
    const back = await UdpSink.open("127.0.0.1", port);
    t.after(() => back.close());
    await relay.until("it is up", (now) => isUp(now, dead));
    await send(relay, round(3));
    await waitFor("what was held", () => linesOf(back, 2).length === before[1]!.length);
    await waitFor("what is new", () => linesOf(back, 3).length === before[1]!.length);
    assert.deepEqual(linesOf(back, 2), again(before[1]!, 2));
    assert.deepEqual(linesOf(back, 3), again(before[1]!, 3));
    const after = await assertBooksClose(relay);
    assert.equal(held(after), 0);
    assert.equal(after.sum(LOST, 'reason="down"'), 0);
  });

  test(`${io}: keep goes on sending, as Go statsrelay does`, async (t) => {
    const sinks = await openSinks(t, 3);
    const { destination } = sinks[1]!;
    const relay = await start(t, io, sinks, "on-dead = keep\nhealth = refusal");
    const before = await kill(t, relay, sinks);
    await relay.until("it is down", (metrics) => !isUp(metrics, { destination }));
    const routed = (await relay.metrics()).sum(ROUTED, `"${destination}"`);
    await send(relay, round(2));
    const metrics = await relay.until("the lines", (now) => {
      return now.sum(ROUTED, `"${destination}"`) >= routed + before[1]!.length;
    });
    assert.equal(metrics.sum(LOST, 'reason="down"'), 0);
    await assertBooksClose(relay);
  });
}

test("next: names of a TCP destination go elsewhere without its connection", async (t) => {
  const [udp] = await openSinks(t, 1);
  const tcp = await TcpSink.start();
  t.after(() => tcp.stop());
  const { port } = tcp;
  const destination = `tcp://127.0.0.1:${port}`;
  const relay = await start(t, kinds[0]!, [udp!, { destination }], "on-dead = next");
  await relay.until("a connection", (metrics) => metrics.sum("statsrelay_destination_connected") === 1);
  await send(relay, round(1));
  const tcpLines = () => tcp.lines.filter((line) => line.startsWith("app."));
  await waitFor("the first round", () => linesOf(udp!, 1).length + tcpLines().length === NAMES.length);
  const own = tcpLines().length;
  assert.ok(own > 100);
  await tcp.stop();
  await relay.until("it is down", (metrics) => !isUp(metrics, { destination }));
  await send(relay, round(2));
  await waitFor("all lines", () => linesOf(udp!, 2).length === NAMES.length);
  await assertBooksClose(relay);
  await tcp.restart();
  await relay.until("it is up", (metrics) => isUp(metrics, { destination }));
  await send(relay, round(3));
  await waitFor("its lines", () => tcp.lines.filter((line) => line.endsWith(":3|c")).length === own);
  await assertBooksClose(relay);
});

test("a fleet of one: what is held for the only destination is not lost", async (t) => {
  const [sink] = await openSinks(t, 1);
  const { port, destination } = sink!;
  const relay = await start(t, kinds[0]!, [sink!], "on-dead = hold");
  await sink!.close();
  await relay.until("it is down", (metrics) => !isUp(metrics, { destination }));
  const sentBefore = (await relay.metrics()).sum(SENT);
  await send(relay, ["level:1|g\nlevel:2|g\nhits:1|c\nlevel:3|g\nhits:1|c"]);
  await relay.until("lines are held", (now) => now.sum(QUEUED, 'where="held"') > 0);
  const back = await UdpSink.open("127.0.0.1", port);
  t.after(() => back.close());
  const wanted = ["hits:1|c", "hits:1|c", "level:3|g"];
  await waitFor("what was held", () => back.lines.length >= wanted.length);
  assert.deepEqual([...back.lines].sort(), wanted);
  await relay.until("they count as sent", (now) => now.sum(SENT) >= sentBefore + wanted.length);
  const metrics = await assertBooksClose(relay);
  assert.equal(metrics.sum(LOST, 'reason="gauge_superseded"'), 2);
});
