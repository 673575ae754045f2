// Each kind of sink in a cluster: the fence, rows of another leader, and what a second value does.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { createCarbonSinks } from "../../aggregator/sink/carbon.ts";
import { createConsoleSinks } from "../../aggregator/sink/console.ts";
import { createFileSinks } from "../../aggregator/sink/file.ts";
import type { Sink, SinkContext } from "../../aggregator/sink/sink.ts";
import { newFolder, OrderedSinks, stopOrdered } from "../support/ordered-sinks.ts";
import { hasCarbon, startCarbon as startRealCarbon } from "../support/real-carbon.ts";
import { batchOf } from "../support/rows.ts";
import { drained, startCarbon } from "../support/sinks.ts";
import { waitFor } from "../support/wait-for.ts";

const reason = "graphite-carbon (carbon-cache and whisper-fetch) is not installed";

afterEach(stopOrdered);

function linesOf(path: string): string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}

/** Sinks whose console writes into a list, which takes everything at once. */
function openConsole(): { sinks: OrderedSinks; texts: string[] } {
  const texts: string[] = [];
  const output = {
    write(text: string, written?: () => void) {
      texts.push(text);
      written?.();
    },
  };
  return { sinks: new OrderedSinks(["console"], {}, { output }), texts };
}

test("udp: no datagram leaves through a closed fence", async () => {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const received: string[] = [];
  socket.on("message", (message) => received.push(message.toString()));
  const changes = OrderedSinks.carbon([socket.address().port], { protocol: "udp" });
  const sinks = new OrderedSinks(["carbon"], changes);
  // The chunk is taken, and then the lease is over.
  sinks.fence.onAsk = () => {
    if (sinks.fence.askedCount === 2) sinks.fence.from = 0;
  };
  sinks.give(1);
  await waitFor("the fence", () => sinks.status().state === "fenced");
  assert.deepEqual([received, sinks.log.entries], [[], []]);
  sinks.fence.from = 2;
  sinks.set.resume();
  await waitFor("the delivery", () => sinks.told.length === 1);
  await waitFor("the lines", () => received.join("").split("\n").length === 11);
  socket.close();
});

test("file: rows wait at the fence, and those of another leader are dropped", async () => {
  const path = join(newFolder(), "rows");
  const sinks = new OrderedSinks(["file"], OrderedSinks.file(path));
  sinks.fence.from = 0;
  for (const interval of [1, 2, 3]) sinks.give(interval, {}, 2);
  await waitFor("the fence", () => sinks.status().state === "fenced");
  assert.deepEqual(linesOf(path), []);
  sinks.fence.from = 2;
  sinks.set.resume();
  await waitFor("the first", () => sinks.told.length === 1);
  assert.equal(sinks.set.yieldFrom(3), 20);
  sinks.fence.from = 9;
  await waitFor("the second", () => sinks.told.length === 2);
  assert.deepEqual(sinks.told, ["1.0 file true", "2.0 file true"]);
  assert.equal(linesOf(path).length, 40);
  assert.equal(sinks.known(), 60);
});

test("file: a batch that is half written ends where it is when another leader writes it", async () => {
  const path = join(newFolder(), "rows");
  const sinks = new OrderedSinks(["file"], OrderedSinks.file(path));
  // The fence closes behind the third slice.
  sinks.fence.onAsk = () => {
    if (sinks.fence.askedCount === 4) sinks.fence.from = 0;
  };
  sinks.give(1, {}, 1, 20_000);
  await waitFor("the fence", () => sinks.status().state === "fenced");
  const written = linesOf(path).length;
  assert.ok(written > 0 && written < 20_000);
  assert.equal(sinks.set.yieldFrom(1), 20_000 - written);
  sinks.fence.from = 9;
  sinks.give(2);
  await waitFor("the next", () => sinks.told.length === 1);
  assert.deepEqual(sinks.told, ["2.0 file true"]);
  assert.equal(linesOf(path).length, written + 10);
  assert.equal(sinks.known(), 20_010);
});

test("file: rows that find no room are an order given up", async () => {
  const folder = newFolder();
  const path = join(folder, "later", "rows");
  const sinks = new OrderedSinks(["file"], OrderedSinks.file(path, { queueBytesMax: 2500 }));
  for (const interval of [1, 2, 3, 4, 5]) sinks.give(interval);
  // The first is being written, so it stays.
  assert.deepEqual(sinks.told, ["2.0 file false", "3.0 file false"]);
  mkdirSync(join(folder, "later"));
  await waitFor("the others", () => sinks.told.length === 5);
  assert.deepEqual(
    sinks.told.slice(2),
    [1, 4, 5].map((interval) => `${interval}.0 file true`),
  );
});

test("console: tables wait at the fence, a bounded number of them", () => {
  const { sinks, texts } = openConsole();
  sinks.fence.from = 0;
  for (let interval = 1; interval <= 20; interval++) sinks.give(interval);
  assert.deepEqual([texts, sinks.status().state], [[], "fenced"]);
  assert.deepEqual(
    sinks.told,
    [1, 2, 3, 4].map((interval) => `${interval}.0 console false`),
  );
  assert.equal(sinks.set.yieldFrom(19), 20);
  sinks.fence.from = 9;
  sinks.set.resume();
  assert.equal(texts.length, 4);
  sinks.fence.from = 99;
  sinks.set.resume();
  assert.equal(texts.length, 14);
  assert.equal(sinks.told.length, 18);
  assert.equal(sinks.known(), 200);
  assert.equal(sinks.status().state, "idle");
});

test("console: a table that is left at the end is not told of, and counted", async () => {
  const { sinks } = openConsole();
  sinks.fence.from = 0;
  sinks.give(1);
  assert.equal(await sinks.set.drain(0), false);
  assert.deepEqual(sinks.told, []);
  assert.equal(sinks.status().rowsLost.shutdown, 10);
});

test("what replaces gets amendments; what adds up does not, and each row is counted", async () => {
  const replacing = await startCarbon();
  const adding = await startCarbon();
  const first = new OrderedSinks(["carbon"], OrderedSinks.carbon([replacing.port]));
  const second = new OrderedSinks(["carbon"], OrderedSinks.carbon([adding.port], { sinkClass: "additive" }));
  for (const sinks of [first, second]) {
    sinks.give(1);
    sinks.give(1, { revision: 1, cause: "amend" });
    sinks.give(1, { revision: 2, cause: "settle" });
    sinks.give(2, { cause: "takeover" });
    await waitFor("all of it", () => sinks.told.length === 4);
    assert.ok(sinks.told.every((told) => told.endsWith("true")));
  }
  assert.equal(replacing.lines().length, 40);
  assert.equal(adding.lines().length, 10);
  const { rowsNotAmended, rowsInDoubt } = second.status();
  assert.deepEqual([rowsNotAmended, rowsInDoubt, second.known()], [20, 10, 10]);
  assert.equal(first.status().rowsInDoubt, undefined);
});

test("what adds up may be told to take what it perhaps has", async () => {
  const carbon = await startCarbon();
  const changes = OrderedSinks.carbon([carbon.port], { sinkClass: "additive", onDoubt: "resend" });
  const sinks = new OrderedSinks(["carbon"], changes);
  sinks.give(2, { cause: "takeover", isInDoubt: true });
  await waitFor("all of it", () => sinks.told.length === 1);
  assert.equal(carbon.lines().length, 10);
});

/** Writes a value, and another for the same name and timestamp with the next revision. */
async function writeTwice(sink: Sink, timestampSec: number): Promise<void> {
  for (const revision of [0, 1]) {
    sink.accept(batchOf([["class.a", 5 - revision * 2]], { interval: 7, revision, timestampSec }));
    if (revision === 0) await waitFor("the first value", () => sink.status().rowsSent === 1);
  }
  assert.equal(await drained(sink), true);
}

test("carbon is what its class says: the last value stays", { skip: !hasCarbon() && reason }, async () => {
  const carbon = await startRealCarbon();
  assert.ok(carbon);
  try {
    const { context } = new OrderedSinks([], OrderedSinks.carbon([carbon.linePort]));
    const sink = createCarbonSinks(context, "carbon")[0]!;
    assert.equal(sink.sinkClass, "overwrite");
    const timestampSec = Math.floor(Date.now() / 1000) - 5;
    await writeTwice(sink, timestampSec);
    const points = await carbon.pointsWhen("class.a", timestampSec, timestampSec, ({ size }) => size === 1);
    assert.deepEqual([...points], [[timestampSec, 3]]);
    sink.close();
  } finally {
    await carbon.stop();
  }
});

test("the file is what its class says: both values stay, the later one behind", async () => {
  const path = join(newFolder(), "rows");
  const { context } = new OrderedSinks([], OrderedSinks.file(path, { format: "json" }));
  const sink = createFileSinks(context)[0]!;
  assert.equal(sink.sinkClass, "journal");
  await writeTwice(sink, 1000);
  const lines = linesOf(path).map((line) => JSON.parse(line) as { value: number; revision?: number });
  assert.deepEqual(
    lines.map(({ value, revision }) => [value, revision]),
    [
      [5, undefined],
      [3, 1],
    ],
  );
  sink.close();
});

test("the console is what its class says: each table stands for itself", async () => {
  const texts: string[] = [];
  const output = {
    write(text: string, written?: () => void) {
      texts.push(text);
      written?.();
    },
  };
  const context: SinkContext = { ...new OrderedSinks([], {}).context, output };
  const sink = createConsoleSinks(context)[0]!;
  assert.equal(sink.sinkClass, "overwrite");
  await writeTwice(sink, 1000);
  assert.equal(texts.length, 2);
  assert.match(texts[1]!, /amended 1/);
});
