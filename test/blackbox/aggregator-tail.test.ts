/** Live tails of a running aggregator over WebSocket. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket } from "ws";
import { SCHEMAS } from "../../aggregator/page/schemas.ts";
import { TAILS_MAX } from "../../aggregator/page/tail-hub.ts";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams, startAggregator, type TestDaemon } from "../support/daemons.ts";
import { schemaFaults } from "../support/json-schema.ts";
import { waitFor } from "../support/wait-for.ts";

const io = await chooseIo("auto");

/** A tail, and the messages that it got. */
class TestTail {
  readonly messages: Record<string, unknown>[] = [];
  readonly webSocket: WebSocket;
  readonly closed: Promise<number>;
  /** 101, or the status of a refusal. */
  readonly status: Promise<number>;

  constructor(daemon: TestDaemon, query: string, token = "") {
    const headers = token === "" ? {} : { Authorization: `Bearer ${token}` };
    this.webSocket = new WebSocket(`ws://${daemon.management}/tail${query}`, { headers });
    this.webSocket.on("message", (data) => this.messages.push(JSON.parse(String(data))));
    this.webSocket.on("error", () => {});
    this.closed = once(this.webSocket, "close").then(([code]) => Number(code));
    this.status = new Promise((resolve) => {
      this.webSocket.on("open", () => resolve(101));
      this.webSocket.on("unexpected-response", (request, response) => {
        resolve(response.statusCode ?? 0);
        request.destroy();
      });
    });
  }

  keys(): unknown[] {
    return this.messages.map(({ key }) => key);
  }
}

test("a tail shows what comes in for the series that match, as it comes", async () => {
  const daemon = await startAggregator(io);
  const tail = new TestTail(daemon, "?match=app.*");
  assert.equal(await tail.status, 101);
  await waitFor("a line", async () => {
    await sendDatagrams(daemon.ports[0]!, ["app.a:2|c|@0.5\nother.a:1|c\napp.deep.a:1|c"]);
    return tail.messages.length > 0;
  });
  for (const message of tail.messages) {
    assert.deepEqual(schemaFaults(message, SCHEMAS.TailLine!), []);
    assert.equal(message.key, "app.a");
    assert.equal(message.type, "counter");
    assert.equal(message.value, 4 * Number(message.updates));
  }
  tail.webSocket.close();
  await tail.closed;
  await daemon.stop();
});

test("tails are refused for a wrong token, a broken pattern, no upgrade, one too many", async () => {
  const token = "t0ken";
  const daemon = await startAggregator(io, { aggregator: `management-token = ${token}` });
  const status = async (query: string, given = token) => new TestTail(daemon, query, given).status;
  assert.equal(await status("?match=app.*", ""), 401);
  assert.equal(await status("?match=app.*", "other"), 401);
  assert.equal(await status("?match=%5B"), 400);
  const plain = await fetch(`http://${daemon.management}/tail`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  assert.equal(plain.status, 426);
  const tails = Array.from({ length: TAILS_MAX }, () => new TestTail(daemon, "?match=**", token));
  for (const tail of tails) assert.equal(await tail.status, 101);
  assert.equal(await status("?match=**"), 503);
  tails[0]!.webSocket.close();
  await tails[0]!.closed;
  await waitFor("room for another", async () => (await status("?match=**")) === 101);
  await daemon.stop();
});

test("a stop of the aggregator ends its tails in good order", async () => {
  const daemon = await startAggregator(io);
  const tail = new TestTail(daemon, "?match=**");
  assert.equal(await tail.status, 101);
  const exit = daemon.stop();
  assert.equal(await tail.closed, 1001);
  assert.equal((await exit).code, 0);
});

test("a flood is thinned, and what was left out is counted", async () => {
  const daemon = await startAggregator(io);
  const tail = new TestTail(daemon, "?match=flood.**");
  assert.equal(await tail.status, 101);
  const names = Array.from({ length: 3000 }, (_, index) => `flood.n${index}:1|c`);
  const datagrams: string[] = [];
  for (let at = 0; at < names.length; at += 100) datagrams.push(names.slice(at, at + 100).join("\n"));
  await waitFor("a count of what was left out", async () => {
    await sendDatagrams(daemon.ports[0]!, datagrams);
    return tail.messages.some(({ skipped }) => Number(skipped) > 0);
  });
  assert.ok(tail.keys().filter((key) => key !== undefined).length > 0);
  await daemon.stop();
});
