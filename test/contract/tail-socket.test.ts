/** A tail's client at its worst: one that reads nothing, one that is dead, one whose store refuses. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { type Ask, StoreFault } from "../../aggregator/page/store-client.ts";
import { TailHub } from "../../aggregator/page/tail-hub.ts";
import { serveTail } from "../../aggregator/page/tail-socket.ts";
import { type HttpServer, startHttp } from "../../shared/http.ts";
import { waitFor } from "../support/wait-for.ts";

const LINE = {
  tail: 1,
  atMs: 5,
  key: "k".repeat(500),
  type: "counter",
  updates: 1,
  value: 1,
  isChange: false,
};

/** A server with tails of a store that answers so. Returns what the store was asked. */
async function serve(
  t: TestContext,
  { heartbeatMs = 60_000, fault }: { heartbeatMs?: number; fault?: StoreFault } = {},
): Promise<{ server: HttpServer; tails: TailHub; asked: string[] }> {
  const asked: string[] = [];
  const ask = (async ({ kind }: { kind: string }) => {
    asked.push(kind);
    if (fault !== undefined) throw fault;
    return {};
  }) as Ask;
  const tails = new TailHub(ask);
  const upgrade = {
    path: "/tail",
    handler: (...[incoming, , socket, head]: Parameters<HandlerOfUpgrade>) => {
      void serveTail(incoming, socket, head, { tails, match: "**", heartbeatMs });
      return undefined;
    },
  };
  const log = { error: () => {} };
  const server = await startHttp({ host: "127.0.0.1", port: 0 }, [], log, { upgrades: [upgrade] });
  t.after(() => server.close());
  return { server, tails, asked };
}
type HandlerOfUpgrade = NonNullable<
  NonNullable<Parameters<typeof startHttp>[3]>["upgrades"]
>[number]["handler"];

/** Opens a tail by hand, to be able to read nothing. */
async function openRaw(server: HttpServer): Promise<Socket> {
  const socket = connect(server.port, "127.0.0.1");
  socket.write(
    "GET /tail HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  await once(socket, "readable");
  return socket;
}

test("a client that reads nothing costs little, and learns how much it missed", async (t) => {
  const { server, tails } = await serve(t);
  const socket = await openRaw(server);
  await waitFor("the tail", async () => tails.count === 1);
  const lines = Array.from({ length: 1000 }, () => LINE as never);
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 200; round++) {
    tails.take({ kind: "tailed", lines, leftOut: [{ tail: 1, lines: 1 }] });
    // A turn of the event loop, in which the system's buffers are filled.
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(process.memoryUsage().rss - before < 64 << 20, "100 MB of lines do not wait in memory");
  socket.setEncoding("latin1");
  let text = "";
  socket.on("data", (piece) => {
    text = (text + piece).slice(-4000);
  });
  await waitFor("the count of what was left out", async () => {
    tails.take({ kind: "tailed", lines: [LINE as never], leftOut: [] });
    return /\{"skipped":\d{5,}\}/.test(text);
  });
  socket.destroy();
});

test("a client that is dead or reads nothing is let go, and its tail turned off", async (t) => {
  const { server, tails, asked } = await serve(t, { heartbeatMs: 20 });
  // It answers no ping.
  const socket = await openRaw(server);
  socket.resume();
  await once(socket, "close");
  await waitFor("the end of the tail", async () => asked.includes("untail"));
  assert.equal(tails.count, 0);
});

test("a client that lives stays", async (t) => {
  const { server, tails } = await serve(t, { heartbeatMs: 20 });
  const webSocket = new WebSocket(`ws://127.0.0.1:${server.port}/tail`);
  let pings = 0;
  webSocket.on("ping", () => {
    pings += 1;
  });
  await waitFor("some beats", async () => pings >= 5);
  assert.equal(tails.count, 1);
  webSocket.terminate();
});

test("a store that refuses ends the tail with its reason", async (t) => {
  const { server } = await serve(t, { fault: new StoreFault("refused", "too many tails") });
  const webSocket = new WebSocket(`ws://127.0.0.1:${server.port}/tail`);
  const [code, reason] = await once(webSocket, "close");
  assert.deepEqual([code, String(reason)], [1001, "too many tails"]);
});

test("what is no handshake is answered, and what is sent too long ends the connection", async (t) => {
  const { server, tails } = await serve(t);
  const socket = connect(server.port, "127.0.0.1");
  socket.setEncoding("utf8");
  socket.write("GET /tail HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  assert.match(String((await once(socket, "data"))[0]), /^HTTP\/1\.1 400 /);
  const webSocket = new WebSocket(`ws://127.0.0.1:${server.port}/tail`);
  await once(webSocket, "open");
  webSocket.on("error", () => {});
  webSocket.send("x".repeat(10_000));
  await once(webSocket, "close");
  await waitFor("the end of the tail", async () => tails.count === 0);
});
