/** The health port, asked as load balancers ask it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, test } from "node:test";
import { runCommand } from "../../relay/page/health-command.ts";
import { type HealthPort, type HealthPortOptions, openHealthPort } from "../../relay/page/health-port.ts";
import { OperatorError } from "../../shared/errors.ts";
import { EventLog } from "../support/event-log.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait-for.ts";

const ports: HealthPort[] = [];
afterEach(async () => {
  for (const port of ports.splice(0)) await port.close();
});

async function open(host = "127.0.0.1", options: Partial<HealthPortOptions> = {}) {
  const events = new EventLog();
  const clock = new ManualClock();
  const port = await openHealthPort({ host, port: 0 }, { log: events.log, clock, ...options });
  ports.push(port);
  return { port, events, clock };
}

/** Sends text and returns all that comes back until the other side closes. */
async function ask(port: HealthPort, text: string, host = "127.0.0.1"): Promise<string> {
  const socket = connect(port.port, host);
  socket.write(text);
  return readAll(socket);
}

async function readAll(socket: Socket): Promise<string> {
  let answer = "";
  socket.on("data", (piece) => {
    answer += piece;
  });
  // However it ends, what was answered counts.
  socket.on("error", () => {});
  await new Promise((resolve) => socket.on("close", resolve));
  return answer;
}

/** Whether a bare connect succeeds. */
async function isTaken(port: HealthPort): Promise<boolean> {
  const socket = connect(port.port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A connection that stays; each line sent is answered by one line. */
async function talk(port: HealthPort): Promise<(line: string) => Promise<string>> {
  const socket = connect(port.port, "127.0.0.1");
  await once(socket, "connect");
  return async (line) => {
    const answer = once(socket, "data");
    socket.write(`${line}\n`);
    return String((await answer)[0]).trim();
  };
}

test("it answers as etsy's management server does", async () => {
  const { port } = await open();
  assert.equal(await ask(port, "health\nquit\n"), "health: up\n");
  assert.equal(await ask(port, "health\r\nquit\r\n"), "health: up\n");
  assert.equal(
    await ask(port, "help\nstatus\n\nhealth\nquit\n"),
    "Commands: health [up|down|auto], help, quit\n\nERROR\nERROR\nhealth: up\n",
  );
  // What follows quit is not looked at.
  assert.equal(await ask(port, "quit\nhealth\n"), "");
});

test("commands come in pieces, and the answer comes before the client's end is answered", async () => {
  const { port } = await open();
  const socket = connect(port.port, "127.0.0.1");
  const answer = readAll(socket);
  await once(socket, "connect");
  for (const piece of ["he", "al", "th\nhea", "lth\n"]) {
    await new Promise<void>((resolve) => socket.write(piece, () => setImmediate(resolve)));
  }
  socket.end();
  assert.equal(await answer, "health: up\nhealth: up\n");
});

test("a state set by hand holds until auto; it is logged", async () => {
  const { port, events } = await open();
  const say = await talk(port);
  assert.equal(await say("health down"), "health: down");
  assert.deepEqual([port.isUp, port.manual], [false, "down"]);
  assert.equal(await ask(port, "health\nquit\n"), "health: down\n");
  // Whoever set it down must be able to set it up again.
  assert.equal(await isTaken(port), true);
  assert.equal(await say("health UP"), "health: up");
  assert.equal(await say("health down"), "health: down");
  assert.equal(await say("health auto"), "health: up");
  assert.equal(await say("health sideways"), "ERROR");
  assert.equal(await say("health up now"), "ERROR");
  assert.deepEqual([port.isUp, port.manual], [true, "auto"]);
  assert.equal(events.last("relay.health_set")?.state, "auto");
  assert.equal(events.events.length, 4);
});

test("not ready it is down, takes no connections, and nothing set by hand helps", async () => {
  const { port } = await open();
  const before = port.port;
  const say = await talk(port);
  assert.equal(await say("health up"), "health: up");
  port.setReady(false);
  assert.equal(port.isListening, false);
  assert.equal(await isTaken(port), false);
  assert.equal(await say("health"), "health: down");
  assert.equal(await say("health up"), "health: down");
  port.setReady(true);
  await waitFor("connections", () => isTaken(port));
  assert.equal(port.port, before);
  assert.equal(await say("health"), "health: up");
  assert.equal(await ask(port, "health\nquit\n"), "health: up\n");
});

test("ready and not ready in quick turns, the last counts", async () => {
  const { port } = await open();
  const say = await talk(port);
  for (const isReady of [false, true, false, true, true]) port.setReady(isReady);
  await waitFor("connections", () => isTaken(port));
  for (const isReady of [true, false, true, false, false]) port.setReady(isReady);
  await waitFor("their end", async () => !(await isTaken(port)));
  assert.equal(await say("health"), "health: down");
});

test("a port that another took meanwhile is tried for until it can be had", async () => {
  const { port, events, clock } = await open();
  port.setReady(false);
  const thief = createServer((socket) => socket.destroy());
  await waitFor("the port", async () => {
    thief.listen(port.port, "127.0.0.1");
    return once(thief, "listening").then(
      () => true,
      () => false,
    );
  });
  port.setReady(true);
  await waitFor("the fault", () => events.last("relay.health_port_failed") !== undefined);
  thief.close();
  await once(thief, "close");
  await waitFor("the port", () => {
    clock.advance(1000);
    return port.isListening;
  });
  assert.equal(await ask(port, "health\nquit\n"), "health: up\n");
});

test("only this machine may set a state", async (t) => {
  const changes: string[] = [];
  const context = { isUp: () => true, setManual: (state: string) => changes.push(state), mayChange: false };
  assert.equal(runCommand("health down", context).answer, "ERROR\n");
  assert.equal(runCommand("health", context).answer, "health: up\n");
  assert.deepEqual(changes, []);
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal);
  if (own === undefined) return t.skip("this machine has no other address");
  const { port } = await open("0.0.0.0");
  assert.equal(await ask(port, "health down\nhealth\nquit\n", own.address), "ERROR\nhealth: up\n");
  assert.equal(await ask(port, "health down\nquit\n"), "health: down\n");
});

test("IPv6, and IPv4 on a socket of both, are this machine too", async () => {
  const six = await open("::1");
  assert.equal(await ask(six.port, "health down\nquit\n", "::1"), "health: down\n");
  assert.match(six.port.address, /^\[::1\]:\d+$/);
  const both = await open("::");
  assert.equal(await ask(both.port, "health down\nquit\n"), "health: down\n");
});

test("long lines, idle connections and too many of them are bounded", async () => {
  const { port, clock } = await open("127.0.0.1", { connectionsMax: 3, idleMs: 5000 });
  assert.equal(await ask(port, `${"x".repeat(1000)}\nhealth\n`), "");
  assert.equal(await ask(port, "y".repeat(100_000)), "");

  const idle = connect(port.port, "127.0.0.1");
  const ended = readAll(idle);
  idle.write("health\n");
  await once(idle, "data");
  clock.advance(4999);
  assert.equal(await ask(port, "health\nquit\n"), "health: up\n");
  clock.advance(1);
  assert.equal(await ended, "health: up\n");

  // The oldest goes for a new one, so that checks get through.
  const says = [];
  const closes: Promise<unknown>[] = [];
  for (let at = 0; at < 3; at++) {
    const socket = connect(port.port, "127.0.0.1");
    closes.push(readAll(socket));
    await once(socket, "connect");
    socket.write("health\n");
    await once(socket, "data");
    says.push(socket);
  }
  assert.equal(await ask(port, "health\nquit\n"), "health: up\n");
  await closes[0];
  says[1]!.write("health\n");
  await once(says[1]!, "data");
});

test("a client that asks and never reads is closed", async () => {
  const { port } = await open();
  const socket = connect(port.port, "127.0.0.1");
  socket.pause();
  socket.on("error", () => {});
  let isClosed = false;
  socket.on("close", () => {
    isClosed = true;
  });
  const text = "help\n".repeat(10_000);
  await waitFor("its end", () => {
    if (!isClosed) socket.write(text);
    return isClosed;
  });
});

test("an address that cannot be had is told", async () => {
  const { port, events } = await open();
  await assert.rejects(
    openHealthPort({ host: "127.0.0.1", port: port.port }, { log: events.log }),
    (error: unknown) => {
      assert.ok(error instanceof OperatorError);
      return error.message.includes(port.address) && error.message.includes("health-listen");
    },
  );
  await assert.rejects(openHealthPort({ host: "192.0.2.1", port: 0 }, { log: events.log }), OperatorError);
  assert.deepEqual(events.events, []);
});

test("closed while it is about to listen, it does not", async () => {
  const { port } = await open();
  port.setReady(false);
  await waitFor("the end of listening", async () => !(await isTaken(port)));
  port.setReady(true);
  await port.close();
  assert.equal(port.isListening, false);
  assert.equal(await isTaken(port), false);
});

test("closed, connections end", async () => {
  const { port } = await open();
  const socket = connect(port.port, "127.0.0.1");
  const ended = readAll(socket);
  await once(socket, "connect");
  await port.close();
  await ended;
  port.setReady(true);
  assert.equal(port.isListening, false);
});
