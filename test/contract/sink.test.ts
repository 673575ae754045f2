// What the registry makes of the configuration: a sink per address, none of which can hold up another.
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { batchOf, numberedRows } from "../support/rows.ts";
import { assertAccounted, drained, intervals, openCarbon, startCarbon, stopSinks } from "../support/sinks.ts";

after(stopSinks);

test("two addresses, one dead: the other is not delayed", async () => {
  const dead = await startCarbon();
  await dead.stop();
  const alive = await startCarbon();
  const { sinks } = openCarbon([dead.port, alive.port]);
  const [deadSink, aliveSink] = sinks;
  assert.deepEqual(
    sinks.map((sink) => sink.name),
    [dead, alive].map((one) => `carbon[127.0.0.1:${one.port}]`),
  );
  const { batches, lines } = intervals(3, 50);
  for (const batch of batches) for (const sink of sinks) sink.accept(batch);
  assert.equal(await drained(aliveSink!), true);
  assert.deepEqual(alive.lines(), lines);
  assert.equal(deadSink!.status().queuedRows, 150);
  assertAccounted(deadSink!, 150);
  assertAccounted(aliveSink!, 150);
});

test("draining nothing is done at once; empty batches are nothing", async () => {
  const { sinks } = openCarbon([1]);
  sinks[0]!.accept(batchOf([]));
  assert.equal(sinks[0]!.status().state, "idle");
  assert.equal(await drained(sinks[0]!), true);
});

test("a name that does not resolve is one more failure, not an exception", async () => {
  const address = [{ host: "name.invalid", port: 2003 }];
  const { sinks, log } = openCarbon([], { address, connectTimeoutMs: 200 });
  sinks[0]!.accept(batchOf(numberedRows("a", 3)));
  await once(log, "sink.failed");
  assert.match(sinks[0]!.status().lastError ?? "", /^(ENOTFOUND|EAI_AGAIN|connect timeout)$/);
  sinks[0]!.close();
  assertAccounted(sinks[0]!, 3);
});

test("no address, no sink", () => {
  assert.deepEqual(openCarbon([]).sinks, []);
});
