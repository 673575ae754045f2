/** Both executables together: clients, relay, two aggregators, and a real carbon where there is one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StatsD } from "hot-shots";
import { chooseIo } from "../../shared/udp.ts";
import {
  type Metrics,
  sendDatagrams,
  startAggregator,
  startRelay,
  type TestDaemon,
} from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { hasCarbon, startCarbon } from "../support/real-carbon.ts";
import { waitFor } from "../support/wait-for.ts";

const kinds = (await chooseIo("auto")) === "mmsg" ? (["mmsg", "dgram"] as const) : (["dgram"] as const);

interface Suite {
  readonly relay: TestDaemon;
  readonly aggregators: readonly TestDaemon[];
}

/** A relay in front of two aggregators that write to one carbon. */
async function startSuite(io: (typeof kinds)[number], carbonPort: number, interval: string): Promise<Suite> {
  const config = {
    carbon: `address[] = 127.0.0.1:${carbonPort}`,
    aggregator: `sinks[] = carbon\ninterval = ${interval}`,
  };
  const aggregators = await Promise.all([startAggregator(io, config), startAggregator(io, config)]);
  const relay = await startRelay(
    io,
    aggregators.map(({ ports }) => `127.0.0.1:${ports[0]}`),
  );
  return { relay, aggregators };
}

/** Waits until all lines have come through, then checks every identity between the tiers. */
async function assertConserved({ relay, aggregators }: Suite, lines: number): Promise<void> {
  const relayed = await relay.until(`${lines} lines relayed`, (metrics) => {
    const sent = metrics.sum("statsrelay_destination_lines_sent_total");
    return sent >= metrics.sum("statsrelay_lines_accepted_total") && sent >= lines;
  });
  assert.equal(relayed.sum("statsrelay_lines_received_total"), lines);
  assert.equal(relayed.sum("statsrelay_conservation_error"), 0);
  // The relay's own counter goes to the aggregators like any line, so they are asked until it stands still.
  let readings: Metrics[] = [];
  await waitFor("the aggregators to have what the relay sent", async () => {
    const sent = (await relay.metrics()).sum("statsrelay_destination_lines_sent_total");
    readings = await Promise.all(aggregators.map((aggregator) => aggregator.metrics()));
    return readings.reduce((sum, metrics) => sum + metrics.sum("bioyino_lines_received_total"), 0) === sent;
  });
  for (const metrics of readings) {
    assert.equal(metrics.sum("bioyino_conservation_error"), 0);
    assert.equal(metrics.sum("bioyino_lines_dropped_total"), 0);
    assert.equal(metrics.sum("bioyino_kernel_drops_total"), 0);
  }
}

async function stopSuite({ relay, aggregators }: Suite): Promise<void> {
  assert.equal((await relay.stop()).code, 0);
  for (const aggregator of aggregators) assert.equal((await aggregator.stop()).code, 0);
}

/** Sum of a name's points over all intervals and aggregators. */
function total(lines: readonly string[], name: string): number {
  const values = lines.map((line) => line.split(" ")).filter(([metric]) => metric === name);
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

for (const io of kinds) {
  test(`${io}: lines go through relay and aggregators to carbon, and the sums are right`, async () => {
    const carbon = await FakeCarbon.start();
    const suite = await startSuite(io, carbon.port, "200ms");
    const datagrams = Array.from({ length: 1000 }, (_, index) => {
      return [
        `web.${index % 50}.hits:1|c`,
        `web.${index % 50}.time:${index % 7}|ms|@0.5`,
        "all;z=1;a=2:2|c",
      ].join("\n");
    });
    await sendDatagrams(suite.relay.ports[0]!, datagrams);
    await assertConserved(suite, 3000);
    await stopSuite(suite);
    const lines = carbon.lines();
    assert.equal(total(lines, "all;a=2;z=1"), 2000);
    for (let index = 0; index < 50; index++) {
      assert.equal(total(lines, `web.${index}.hits`), 20);
      assert.equal(total(lines, `web.${index}.time.count`), 40);
    }
    assert.equal(total(lines, "statsrelay.statsProcessed"), 3000);
    await carbon.stop();
  });

  test(`${io}: the client hot-shots`, async () => {
    const carbon = await FakeCarbon.start();
    const suite = await startSuite(io, carbon.port, "1h");
    const client = new StatsD({ host: "127.0.0.1", port: suite.relay.ports[0]!, prefix: "hot." });
    client.increment("clicks");
    client.increment("clicks", 4);
    client.decrement("clicks");
    client.timing("render", 12.5);
    client.histogram("size", 100);
    client.gauge("load", 0.75);
    client.set("users", "ann");
    client.set("users", 42);
    client.increment("sampled", 1, 0.999999);
    await new Promise((resolve) => client.close(resolve));
    await suite.relay.until(
      "the client's lines",
      (metrics) => metrics.sum("statsrelay_destination_lines_sent_total") >= 8,
    );
    await stopSuite(suite);
    const lines = carbon.lines();
    assert.equal(total(lines, "hot.clicks"), 4);
    assert.equal(total(lines, "hot.render.mean"), 12.5);
    assert.equal(total(lines, "hot.size.max"), 100);
    assert.equal(total(lines, "hot.load"), 0.75);
    assert.equal(total(lines, "hot.users.count"), 2);
    await carbon.stop();
  });
}

const absent = hasCarbon() ? false : "graphite-carbon is not installed: NOT tested against real carbon";
if (absent !== false) console.error(`SKIPPED: ${absent}`);

test("real carbon keeps the points of the whole suite", { skip: absent }, async () => {
  const carbon = await startCarbon();
  assert.ok(carbon !== undefined);
  const suite = await startSuite(kinds[0], carbon.linePort, "1s");
  const fromSec = Math.floor(Date.now() / 1000) - 1;
  const names = Array.from({ length: 20 }, (_, index) => `e2e.n${index}.hits`);
  for (let round = 0; round < 3; round++) {
    await sendDatagrams(
      suite.relay.ports[0]!,
      names.map((name, index) => `${name}:${index}|c\n${name.replace("hits", "time")}:${index}|ms`),
    );
  }
  await assertConserved(suite, 3 * 2 * names.length);
  await stopSuite(suite);
  const untilSec = Math.floor(Date.now() / 1000) + 2;
  const sum = (points: ReadonlyMap<number, number>) => [...points.values()].reduce((a, b) => a + b, 0);
  for (const [index, name] of names.entries()) {
    const hits = await carbon.pointsWhen(
      name,
      fromSec,
      untilSec,
      (points) => sum(points) >= 3 * index && points.size > 0,
    );
    assert.equal(sum(hits), 3 * index, name);
    const counts = `${name.replace("hits", "time")}.count`;
    assert.equal(
      sum(await carbon.pointsWhen(counts, fromSec, untilSec, (points) => sum(points) >= 3)),
      3,
      counts,
    );
  }
  assert.ok(existsExactly(await carbon.points("e2e.n7.hits", fromSec, untilSec)));
  await carbon.stop();
});

/** Points lie on whole seconds: the ends of intervals. */
function existsExactly(points: ReadonlyMap<number, number>): boolean {
  return points.size > 0 && [...points.keys()].every(Number.isInteger);
}
