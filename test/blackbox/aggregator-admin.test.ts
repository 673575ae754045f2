/** Etsy's administration port of a running aggregator, as statsd's tools and statsrelay's checks use it. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams, startAggregator, startRelayByFile, type TestDaemon } from "../support/daemons.ts";
import { waitFor } from "../support/wait-for.ts";

const io = await chooseIo("auto");
const CONFIG = "interval = 1h\nadmin = 127.0.0.1:0";

function portOf(daemon: TestDaemon): number {
  const [started] = daemon.events("aggregator.started");
  return Number(/:(\d+)$/.exec(String(started?.admin))?.[1]);
}

/** Sends commands over one connection, and returns all that comes back until the port closes it. */
async function say(daemon: TestDaemon, text: string): Promise<string> {
  const socket = connect(portOf(daemon), "127.0.0.1");
  socket.setEncoding("utf8");
  socket.write(text);
  return readAll(socket);
}

async function readAll(socket: Socket): Promise<string> {
  let answer = "";
  try {
    for await (const piece of socket) answer += piece;
  } catch (error) {
    // What was not read when the port closed the connection makes the system reset it.
    assert.match((error as NodeJS.ErrnoException).code ?? "", /^(?:ECONNRESET|EPIPE)$/);
  }
  return answer;
}

test("series are shown by type and deleted by name or folder, with etsy's answers", async () => {
  const daemon = await startAggregator(io, { aggregator: CONFIG });
  await sendDatagrams(daemon.ports[0]!, ["a.x:3|c\na.y.z:4|c\nb:5|c\nlevel:7|g\nlat:2|ms"]);
  await waitFor("the series", async () => (await say(daemon, "counters\nquit\n")).includes("b: 5"));
  assert.equal(await say(daemon, "counters\nquit\n"), "{ 'a.x': 3, 'a.y.z': 4, b: 5 }\nEND\n\n");
  assert.equal(await say(daemon, "gauges\r\nquit\r\n"), "{ level: 7 }\nEND\n\n");
  assert.match(await say(daemon, "timers\nquit\n"), /^\{\n? *lat: \{\n? *count: 1,.*END\n\n$/s);
  assert.equal(
    await say(daemon, "delcounters a.* nothing a.x\nquit\n"),
    "deleted: a.x\ndeleted: a.y.z\nmetric nothing not found\nmetric a.x not found\nEND\n\n",
  );
  assert.equal(await say(daemon, "counters\nquit\n"), "{ b: 5 }\nEND\n\n");
  assert.equal(await say(daemon, "delgauges level\ngauges\nquit\n"), "deleted: level\nEND\n\n{}\nEND\n\n");
  // A pattern is no name here.
  assert.equal(await say(daemon, "delcounters *\nquit\n"), "metric * not found\nEND\n\n");
  await daemon.stop();
});

test("help, stats, config, and what is no command", async () => {
  const daemon = await startAggregator(io, { aggregator: CONFIG });
  assert.match(await say(daemon, "help\nquit\n"), /^Commands: .*quit\n\n$/);
  const lines = "uptime: N messages.last_msg_seen: N messages.bad_lines_seen: N messages.received: N";
  const stats = (await say(daemon, "stats\nquit\n")).replace(/\d+/g, "N");
  assert.ok(stats.startsWith(`${lines.replace(/(?<=N) /g, "\n")}\n`) && stats.endsWith("END\n\n"), stats);
  assert.match(await say(daemon, "config\nquit\n"), /\naggregator > interval: 1h\n.*END\n\n$/s);
  assert.equal(await say(daemon, "nonsense\n\nquit\n"), "ERROR\nERROR\n");
  await daemon.stop();
});

test("stats tell when lines last came, and when graphite last took rows and last failed", async () => {
  const daemon = await startAggregator(io, {
    aggregator: "interval = 200ms\nadmin = 127.0.0.1:0\nsinks[] = carbon\ndrain-timeout = 100ms",
    // Nothing listens there.
    carbon: "address = 127.0.0.1:1",
  });
  await sendDatagrams(daemon.ports[0]!, ["a:1|c\n"]);
  const read = async (): Promise<Record<string, number>> => {
    const lines = (await say(daemon, "stats\nquit\n")).matchAll(/^(\S+): (\d+)$/gm);
    return Object.fromEntries([...lines].map(([, name, value]) => [name, Number(value)]));
  };
  let stats: Record<string, number> = {};
  await waitFor("some seconds of uptime", async () => {
    stats = await read();
    return stats.uptime! >= 4;
  });
  assert.ok(stats["messages.last_msg_seen"]! >= 2, JSON.stringify(stats));
  assert.ok(stats["graphite.last_flush"]! >= 3, JSON.stringify(stats));
  assert.ok(stats["graphite.last_exception"]! <= 1, JSON.stringify(stats));
  await sendDatagrams(daemon.ports[0]!, ["a:1|c\n"]);
  await waitFor("the line", async () => (await read())["messages.received"] === 2);
  assert.ok((await read())["messages.last_msg_seen"]! <= 1);
  await daemon.stop();
});

test("with a token, only who sends it may change or see something", async () => {
  const daemon = await startAggregator(io, { aggregator: `${CONFIG}\nmanagement-token = t0ken` });
  const denied = "ERROR: send auth and the management-token first\n";
  assert.equal(await say(daemon, "counters\nhealth down\nhealth\nquit\n"), `${denied}${denied}health: up\n`);
  assert.equal(await say(daemon, "auth wrong\ncounters\nquit\n"), denied + denied);
  assert.equal(await say(daemon, "auth t0ken\ncounters\nquit\n"), "OK\n{}\nEND\n\n");
  assert.ok(!(await say(daemon, "auth t0ken\nconfig\nquit\n")).includes("t0ken"));
  await daemon.stop();
});

test("health set by hand is what readiness, /status and a relay's check see", async () => {
  const daemon = await startAggregator(io, { aggregator: CONFIG });
  const keys = `destinations = 127.0.0.1:${daemon.ports[0]}\nhealth = statsd:${portOf(daemon)}`;
  const relay = await startRelayByFile(io, `${keys}\nhealth-interval = 100ms`);
  const isUp = async () => {
    const status = (await (await relay.get("/status")).json()) as {
      rings: { destinations: { up: boolean }[] }[];
    };
    return status.rings[0]!.destinations[0]!.up;
  };
  assert.equal(await say(daemon, "health down\nhealth\nquit\n"), "health: down\nhealth: down\n");
  assert.equal((await daemon.get("/readyz")).status, 503);
  await waitFor("the relay to see it down", async () => !(await isUp()));
  assert.equal(await say(daemon, "health up\nquit\n"), "health: up\n");
  assert.equal((await daemon.get("/readyz")).status, 200);
  await waitFor("the relay to see it up", isUp);
  await relay.stop();
  await daemon.stop();
});

test("what is too long or too much ends its connection and nothing else", async () => {
  const daemon = await startAggregator(io, { aggregator: CONFIG });
  assert.equal(await say(daemon, "x".repeat(100_000)), "");
  assert.equal(await say(daemon, `${"y".repeat(50_000)}\nhealth\n`), "");
  // A browser's request, whose body would be commands.
  const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\r\nhealth down\r\n";
  assert.equal(await say(daemon, request), "");
  assert.equal(await say(daemon, "health\nquit\n"), "health: up\n");
  // More commands than may wait for their answers.
  await assert.doesNotReject(say(daemon, "counters\n".repeat(10_000)));
  assert.equal(await say(daemon, "health\nquit\n"), "health: up\n");
  await daemon.stop();
});
