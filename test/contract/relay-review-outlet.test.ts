/** What becomes of lines for connections whose destinations die, leave and come back. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { States } from "../../relay/destinations/states.ts";
import { OutletControl } from "../../relay/outlet-control.ts";
import { OutputLedger } from "../../relay/output-ledger.ts";
import type { PlannedDestination } from "../../relay/plan.ts";
import { Receivers } from "../../relay/receivers.ts";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams } from "../support/daemons.ts";
import { EventLog } from "../support/event-log.ts";
import { defaults, planWith } from "../support/plans.ts";
import { RelayInProcess } from "../support/relay-in-process.ts";
import { TcpSink } from "../support/tcp-sink.ts";
import { UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const LIMIT = { timeout: 30_000 };
const QUICK = ["health-interval = 100ms", "health-fall = 1", "health-rise = 1", "healthy-min = 0"];
const RETRIES = ["retry-delay = 20ms", "retry-delay-max = 50ms"];

async function openTcp(t: TestContext): Promise<TcpSink> {
  const sink = await TcpSink.start();
  t.after(() => sink.stop());
  return sink;
}

async function openUdp(t: TestContext): Promise<UdpSink> {
  const sink = await UdpSink.open();
  t.after(() => sink.close());
  return sink;
}

test("a connection that cannot be made from the start on takes its destination down", LIMIT, async (t) => {
  const sink = await openTcp(t);
  await sink.stop();
  const keys = [`destinations = tcp://127.0.0.1:${sink.port}`, "on-dead = drop", ...QUICK, ...RETRIES];
  const relay = await RelayInProcess.start(t, keys);
  await relay.until("down", (metrics) => metrics.sum("statsrelay_destination_up") === 0);
  await sink.restart();
  await relay.until("up", (metrics) => metrics.sum("statsrelay_destination_up") === 1);
});

test("a destination that left while it was down is served when it is back", LIMIT, async (t) => {
  const [sink, other] = [await openTcp(t), await openTcp(t)];
  const [gone, stays] = [sink, other].map(({ port }) => `destinations[] = tcp://127.0.0.1:${port}`);
  const keys = ["on-dead = drop", ...QUICK, ...RETRIES];
  const relay = await RelayInProcess.start(t, [gone!, ...keys]);
  await waitFor("a connection", () => sink.connectionCount === 1);
  await sink.stop();
  await relay.until("down", (metrics) => metrics.sum("statsrelay_destination_up") === 0);
  assert.ok(await relay.reload([stays!, ...keys]));
  await sink.restart();
  assert.ok(await relay.reload([gone!, ...keys]));
  await waitFor("lines", async () => {
    await sendDatagrams(relay.port, ["a:1|c"]);
    return sink.lines.some((line) => line === "a:1|c");
  });
});

test("a channel that stays open is told that its destination is up again", () => {
  const told: string[] = [];
  const setState = (key: string, isUp: boolean) => void told.push(`${key} ${isUp}`);
  const outlet = Object.assign(new OutletControl({ ...events() }), { setState });
  const states = new States(outlet, async () => {});
  const destination: PlannedDestination = { key: "main a", ring: "main", text: "a", onDead: "drop" };
  const to = { kind: "host", protocol: "tcp", host: "127.0.0.1", port: 9, name: "a", text: "a" } as const;
  states.setDestinations([destination], [to]);
  states.setUp("main a", false);
  states.setDestinations([], []);
  states.setDestinations([destination], [to]);
  states.close();
  assert.deepEqual(told.slice(-2), ["main a false", "main a true"]);
});

function events() {
  const logConfig = { level: "info", format: "json" } as const;
  return { log: new EventLog().log, logConfig, onConnection: () => {}, onFailed: () => {} };
}

test("connections of destinations that are gone for long stay in the account", LIMIT, async (t) => {
  const [sink, udp] = [await openTcp(t), await openUdp(t)];
  const many = Array.from({ length: 300 }, (_, i) => `destinations[] = tcp://127.0.0.1:${sink.port}:${i}`);
  const relay = await RelayInProcess.start(t, [...many, "stats = full"]);
  const lines = Array.from({ length: 2_000 }, (_, i) => `name${i}:1|c`);
  for (let i = 0; i < lines.length; i += 100) {
    await sendDatagrams(relay.port, [lines.slice(i, i + 100).join("\n")]);
  }
  await waitFor(
    "all lines",
    () => sink.lines.filter((line) => line.startsWith("name")).length >= lines.length,
  );
  const keys = [`destinations = ${udp.destination}`, "stats = full"];
  assert.ok(await relay.reload(keys));
  const errors = (metrics: Awaited<ReturnType<RelayInProcess["metrics"]>>) =>
    metrics.sum("statsrelay_conservation_error", 'stage="output"');
  await relay.until("an exact account", (metrics) => errors(metrics) === 0);
  const sent = (await relay.metrics()).sum("statsrelay_destination_lines_sent_total", 'protocol="tcp"');
  assert.equal(sent, 0);
  assert.ok(await relay.reload(keys));
  const metrics = await relay.metrics();
  assert.ok(metrics.sum("statsrelay_destination_lines_routed_total", 'ring="gone"') > 0);
  assert.equal(metrics.sum("statsrelay_destination_lines_waiting", 'ring="gone"'), 0);
  await relay.until("an exact account", (now) => errors(now) === 0);
});

test("states told behind a plan are in force with it", LIMIT, async (t) => {
  const sink = await openUdp(t);
  const plan = planWith({ entries: [sink.destination], flushIntervalMs: 50 });
  const ledger = new OutputLedger();
  const receivers = new Receivers(
    { ...defaults, listen: [{ kind: "udp", host: "127.0.0.1", port: 0 }] },
    {
      io: await chooseIo("auto"),
      log: new EventLog().log,
      newCounters: () => ledger.addThread(),
      onOutletPort: () => {},
      onFailed: (error) => assert.fail(error),
    },
  );
  t.after(() => receivers.stop());
  const order = (generation: number) => ({
    generation,
    plan,
    flushIntervalMs: 50,
    outputs: [{ remote: { kind: "udp", host: "127.0.0.1", port: sink.port } as const, isDiscarding: false }],
    states: ["serve"] as const,
    backlogBytesMax: 0,
  });
  const keys = plan.destinations.map(({ key }) => key);
  ledger.begin(1, keys);
  await receivers.start(order(1), false);
  ledger.begin(2, keys);
  // As when health changes its mind in the middle of a reload.
  await Promise.all([receivers.swap(order(2), false), receivers.setStates(2, ["drop"])]);
  const [address] = receivers.addresses;
  assert.ok(address !== undefined && "port" in address);
  await sendDatagrams(address.port, ["a:1|c"]);
  const totals = () => ledger.totals().get(keys[0]!)!;
  await waitFor("the line", () => totals().lost_down + totals().linesSent > 0);
  assert.equal(totals().linesSent, 0);
});
