// The daemon in front of two real carbons, one fed by plaintext, one by pickle: their files hold every row of
// every interval, bit for bit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams, startAggregator } from "../support/daemons.ts";
import { hasCarbon, type RealCarbon, startCarbon } from "../support/real-carbon.ts";
import { type FileRow, RowFile } from "../support/row-file.ts";
import { waitFor } from "../support/wait-for.ts";
import { readWhisper } from "../support/whisper-file.ts";

const reason = "graphite-carbon (carbon-cache) is not installed";
const isMissing = !hasCarbon();
if (isMissing) console.error(`SKIPPED: the aggregator was NOT tried with a real carbon, ${reason}`);

const ROUNDS = 3;
const NAMES = 200;

/** Lines of a round in one datagram, so that all of them fall into one interval. */
function roundLines(round: number): string {
  const timer = Array.from({ length: 101 }, (_, index) => `cb.lat:${(index * 37) % 101}.5|ms`);
  const many = Array.from({ length: NAMES }, (_, index) =>
    index % 2 === 0 ? `cb.many.n${index}:${round + index / 7}|c` : `cb.many;host=h${index}:${index}.25|g`,
  );
  return [
    "cb.hits:0.1|c\ncb.hits:0.2|c\ncb.hits:3|c|@0.3",
    `cb.round:${round}|c`,
    "cb.req;zone=b;app=web:4|c",
    "cb.dog:2|c|#env:prod,az:1",
    "cb.größe:1e-12|c",
    "cb.huge:-1.7976931348623157e308|c",
    round === 0 ? "cb.level:0.1|g" : "cb.level:+0.2|g",
    "cb.users:ann|s\ncb.users:bob|s\ncb.users:ann|s",
    ...timer,
    ...many,
  ].join("\n");
}

/** Level of cb.level after so many rounds, added up as it came. */
function levelAfter(round: number): number {
  let level = 0.1;
  for (let step = 0; step < round; step++) level += 0.2;
  return level;
}

/** What a round must come to, by output name; the many are compared with the file alone. */
function expectedOf(round: number): [string, number][] {
  return [
    ["cb.hits", 0.1 + 0.2 + 3 / 0.3],
    ["cb.hits.updates", 3],
    ["cb.round", round],
    ["cb.req;app=web;zone=b", 4],
    ["cb.req;aggregate=updates;app=web;zone=b", 1],
    ["cb.dog;az=1;env=prod", 2],
    ["cb.größe", 1e-12],
    ["cb.huge", -1.7976931348623157e308],
    ["cb.level", levelAfter(round)],
    ["cb.users.count", 2],
    ["cb.lat.count", 101],
    ["cb.lat.min", 0.5],
    ["cb.lat.max", 100.5],
    ["cb.lat.sum", 101 * 50.5],
    ["cb.lat.mean", 50.5],
    ["cb.lat.median", 50.5],
    ["cb.lat.rate", 101],
    ["cb.lat.percentile.75", 75.5],
    ["cb.lat.percentile.99", 99.5],
    ["cb.many.n14", round + 2],
    ["cb.many;host=h199", 199.25],
  ];
}

/** Rows that a carbon has not, or has otherwise, as text. */
function differences(carbon: RealCarbon, rows: readonly FileRow[]): string[] {
  return rows.flatMap(({ name, timestamp, value }) => {
    const stored = readWhisper(carbon.pathOf(name)).get(timestamp);
    return Object.is(stored, value) ? [] : [`${name} ${timestamp}: ${stored}, not ${value}`];
  });
}

test("plaintext and pickle side by side: carbon's files hold what was flushed", {
  skip: isMissing && reason,
}, async () => {
  const carbons = await Promise.all([startCarbon(), startCarbon()]);
  const [plain, pickle] = carbons as RealCarbon[];
  const file = new RowFile();
  const aggregator = await startAggregator(await chooseIo("auto"), {
    aggregator: "interval = 1s\nsinks[] = carbon, carbon.pickle, file",
    aggregation: "update-count-threshold = 1",
    carbon: `address[] = 127.0.0.1:${plain!.linePort}`,
    "carbon.pickle": `address[] = 127.0.0.1:${pickle!.picklePort}\nformat = pickle\nconnections = 2`,
    file: file.config,
  });
  try {
    const flushed = (round: number) =>
      file.rows().find((row) => row.name === "cb.round" && row.value === round);
    for (let round = 0; round < ROUNDS; round++) {
      await sendDatagrams(aggregator.ports[0]!, [roundLines(round)]);
      await waitFor(`the flush of round ${round}`, () => flushed(round) !== undefined);
    }
    assert.equal((await aggregator.stop()).code, 0);
    const rows = file.rows();
    for (let round = 0; round < ROUNDS; round++) {
      const { timestamp, interval } = flushed(round)!;
      assert.equal(timestamp, interval + 1, "rows carry the end of their interval");
      const values = new Map(
        rows.filter((row) => row.timestamp === timestamp).map(({ name, value }) => [name, value]),
      );
      for (const [name, value] of expectedOf(round)) assert.equal(values.get(name), value, name);
      assert.equal([...values.keys()].filter((name) => name.startsWith("cb.many")).length, NAMES * 2);
    }
    for (const carbon of [plain!, pickle!]) {
      await waitFor("carbon's files", () => differences(carbon, rows.slice(-1)).length === 0);
      let last: string[] = [];
      await waitFor("all rows in carbon's files", () => {
        last = differences(carbon, rows);
        return last.length === 0;
      }).catch((error: unknown) => assert.fail(`${String(error)}\n${last.slice(0, 5).join("\n")}`));
      assert.doesNotMatch(await carbon.listenerLog(), /invalid|line length|Traceback|error/i);
    }
  } finally {
    await Promise.all(carbons.map((carbon) => carbon?.stop()));
    file.remove();
  }
});
