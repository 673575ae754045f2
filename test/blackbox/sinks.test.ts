// Several sinks of one daemon at once: a dead one delays nobody, events go where they can be carried, and a
// reload costs no row.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { StatsD } from "hot-shots";
import { sendDatagrams, startAggregator, type TestDaemon } from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { waitFor } from "../support/wait-for.ts";

interface FileLine {
  readonly kind?: string;
  readonly name?: string;
  readonly title?: string;
  readonly value?: number;
}

function linesOf(path: string): FileLine[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, "utf8");
  assert.ok(text === "" || text.endsWith("\n"), "the file ends within a line");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as FileLine);
}

/** Sum of a counter over the intervals that the rows are of. */
function sumOf(lines: readonly FileLine[], name: string): number {
  return lines.filter((line) => line.name === name).reduce((sum, { value }) => sum + (value ?? 0), 0);
}

/** Waits until all that was received is merged. */
async function settled(aggregator: TestDaemon, lines: number): Promise<void> {
  await aggregator.until(`${lines} lines`, (metrics) => {
    return (
      metrics.sum("bioyino_lines_received_total") >= lines && metrics.sum("bioyino_samples_in_flight") === 0
    );
  });
}

test("console, file and two carbons, one of them dead: the others get everything in time", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sinks-"));
  const path = join(folder, "rows");
  const live = await FakeCarbon.start();
  const dead = await FakeCarbon.start();
  await dead.stop();
  const aggregator = await startAggregator("dgram", {
    aggregator: "sinks[] = console, file, carbon, carbon.live\ndrain-timeout = 500ms",
    console: "rows = 10",
    file: `path = ${path}\nformat = json`,
    carbon: `address[] = 127.0.0.1:${dead.port}`,
    "carbon.live": `address[] = 127.0.0.1:${live.port}`,
  });
  const check = "_sc|db|2|m:down|#env:dev";
  await sendDatagrams(aggregator.ports[0]!, [
    "hits:1|c\nhits:2|c\n_e{5,4}:title|text|t:error",
    `${check}\n_e{5,9}:title|text`,
    "hits:4|c",
  ]);
  await settled(aggregator, 6);
  await live.until((carbon) => carbon.lines().some((line) => line.startsWith("hits ")));
  await waitFor(
    "the file",
    () => sumOf(linesOf(path), "hits") === 7 && linesOf(path).some(({ kind }) => kind),
  );
  await waitFor("the table", () => aggregator.output.some((line) => /^ {2}hits +\d/.test(line)));
  const metrics = await aggregator.metrics();
  assert.equal(metrics.sum("bioyino_lines_dropped_total", 'reason="bad_event"'), 1);
  assert.equal(metrics.sum("bioyino_conservation_error"), 0);

  // The dead one keeps its rows for as long as it may, and says so.
  const exit = await aggregator.stop();
  assert.notEqual(exit.code, null);
  assert.ok(aggregator.events("sink.failed").some(({ sink }) => sink === "carbon"));
  const lines = linesOf(path);
  assert.equal(sumOf(lines, "hits"), 7);
  assert.deepEqual(
    lines.filter(({ kind }) => kind !== undefined).map(({ kind, title, name }) => [kind, title ?? name]),
    [
      ["event", "title"],
      ["check", "db"],
    ],
  );
  await live.stop();
  rmSync(folder, { recursive: true });
});

test("events and checks of the client hot-shots arrive as they were sent", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sinks-"));
  const path = join(folder, "rows");
  const aggregator = await startAggregator("dgram", {
    aggregator: "sinks[] = file",
    file: `path = ${path}\nformat = json`,
  });
  const client = new StatsD({ host: "127.0.0.1", port: aggregator.ports[0]!, globalTags: { env: "test" } });
  const date = new Date(1_700_000_000_000);
  client.event("size | bar", "two\nlines", {
    date_happened: date,
    hostname: "web1",
    aggregation_key: "deploy",
    priority: "low",
    source_type_name: "nginx",
    alert_type: "success",
  });
  client.check(
    "db.up",
    client.CHECKS.CRITICAL,
    { date_happened: date, hostname: "web1", message: "no answer" },
    ["x:y"],
  );
  await waitFor("both in the file", () => linesOf(path).length === 2);
  await new Promise((resolve) => client.close(resolve));
  assert.equal((await aggregator.stop()).code, 0);
  const common = { host: "web1", timestamp: 1_700_000_000 };
  assert.deepEqual(linesOf(path), [
    {
      kind: "event",
      title: "size | bar",
      text: "two\nlines",
      priority: "low",
      alert: "success",
      aggregationKey: "deploy",
      source: "nginx",
      tags: ["env:test"],
      ...common,
    },
    { kind: "check", name: "db.up", status: 2, message: "no answer", tags: ["env:test", "x:y"], ...common },
  ]);
  rmSync(folder, { recursive: true });
});

test("reloads that move the sinks: every line is at the old place or the new one, once", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sinks-"));
  const paths = ["one", "two", "three"].map((name) => join(folder, name));
  const carbons = [await FakeCarbon.start(), await FakeCarbon.start(), await FakeCarbon.start()];
  const aggregator = await startAggregator("dgram", {
    aggregator: "sinks[] = file, carbon",
    file: `path = ${paths[0]}\nformat = json`,
    carbon: `address[] = 127.0.0.1:${carbons[0]!.port}`,
  });
  let sent = 0;
  const send = async (): Promise<void> => {
    for (let round = 0; round < 10; round++) {
      await sendDatagrams(aggregator.ports[0]!, Array<string>(10).fill("hits:1|c"));
      sent += 10;
      await aggregator.until(
        `${sent} lines`,
        (metrics) => metrics.sum("bioyino_lines_received_total") >= sent,
      );
    }
  };
  await send();
  for (const move of [1, 2]) {
    const text = readFileSync(aggregator.configPath, "utf8")
      .replace(paths[move - 1]!, paths[move]!)
      .replace(`:${carbons[move - 1]!.port}`, `:${carbons[move]!.port}`);
    writeFileSync(aggregator.configPath, text);
    aggregator.signal("SIGHUP");
    await waitFor("the reload", () => aggregator.events("config.reloaded").length === move);
    await send();
  }
  assert.equal((await aggregator.stop()).code, 0);
  const inFiles = paths.map((path) => sumOf(linesOf(path), "hits"));
  assert.equal(
    inFiles.reduce((sum, count) => sum + count),
    sent,
  );
  assert.ok(inFiles[2]! >= 100, `${inFiles}`);
  const inCarbons = carbons.map((carbon) => {
    const values = carbon.lines().filter((line) => line.startsWith("hits "));
    return values.reduce((sum, line) => sum + Number(line.split(" ")[1]), 0);
  });
  assert.deepEqual(inCarbons, inFiles);
  for (const carbon of carbons) await carbon.stop();
  rmSync(folder, { recursive: true });
});
