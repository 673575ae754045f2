/** Comparing rings with other relays, which the test plays. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { Peers } from "../../relay/page/peers.ts";
import { parseRings } from "../../relay/page/ring-page.ts";
import { seededRandom } from "../../shared/random.ts";
import { EventLog } from "../support/event-log.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait-for.ts";

const INTERVAL_MS = 10_000;
const TIMEOUT_MS = 2_000;
const OURS = { main: "00ff", mirror: "abcd" };

const closing: (() => void)[] = [];
let keeper: Server;
before(() => {
  keeper = createServer().listen(0, "127.0.0.1");
});
after(() => keeper.close());
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** Another relay's management page. */
async function startPeer(listener: RequestListener): Promise<{ host: string; port: number; server: Server }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port, server };
}

/** A peer that answers with whatever `page.rings` is. */
async function startRelay(rings: unknown) {
  const page = { rings, asked: [] as string[] };
  const peer = await startPeer((request, response) => {
    page.asked.push(`${request.method} ${request.url} ${request.headers.host}`);
    response.end(JSON.stringify({ rings: page.rings }));
  });
  return { ...peer, page };
}

/** timeoutMs: by default none, since the clock is turned while peers answer. */
function watch(
  peers: readonly { host: string; port: number }[],
  { timeoutMs = 1e9, lookup }: { timeoutMs?: number; lookup?: () => Promise<never[]> } = {},
) {
  const clock = new ManualClock();
  const events = new EventLog();
  const own: { rings: Record<string, string> } = { rings: OURS };
  const watched = new Peers({
    peers: peers.map(({ host, port }) => ({ host, port })),
    peersIntervalMs: INTERVAL_MS,
    timeoutMs,
    ownRings: () => own.rings,
    log: events.log,
    random: seededRandom(1),
    clock,
    ...(lookup === undefined ? {} : { lookup }),
  });
  closing.push(() => watched.close());
  const states = (): string[] => watched.states().map(({ state }) => state);
  /** Turns the clock until the peers are in these states. */
  const until = (...wanted: string[]): Promise<void> =>
    waitFor(wanted.join(" "), () => {
      if (wanted.every((state, at) => states()[at] === state)) return true;
      clock.advance(TIMEOUT_MS / 4);
      return false;
    });
  return { watched, clock, events, own, states, until };
}

test("peers with equal rings are the same, and nothing is logged", async () => {
  const one = await startRelay(OURS);
  const two = await startRelay({ mirror: "abcd", main: "00ff" });
  const { watched, until, events, states } = watch([one, two]);
  assert.deepEqual(states(), ["unknown", "unknown"]);
  await until("same", "same");
  assert.deepEqual(events.events, []);
  assert.equal(one.page.asked[0], `GET /ring 127.0.0.1:${one.port}`);
  const [state] = watched.states();
  assert.deepEqual([state!.peer, state!.rings, state!.fault], [`127.0.0.1:${one.port}`, [], ""]);
});

test("a ring that differs is an error, logged once for each change, and told when it is healed", async () => {
  const peer = await startRelay({ main: "00ee", mirror: "abcd" });
  const { watched, until, events, own, clock } = watch([peer]);
  await until("differs");
  assert.deepEqual(watched.states()[0]!.rings, ["main"]);
  const entry = events.last("relay.ring_differs");
  assert.equal(entry?.level, "error");
  assert.deepEqual(
    [entry?.rings, entry?.ours, entry?.theirs],
    [["main"], { main: "00ff" }, { main: "00ee" }],
  );
  const asked = peer.page.asked.length;
  await waitFor("three more rounds", () => {
    clock.advance(TIMEOUT_MS / 4);
    return peer.page.asked.length >= asked + 3;
  });
  assert.equal(events.events.length, 1);
  // A ring that only one of the two has differs as well.
  peer.page.rings = { main: "00ee", other: "1" };
  await waitFor("the next change", () => {
    clock.advance(TIMEOUT_MS / 4);
    return events.events.length === 2;
  });
  assert.deepEqual(watched.states()[0]!.rings, ["main", "mirror", "other"]);
  own.rings = { main: "00ee", other: "1" };
  await until("same");
  assert.deepEqual(events.events, ["relay.ring_differs", "relay.ring_differs", "relay.ring_same"]);
});

test("a peer that is gone is unreachable; that it differed is not forgotten", async () => {
  const peer = await startRelay({ main: "x" });
  const { until, events, watched } = watch([peer]);
  await until("differs");
  peer.server.close();
  peer.server.closeAllConnections();
  await once(peer.server, "close");
  await until("unreachable");
  assert.equal(watched.states()[0]!.fault, "ECONNREFUSED");
  peer.server.listen(peer.port, "127.0.0.1");
  await until("differs");
  peer.page.rings = OURS;
  await until("same");
  assert.deepEqual(events.events, [
    "relay.ring_differs",
    "relay.peer_unreachable",
    "relay.peer_reached",
    "relay.ring_same",
  ]);
});

test("answers that are no list of rings are bounded faults", async () => {
  const cases: [RequestListener, string][] = [
    [(_, response) => response.writeHead(404).end("{}"), "HTTP 404"],
    [(_, response) => response.writeHead(302, { Location: "/other" }).end(), "HTTP 302"],
    [(_, response) => response.end("no JSON"), "no list of rings"],
    [(_, response) => response.end('{"rings":{"main":5}}'), "no list of rings"],
    [(_, response) => response.end("x".repeat(1 << 20)), "answer too long"],
    [(request) => request.socket.destroy(), "ECONNRESET"],
    [
      (_, response) => {
        response.writeHead(200, { "Content-Length": 1000 });
        response.write("{", () => response.destroy());
      },
      "ECONNRESET",
    ],
  ];
  const peers = await Promise.all(cases.map(([listener]) => startPeer(listener)));
  const { watched, until } = watch(peers);
  await until(...cases.map(() => "unreachable"));
  assert.deepEqual(
    watched.states().map(({ fault }) => fault),
    cases.map(([, fault]) => fault),
  );
});

test("a peer that never answers costs its timeout, and others do not wait for its state", async () => {
  const sockets: Socket[] = [];
  const silent = createTcpServer((socket) => sockets.push(socket.resume())).listen(0, "127.0.0.1");
  await once(silent, "listening");
  closing.push(() => {
    silent.close();
    for (const socket of sockets) socket.destroy();
  });
  const quick = await startRelay(OURS);
  const slow = { host: "127.0.0.1", port: (silent.address() as AddressInfo).port };
  const { watched, until, states, clock } = watch([slow, quick], { timeoutMs: TIMEOUT_MS });
  // The timer of the first round, and less than the timeout after it.
  await waitFor("the question", () => {
    if (sockets.length === 0) clock.advance(TIMEOUT_MS / 4);
    return sockets.length > 0;
  });
  await waitFor("the quick one", () => states()[1] === "same");
  assert.deepEqual(states(), ["unknown", "same"]);
  clock.advance(TIMEOUT_MS);
  await until("unreachable", "same");
  assert.equal(watched.states()[0]!.fault, "timeout");
});

test("a name that is not found is a fault of that peer alone", async () => {
  const good = await startRelay(OURS);
  const { watched, until } = watch([{ host: "relay.test", port: 1 }, good], {
    lookup: async () => {
      throw Object.assign(new Error("x"), { code: "ENOTFOUND" });
    },
  });
  await until("unreachable", "same");
  assert.equal(watched.states()[0]!.fault, "ENOTFOUND");
});

test("closed, it asks nobody any more", async () => {
  const peer = await startRelay(OURS);
  const { watched, until, clock } = watch([peer]);
  await until("same");
  const asked = peer.page.asked.length;
  watched.close();
  clock.advance(10 * INTERVAL_MS);
  assert.equal(peer.page.asked.length, asked);
});

test("lists of rings are checked", () => {
  assert.deepEqual(parseRings('{"rings":{"main":"0f","a-b_1":"x"},"more":1}'), { main: "0f", "a-b_1": "x" });
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`r${at}`, "0"]));
  for (const page of [
    "",
    "null",
    "[]",
    '"x"',
    "{}",
    '{"rings":null}',
    '{"rings":[]}',
    '{"rings":{}}',
    '{"rings":{"a b":"0"}}',
    '{"rings":{"main":""}}',
    '{"rings":{"main":"a\\nb"}}',
    '{"rings":{"main":null}}',
    '{"rings":{"__proto__":"0"}}',
    JSON.stringify({ rings: many }),
  ]) {
    assert.equal(parseRings(page), undefined, page);
  }
});
