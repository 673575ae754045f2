// Sinks of a cluster's node: what is told of deliveries, the fence, and rows that another leader writes.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, test } from "node:test";
import { intervalsOf, OrderedSinks, stopOrdered } from "../support/ordered-sinks.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { startCarbon } from "../support/sinks.ts";
import { waitFor } from "../support/wait-for.ts";

afterEach(stopOrdered);

test("each sink is told of when its remote has acknowledged the whole order", async () => {
  const quick = await startCarbon();
  const slow = await startCarbon([{ kind: "silent" }]);
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([quick.port, slow.port]));
  const [quickName, slowName] = sinks.set.names();
  assert.deepEqual(sinks.set.names(), [`carbon[127.0.0.1:${quick.port}]`, `carbon[127.0.0.1:${slow.port}]`]);
  sinks.give(1, {}, 3);
  await waitFor("the quick one", () => sinks.told.length === 1);
  assert.deepEqual(sinks.told, [`1.0 ${quickName} true`]);
  assert.equal(quick.lines().length, 30);
  await slow.until(({ connectionCount }) => connectionCount === 1);
  await slow.stop();
  await slow.restart();
  await waitFor("the slow one", () => sinks.told.length === 2);
  assert.equal(sinks.told[1], `1.0 ${slowName} true`);
});

test("a sink that has it already, and one without rows to get, is told of at once", async () => {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  sinks.give(1, { deliveredTo: ["carbon"] });
  sinks.give(2, {}, 1, 0);
  assert.deepEqual(sinks.told, ["1.0 carbon true", "2.0 carbon true"]);
  assert.equal(sinks.known(), 0);
});

test("rows that a bound costs are an order given up", async () => {
  const carbon = await startCarbon();
  await carbon.stop();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port], { queueBytesMax: 2000 }));
  sinks.give(1, {}, 3);
  sinks.give(2);
  // A batch of it is lost, and the others are not settled.
  assert.deepEqual(sinks.told, []);
  sinks.give(3, {}, 2);
  assert.deepEqual(sinks.told, ["1.0 carbon false"]);
  sinks.give(4, {}, 1, 100);
  assert.deepEqual(sinks.told, ["1.0 carbon false", "4.0 carbon false"]);
  assert.equal(sinks.known(), 160);
  await carbon.restart();
  await waitFor("the rest", () => sinks.told.length === 4);
  assert.deepEqual(sinks.told.slice(2), ["2.0 carbon true", "3.0 carbon true"]);
});

test("behind a closed fence rows wait, without a connection or a failure", async () => {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  sinks.fence.from = 0;
  sinks.give(1);
  await waitFor("the fence", () => sinks.status().state === "fenced");
  sinks.set.resume();
  const { askedCount } = sinks.fence;
  await waitFor("a second look", () => sinks.fence.askedCount > askedCount + 1);
  assert.deepEqual([carbon.connectionCount, sinks.status().queuedRows, sinks.log.entries], [0, 10, []]);
  sinks.fence.from = 2;
  sinks.set.resume();
  await waitFor("the delivery", () => sinks.told.length === 1);
  assert.deepEqual(sinks.told, ["1.0 carbon true"]);
  assert.equal(sinks.status().rowsRetried, 0);
});

test("without anybody's word a sink finds out by itself that the fence is open", async () => {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  sinks.fence.from = 0;
  sinks.give(1);
  await waitFor("the fence", () => sinks.status().state === "fenced");
  sinks.fence.from = 2;
  await waitFor("the delivery", () => sinks.told.length === 1);
});

test("a lease that ends while a connection is made lets no line out", async () => {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  // The first question takes the chunk, the second is asked before the first slice.
  sinks.fence.onAsk = () => {
    if (sinks.fence.askedCount === 2) sinks.fence.from = 0;
  };
  sinks.give(1);
  await carbon.until(({ received }) => received.length === 1);
  assert.equal(carbon.received[0]?.length, 0);
  await waitFor("the fence", () => sinks.status().state === "fenced");
  assert.deepEqual(sinks.log.entries, []);
  sinks.fence.from = 2;
  await waitFor("the delivery", () => sinks.told.length === 1);
  assert.equal(carbon.lines().length, 10);
});

test("a delivery under way is given up at once, and made again when the fence is open", async () => {
  const carbon = await startCarbon([{ kind: "stuck", afterBytes: 1 }]);
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  sinks.give(1, {}, 1, 20_000);
  await carbon.until(({ connectionCount }) => connectionCount === 1);
  await waitFor("rows on their way", () => sinks.status().state === "sending");
  sinks.fence.from = 0;
  sinks.set.revoke();
  assert.equal(sinks.status().state, "fenced");
  assert.deepEqual([sinks.told, sinks.log.entries], [[], []]);
  sinks.fence.from = 2;
  sinks.set.resume();
  await waitFor("the delivery", () => sinks.told.length === 1);
  assert.deepEqual(sinks.told, ["1.0 carbon true"]);
  assert.equal(carbon.lines().length, 20_000);
  assert.equal(sinks.known(), 20_000);
});

test("what another leader writes is dropped, and nobody is told of it", async () => {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  sinks.fence.from = 0;
  for (const interval of [1, 2, 3, 4]) sinks.give(interval, {}, 2);
  assert.equal(sinks.set.yieldFrom(3), 40);
  assert.equal(sinks.status().rowsHandedOver, 40);
  assert.equal(sinks.known(), 80);
  sinks.fence.from = 3;
  sinks.set.resume();
  await waitFor("the others", () => sinks.told.length === 2);
  assert.deepEqual(sinks.told, ["1.0 carbon true", "2.0 carbon true"]);
  assert.deepEqual(intervalsOf(carbon.lines()), [1, 2]);
  assert.equal(sinks.status().queuedRows, 0);
});

test("rows on their way are dropped as well: the connection is reset", async () => {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([port]));
  sinks.give(1, {}, 1, 200_000);
  const [socket] = (await once(server, "connection")) as [Socket];
  await once(socket, "data");
  const over = once(socket, "end");
  assert.equal(sinks.set.yieldFrom(1), 200_000);
  await assert.rejects(over, { code: "ECONNRESET" });
  assert.deepEqual([sinks.told, sinks.status().state, sinks.known()], [[], "idle", 200_000]);
  await once(server.close(), "close");
});

test("batches of an order that is forgotten are not taken any more", async () => {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  const ticket = sinks.give(1, {}, 0);
  ticket.forget();
  let overs = 0;
  ticket.onOver = () => overs++;
  sinks.set.accept(batchOf(numberedRows("a", 3), { lastOfInterval: false, ticket }));
  assert.deepEqual([sinks.known(), overs], [0, 0]);
  sinks.set.accept(batchOf(numberedRows("b", 3), { ticket }));
  assert.deepEqual([sinks.known(), overs], [0, 1]);
});

test("a later revision is not overtaken, over several connections and after failures", async () => {
  const carbon = await startCarbon([{ kind: "silent" }, { kind: "reset", afterBytes: 1 }]);
  const more = { connections: 4, ackTimeoutMs: 200, chunkBytes: 1 };
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port], more));
  sinks.give(1, { revision: 0 }, 2);
  sinks.give(1, { revision: 1, cause: "amend" }, 2);
  sinks.give(1, { revision: 2, cause: "settle" }, 2);
  sinks.give(2);
  await waitFor("all of it", () => sinks.told.length === 4);
  assert.ok(sinks.status().rowsRetried > 0);
  const revisions = carbon.lines().flatMap((line) => /^interval1\.revision(\d)/.exec(line)?.[1] ?? []);
  assert.deepEqual(revisions, [...revisions].sort());
  assert.equal(revisions.length, 60);
});

test("a sink that is removed is told of at its end", async () => {
  const dead = await startCarbon();
  await dead.stop();
  const sinks = new OrderedSinks(["carbon", "console"], OrderedSinks.carbon([dead.port]), {
    output: { write: (_text, written) => written?.() },
  });
  sinks.give(1);
  assert.deepEqual(sinks.told, ["1.0 console true"]);
  sinks.set.apply(["console"], sinks.context, 50);
  await waitFor("its end", () => sinks.told.length === 2);
  assert.deepEqual(sinks.told, ["1.0 console true", "1.0 carbon false"]);
});

test("what the end of the process costs is not told: the next leader writes it", async () => {
  const dead = await startCarbon();
  await dead.stop();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([dead.port]));
  sinks.give(1);
  assert.equal(await sinks.set.drain(0), false);
  sinks.set.close();
  sinks.give(2);
  assert.deepEqual(sinks.told, []);
  assert.equal(sinks.status().rowsLost.shutdown, 20);
});

test("what is delivered while the process ends is told", async () => {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port]));
  sinks.give(1);
  assert.equal(await sinks.drained(), true);
  assert.deepEqual(sinks.told, ["1.0 carbon true"]);
});

test("a closed fence costs no more memory than a remote that is down", async () => {
  const carbon = await startCarbon();
  const sinks = new OrderedSinks(["carbon"], OrderedSinks.carbon([carbon.port], { queueBytesMax: 20_000 }));
  sinks.fence.from = 0;
  for (let interval = 0; interval < 500; interval++) sinks.give(interval);
  const { queuedBytes, rowsLost } = sinks.status();
  assert.ok(queuedBytes <= 20_000);
  assert.ok(rowsLost.queue_full > 0);
  assert.equal(sinks.known(), 5000);
  assert.equal(sinks.told.length * 10, rowsLost.queue_full);
});
