/** The protocol's writer: what it tells the store and the sinks, and what it remembers of orders. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import type { FromCluster } from "../../aggregator/cluster-messages.ts";
import { ClusterWords } from "../../aggregator/cluster-words.ts";
import { ClusterWriter } from "../../aggregator/cluster-writer.ts";
import { STORE_COUNTERS } from "../../aggregator/counters.ts";
import type { StoreOrder } from "../../aggregator/store-orders.ts";
import type { WriteOrder } from "../../cluster/world.ts";
import { machineMs } from "../../shared/clock.ts";
import { Counters } from "../../shared/counters.ts";
import { waitFor } from "../support/wait-for.ts";

function orderOf(interval: number): WriteOrder {
  const flags = { deliveredTo: [], isInDoubt: false, isDegraded: false };
  return { interval, revision: 1, term: 1, cause: "first", ...flags };
}

function setUp() {
  const { port1, port2 } = new MessageChannel();
  const orders: StoreOrder[] = [];
  port2.on("message", (order: StoreOrder) => void orders.push(order));
  const told: FromCluster[] = [];
  const words = new ClusterWords();
  const writer = new ClusterWriter(port1, new Counters(STORE_COUNTERS), words, (message) => {
    told.push(message);
  });
  writer.setSinks(["carbon"]);
  const writes = () => orders.flatMap((order) => (order.kind === "write" ? order.order : []));
  return { writer, told, words, writes, close: () => port1.close() };
}

test("of orders that another leader took over only those below its floor are told", async () => {
  const { writer, told, writes, close } = setUp();
  const progress: string[] = [];
  for (const interval of [4, 5]) {
    writer.write(orderOf(interval), (sink, isDelivered) =>
      progress.push(`${interval} ${sink} ${isDelivered}`),
    );
  }
  writer.yieldFrom(5, machineMs() + 1000);
  writer.yieldFrom(5, machineMs() + 1000);
  assert.deepEqual(told, [{ kind: "yield", floor: 5, throughOrder: 2 }], "the same word is told once");
  writer.settled(2, "carbon", true);
  writer.settled(1, "carbon", true);
  assert.deepEqual(progress, ["4 carbon true"]);
  writer.write(orderOf(6), () => {});
  await waitFor("the orders", () => writes().length === 3);
  assert.deepEqual(
    writes().map(({ id, yieldCount }) => [id, yieldCount]),
    [
      [1, 0],
      [2, 0],
      [3, 1],
    ],
  );
  close();
});

test("a sink that is gone has given up what it was to tell", () => {
  const { writer, close } = setUp();
  const progress: string[] = [];
  writer.write(orderOf(4), (sink, isDelivered) => progress.push(`${sink} ${isDelivered}`));
  writer.setSinks(["other"]);
  assert.deepEqual(progress, ["carbon false"]);
  close();
});

test("sinks hear of a lease that is given up, and the fence closes at once", () => {
  const { writer, told, words, close } = setUp();
  writer.setLease(machineMs() + 60_000);
  assert.equal(words.mayWrite(1), true);
  writer.setLease(0);
  assert.equal(words.mayWrite(1), false);
  assert.deepEqual(
    told.map(({ kind }) => kind),
    ["resume", "revoke"],
  );
  close();
});
