/** The health monitor as a whole: real sockets, a clock that the test turns. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { HealthMonitor, type HealthOptions } from "../../relay/health/monitor.ts";
import type { HealthTarget } from "../../relay/health/probe.ts";
import { seededRandom } from "../../shared/random.ts";
import { EventLog } from "../support/event-log.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait-for.ts";

const INTERVAL_MS = 1000;
const OPTIONS: HealthOptions = {
  check: { kind: "tcp" },
  intervalMs: INTERVAL_MS,
  // The clock jumps by a whole interval while sockets are at work.
  timeoutMs: 100 * INTERVAL_MS,
  rise: 2,
  fall: 3,
  returnDelayMs: 0,
  healthyMin: 0,
};

/** Stands for a destination: a TCP port that can be closed and opened again. */
class Door {
  readonly #server = createServer((socket: Socket) => socket.destroy());
  port = 0;

  async open(): Promise<this> {
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }
}

const doors: Door[] = [];
const monitors: HealthMonitor[] = [];
// Probes keep no process alive, so something else has to while only they are waited for.
let keeper: Server;
before(() => {
  keeper = createServer().listen(0, "127.0.0.1");
});
after(() => keeper.close());
afterEach(async () => {
  for (const monitor of monitors.splice(0)) monitor.close();
  for (const door of doors.splice(0)) await door.close();
});

async function openDoors(count: number): Promise<Door[]> {
  const opened = await Promise.all(Array.from({ length: count }, () => new Door().open()));
  doors.push(...opened);
  return opened;
}

function targetOf(door: Door, ring = "main", instance = ""): HealthTarget {
  const key = `${ring} 127.0.0.1:${door.port}${instance}`;
  return { key, ring, protocol: "tcp", host: "127.0.0.1", port: door.port };
}

function start(targets: readonly HealthTarget[], options: Partial<HealthOptions> = {}) {
  const clock = new ManualClock();
  const events = new EventLog();
  const changes: [string, boolean, string][] = [];
  const monitor = new HealthMonitor(
    { ...OPTIONS, ...options },
    {
      log: events.log,
      random: seededRandom(7),
      clock,
      onChange: (key, isUp, reason) => {
        assert.equal(monitor.isUp(key), isUp);
        changes.push([key, isUp, reason]);
      },
    },
  );
  monitors.push(monitor);
  monitor.setTargets(targets);
  /** Lets every target be checked so many times more. */
  const turn = async (rounds = 1): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const wanted = monitor.states().map(({ checks }) => checks + 1);
      clock.advance(INTERVAL_MS);
      await waitFor("all checks", () => monitor.states().every(({ checks }, at) => checks >= wanted[at]!));
    }
  };
  const up = (): boolean[] => monitor.states().map(({ isUp }) => isUp);
  return { monitor, clock, changes, events, turn, up };
}

test("a destination goes down after `fall` bad checks and comes back after `rise` good ones", async () => {
  const [door, other] = await openDoors(2);
  const { changes, turn, up, monitor, events, clock } = start([targetOf(door!), targetOf(other!)]);
  const { key } = targetOf(door!);
  assert.deepEqual(up(), [true, true]);
  await turn(2);
  await door!.close();
  await turn(2);
  assert.deepEqual(up(), [true, true]);
  await turn();
  assert.deepEqual(up(), [false, true]);
  assert.equal(monitor.isUp(key), false);
  const [state] = monitor.states();
  assert.deepEqual(state, {
    key,
    isUp: false,
    isForcedUp: false,
    forcedUps: 0,
    sinceMs: clock.nowMs(),
    checks: 5,
    failures: 3,
    lastFault: "ECONNREFUSED",
  });
  await door!.open();
  await turn();
  assert.deepEqual(up(), [false, true]);
  await turn();
  assert.deepEqual(up(), [true, true]);
  assert.deepEqual(changes, [
    [key, false, "ECONNREFUSED"],
    [key, true, "checks are good again"],
  ]);
  assert.deepEqual(events.events, ["relay.destination_down", "relay.destination_up"]);
});

test("a return is delayed by its own time", async () => {
  const [door] = await openDoors(1);
  const { turn, up, clock } = start([targetOf(door!)], { returnDelayMs: 10 * INTERVAL_MS, fall: 1, rise: 1 });
  await door!.close();
  await turn();
  assert.deepEqual(up(), [false]);
  await door!.open();
  await turn(9);
  assert.deepEqual(up(), [false]);
  await turn(2);
  assert.deepEqual(up(), [true]);
  clock.advance(0);
});

test("so many of each ring stay up, whatever the checks say; another ring does not count", async () => {
  const [a, b, c] = await openDoors(3);
  const [mirror] = await openDoors(1);
  const targets = [targetOf(a!), targetOf(b!), targetOf(c!), targetOf(mirror!, "mirror")];
  const { turn, up, monitor, changes, events } = start(targets, { fall: 1, rise: 1, healthyMin: 2 });
  await a!.close();
  await turn();
  assert.deepEqual(up(), [false, true, true, true]);
  await b!.close();
  await turn();
  assert.deepEqual(up(), [false, true, true, true]);
  assert.deepEqual(
    monitor.states().map(({ isForcedUp }) => isForcedUp),
    [false, true, false, false],
  );
  assert.equal(events.last("relay.destination_forced_up")?.destination, targets[1]!.key);
  await turn(3);
  assert.equal(monitor.states()[1]!.forcedUps, 1);
  // The one that came back takes the place of the one that was forced up, and never are there too few.
  await a!.open();
  const before = changes.length;
  await turn();
  assert.deepEqual(up(), [true, false, true, true]);
  assert.deepEqual(
    changes.slice(before).map(([key, isUp]) => [key, isUp]),
    [
      [targets[0]!.key, true],
      [targets[1]!.key, false],
    ],
  );
});

test("a single ring may ask for another least number", async () => {
  const [a, b] = await openDoors(2);
  const targets = [targetOf(a!, "hold"), targetOf(b!, "next")];
  const { turn, up } = start(targets, { fall: 1, healthyMin: 1, healthyMinOf: { hold: 0 } });
  await a!.close();
  await b!.close();
  await turn();
  assert.deepEqual(up(), [false, true]);
});

test("when the ones that were up are taken from the ring, others have to do", async () => {
  const [a, b] = await openDoors(2);
  const targets = [targetOf(a!), targetOf(b!)];
  const { turn, up, monitor, changes } = start(targets, { fall: 1, healthyMin: 1 });
  await a!.close();
  await turn();
  assert.deepEqual(up(), [false, true]);
  monitor.setTargets([targets[0]!]);
  assert.deepEqual(up(), [true]);
  assert.deepEqual(changes.at(-1), [targets[0]!.key, true, "too few others of its ring are up"]);
});

test("other targets: the state of kept ones stays, also at another address; new ones begin up", async () => {
  const [a, b, c] = await openDoors(3);
  const first = targetOf(a!);
  const { turn, up, monitor, changes } = start([first, targetOf(b!)], { fall: 2 });
  await a!.close();
  await turn(2);
  assert.deepEqual(up(), [false, true]);
  monitor.setTargets([first, targetOf(c!)]);
  assert.deepEqual(up(), [false, true]);
  assert.equal(monitor.states()[0]!.checks, 2);
  // Its name has another address now, where somebody listens.
  monitor.setTargets([{ ...first, port: b!.port }, targetOf(c!)]);
  assert.deepEqual(up(), [false, true]);
  await turn(2);
  assert.deepEqual(up(), [true, true]);
  assert.equal(changes.length, 2);
});

test("one that is down and no longer watched is up", async () => {
  const [a] = await openDoors(1);
  const target = targetOf(a!);
  const { turn, monitor, changes } = start([target], { fall: 1 });
  await a!.close();
  await turn();
  assert.equal(monitor.isUp(target.key), false);
  monitor.setTargets([]);
  assert.deepEqual(changes.at(-1), [target.key, true, "it is no longer watched"]);
  assert.deepEqual(monitor.states(), []);
});

test("equal options change nothing: what was counted goes on", async () => {
  const [a] = await openDoors(1);
  const target = targetOf(a!);
  const { turn, monitor, up } = start([target], { fall: 3 });
  await a!.close();
  await turn(2);
  monitor.setTargets([{ ...target }], { ...OPTIONS, check: { kind: "tcp" }, fall: 3 });
  await turn();
  assert.deepEqual(up(), [false]);
});

test("new options act at once; without checks everything is up", async () => {
  const [a] = await openDoors(1);
  const target = targetOf(a!);
  const { turn, up, monitor, clock, changes } = start([target], { fall: 1 });
  await a!.close();
  await turn();
  assert.deepEqual(up(), [false]);
  monitor.setTargets([target], { ...OPTIONS, check: { kind: "none" } });
  assert.deepEqual(up(), [true]);
  clock.advance(10 * INTERVAL_MS);
  assert.equal(monitor.states()[0]!.checks, 1);
  assert.equal(changes.length, 2);
});

test("with auto, a TCP destination is what its connection is", async () => {
  const [a] = await openDoors(1);
  const target = targetOf(a!);
  const { turn, up, monitor } = start([target], { check: { kind: "auto" }, fall: 2, rise: 1 });
  monitor.reportConnection("main nobody:1", false);
  await turn(5);
  assert.deepEqual(up(), [true]);
  monitor.reportConnection(target.key, false);
  await turn(2);
  assert.deepEqual(up(), [false]);
  assert.equal(monitor.states()[0]!.lastFault, "not connected");
  monitor.reportConnection(target.key, true);
  await turn();
  assert.deepEqual(up(), [true]);
});

test("first checks are spread over the interval", async () => {
  const [door] = await openDoors(1);
  const targets = Array.from({ length: 40 }, (_, at) => targetOf(door!, "main", `:${at}`));
  // This check ends at once.
  const { monitor, clock } = start(targets, { check: { kind: "auto" } });
  const checks = (): number => monitor.states().reduce((sum, state) => sum + state.checks, 0);
  clock.advance(INTERVAL_MS / 10);
  assert.ok(checks() > 0 && checks() < targets.length / 2, String(checks()));
  clock.advance((INTERVAL_MS * 9) / 10);
  assert.equal(checks(), targets.length);
  clock.advance(INTERVAL_MS);
  assert.equal(checks(), 2 * targets.length);
});

test("closed, it asks nobody any more", async () => {
  const [door] = await openDoors(1);
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const target = { ...targetOf(door!), port: (server.address() as AddressInfo).port };
  const { monitor, clock, turn } = start([target]);
  await turn(2);
  assert.equal(connections, 2);
  monitor.close();
  clock.advance(10 * INTERVAL_MS);
  server.close();
  await once(server, "close");
  assert.equal(connections, 2);
});
