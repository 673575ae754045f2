/** Names of destinations, looked up again in the background. The name server is the test. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { NameLookup } from "../../relay/destinations/name-lookup.ts";
import { Resolver } from "../../relay/destinations/resolver.ts";
import { OperatorError } from "../../shared/errors.ts";
import type { HostAddress } from "../../shared/host-lookup.ts";
import { seededRandom } from "../../shared/random.ts";
import { EventLog } from "../support/event-log.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait-for.ts";

const INTERVAL_MS = 30_000;
const TIMEOUT_MS = 5_000;
const STEP_MS = 100;

/** Answers as the test says; a name without an answer does not exist, and `hang` never answers. */
class NameServer {
  readonly answers = new Map<string, readonly string[] | "hang">();
  readonly asked: string[] = [];
  readonly #hanging: (() => void)[] = [];

  readonly lookup = async (host: string): Promise<readonly HostAddress[]> => {
    this.asked.push(host);
    if (this.answers.get(host) === "hang") await new Promise<void>((resolve) => this.#hanging.push(resolve));
    const answer = this.answers.get(host);
    if (answer === undefined || answer === "hang") throw Object.assign(new Error("x"), { code: "ENOTFOUND" });
    return answer.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  };

  /** Lets the lookups that hang be answered. */
  release(): void {
    for (const go of this.#hanging.splice(0)) go();
  }
}

const open: Resolver[] = [];
afterEach(() => {
  for (const resolver of open.splice(0)) resolver.close();
});

function begin(
  answers: Record<string, readonly string[] | "hang">,
  resolveIntervalMs = INTERVAL_MS,
  seed = 3,
) {
  const server = new NameServer();
  for (const [name, answer] of Object.entries(answers)) server.answers.set(name, answer);
  const clock = new ManualClock();
  const events = new EventLog();
  const changes: [string, string][] = [];
  const resolver = new Resolver({
    resolveIntervalMs,
    log: events.log,
    random: seededRandom(seed),
    onChange: (text, address) => changes.push([text, address]),
    clock,
    lookup: server.lookup,
    timeoutMs: TIMEOUT_MS,
  });
  open.push(resolver);
  const start = async (texts: readonly string[]) => {
    const resolved = await resolver.resolve(texts, "udp");
    resolver.follow(resolved);
    return resolved;
  };
  /** Turns the clock until a round begins; returns how long that took, in milliseconds. */
  const begun = (): number => {
    const { lookups } = resolver.totals;
    const startedMs = clock.monotonicMs();
    while (resolver.totals.lookups === lookups && clock.monotonicMs() - startedMs < 2 * INTERVAL_MS) {
      clock.advance(STEP_MS);
    }
    return clock.monotonicMs() - startedMs;
  };
  /** One round, answers included. */
  const round = async (): Promise<void> => {
    begun();
    await settle();
  };
  return { server, clock, events, changes, resolver, start, begun, round };
}

/** Lets everything happen that only waits for promises. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("at the start everything is looked up at once, each name once, literals never", async () => {
  const { server, start } = begin({ "a.test": "hang", "b.test": ["2001:db8::2", "192.0.2.2"] });
  const texts = ["a.test:1", "b.test:2", "a.test:1:x", "192.0.2.9:3", "unixgram:///run/x.sock"];
  const started = start(texts);
  await waitFor("both names", () => server.asked.length === 2);
  server.answers.set("a.test", ["192.0.2.1"]);
  server.release();
  const resolved = await started;
  assert.deepEqual(
    resolved.map(({ host }) => host),
    ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.9", undefined],
  );
  assert.deepEqual(server.asked, ["a.test", "b.test"]);
});

test("at the start every name that fails is told", async () => {
  const { resolver } = begin({ "ok.test": ["192.0.2.1"] });
  await assert.rejects(resolver.resolve(["x.test:1", "ok.test:1", "y.test:1"], "udp"), (error: unknown) => {
    assert.ok(error instanceof OperatorError);
    assert.match(error.message, /x\.test:1: .*ENOTFOUND.*\n.*y\.test:1: /);
    return !error.message.includes("ok.test");
  });
});

test("at the start a lookup that hangs ends as a fault", async () => {
  const { resolver, clock, server } = begin({ "a.test": "hang" });
  const rejected = assert.rejects(resolver.resolve(["a.test:1"], "udp"), /a\.test.*ETIMEOUT/);
  await waitFor("the lookup", () => server.asked.length === 1);
  clock.advance(TIMEOUT_MS);
  await rejected;
});

test("a new address is told, for each destination of the name", async () => {
  const { server, start, round, changes, resolver, events } = begin({ "a.test": ["192.0.2.1"] });
  await start(["a.test:1", "tcp://a.test:2", "192.0.2.9:3"]);
  await round();
  assert.deepEqual(changes, []);
  server.answers.set("a.test", ["192.0.2.7"]);
  await round();
  assert.deepEqual(changes, [
    ["a.test:1", "192.0.2.7"],
    ["tcp://a.test:2", "192.0.2.7"],
  ]);
  assert.deepEqual(
    resolver.states().map(({ text, address, isStale }) => [text, address, isStale]),
    [
      ["a.test:1", "192.0.2.7", false],
      ["tcp://a.test:2", "192.0.2.7", false],
    ],
  );
  assert.equal(resolver.totals.moves, 2);
  assert.equal(events.last("relay.destination_moved")?.to, "192.0.2.7");
  await round();
  assert.equal(changes.length, 2);
});

test("an answer that still has the address in use changes nothing, in whatever order", async () => {
  const { server, start, round, changes } = begin({ "a.test": ["192.0.2.2", "192.0.2.1"] });
  await start(["a.test:1"]);
  for (const answer of [
    ["192.0.2.1", "192.0.2.2"],
    ["192.0.2.3", "2001:db8::1", "192.0.2.2"],
    ["192.0.2.2"],
  ]) {
    server.answers.set("a.test", answer);
    await round();
  }
  assert.deepEqual(changes, []);
  server.answers.set("a.test", ["2001:db8::1", "192.0.2.3"]);
  await round();
  assert.deepEqual(changes, [["a.test:1", "192.0.2.3"]]);
});

test("when a lookup fails the last good address stays; the log tells once, and when it is over", async () => {
  const { server, start, round, changes, resolver, events } = begin({ "a.test": ["192.0.2.1"] });
  await start(["a.test:1"]);
  server.answers.delete("a.test");
  await round();
  await round();
  assert.deepEqual(resolver.states(), [
    { text: "a.test:1", host: "a.test", address: "192.0.2.1", isStale: true, lastFault: "ENOTFOUND" },
  ]);
  server.answers.set("a.test", []);
  await round();
  assert.equal(resolver.states()[0]!.lastFault, "ENODATA");
  server.answers.set("a.test", ["not an address"]);
  await round();
  assert.deepEqual(resolver.totals, { lookups: 5, failures: 4, moves: 0 });
  assert.deepEqual(events.events, ["relay.lookup_failed"]);
  server.answers.set("a.test", ["192.0.2.1"]);
  await round();
  assert.equal(resolver.states()[0]!.isStale, false);
  assert.deepEqual(changes, []);
  assert.deepEqual(events.events, ["relay.lookup_failed", "relay.lookup_recovered"]);
});

test("a lookup that hangs is never joined by a second one; its late answer still serves", async () => {
  const { server, start, clock, changes, resolver, round } = begin({ "a.test": ["192.0.2.1"] });
  await start(["a.test:1"]);
  server.answers.set("a.test", "hang");
  await round();
  for (let rounds = 1; rounds <= 5; rounds++) {
    clock.advance(TIMEOUT_MS);
    await settle();
    assert.equal(resolver.totals.failures, rounds);
    await round();
  }
  assert.equal(server.asked.length, 2);
  server.answers.set("a.test", ["192.0.2.5"]);
  server.release();
  await waitFor("the late answer", () => changes.length === 1);
  assert.deepEqual(changes, [["a.test:1", "192.0.2.5"]]);
});

test("a reload keeps what it knows: addresses in use, and those of names that now fail", async () => {
  const { server, start, resolver } = begin({ "a.test": ["192.0.2.1"], "b.test": ["192.0.2.2"] });
  await start(["a.test:1", "b.test:1"]);
  server.answers.set("a.test", ["192.0.2.4", "192.0.2.1"]);
  server.answers.delete("b.test");
  const again = await resolver.resolve(["a.test:1", "b.test:1"], "udp");
  assert.deepEqual(
    again.map(({ host }) => host),
    ["192.0.2.1", "192.0.2.2"],
  );
  await assert.rejects(resolver.resolve(["a.test:1", "new.test:1"], "udp"), OperatorError);
});

test("only what is followed is looked up, and nothing where the interval is 0 or it is closed", async () => {
  const still = begin({ "a.test": ["192.0.2.1"] }, 0);
  await still.start(["a.test:1"]);
  still.clock.advance(100 * INTERVAL_MS);
  assert.equal(still.server.asked.length, 1);

  const { server, start, round, resolver, clock } = begin({
    "a.test": ["192.0.2.1"],
    "b.test": ["192.0.2.2"],
  });
  await start(["a.test:1"]);
  resolver.follow(await resolver.resolve(["b.test:1"], "udp"));
  await round();
  assert.deepEqual(server.asked, ["a.test", "b.test", "b.test"]);
  resolver.follow(await resolver.resolve(["b.test:1"], "test"));
  clock.advance(100 * INTERVAL_MS);
  resolver.follow(await resolver.resolve(["b.test:1"], "udp"));
  resolver.close();
  clock.advance(100 * INTERVAL_MS);
  assert.equal(server.asked.length, 5);
});

test("relays that start together do not ask in step, but about once in an interval", async () => {
  const firstsMs: number[] = [];
  for (const seed of [1, 2, 3, 4, 5]) {
    const { start, begun } = begin({ "a.test": ["192.0.2.1"] }, INTERVAL_MS, seed);
    await start(["a.test:1"]);
    firstsMs.push(begun());
  }
  assert.ok(new Set(firstsMs).size > 2, String(firstsMs));
  assert.ok(firstsMs.every((ms) => ms >= 0.9 * INTERVAL_MS && ms <= 1.1 * INTERVAL_MS + STEP_MS));
});

test("a lookup that throws at once is one that fails", async () => {
  const names = new NameLookup(TIMEOUT_MS, new ManualClock(), () => {
    throw new Error("odd");
  });
  await assert.rejects(names.find("a.test"), /odd/);
  assert.equal(names.pendingCount, 0);
  assert.deepEqual(await names.find("::1"), [{ address: "::1", family: 6 }]);
});
