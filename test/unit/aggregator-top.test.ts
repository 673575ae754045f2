import assert from "node:assert/strict";
import { test } from "node:test";
import type { TopPage } from "../../aggregator/page/top.ts";
import { newLosses } from "../../aggregator/sink/queue.ts";
import { renderTop } from "../../aggregator/top/screen.ts";
import { textWidth } from "../../shared/terminal/text-width.ts";

const OPTIONS = {
  width: 90,
  height: 24,
  hasColour: false,
  title: "bioyino 127.0.0.1:8137",
  footer: "q leaves",
};

const NOW: TopPage = {
  version: "1",
  atMs: 10_000,
  intervalMs: 10_000,
  received: 30_000,
  dropped: 20,
  kernelDrops: 0,
  bytes: 900_000,
  lost: 0,
  flushedIntervals: 3,
  openIntervals: 1,
  openSeries: 1000,
  openBytes: 3 << 20,
  flushMs: 12.4,
  flushLagMs: 30,
  prefixes: [
    { name: "app.web", series: 750, refusedLines: 5 },
    { name: "app.db", series: 250, refusedLines: 0 },
  ],
  senders: [{ name: "10.0.0.7", series: 1000, refusedLines: 0 }],
  clashes: ["app.hits"],
  sinks: [
    {
      name: "carbon",
      state: "retrying",
      queuedBytes: 100,
      queuedRows: 50,
      oldestMs: 4000,
      rowsSent: 5000,
      rowsRetried: 0,
      rowsLost: { ...newLosses(), queue_full: 7 },
    },
  ],
  alarms: ["carbon does not take rows: ECONNREFUSED"],
};
const BEFORE: TopPage = {
  ...NOW,
  atMs: 8_000,
  received: 10_000,
  dropped: 0,
  bytes: 100_000,
  sinks: NOW.sinks.map((sink) => ({ ...sink, rowsSent: 4000 })),
};

test("rates are those between two pages", () => {
  const lines = renderTop(BEFORE, NOW, OPTIONS).split("\n");
  assert.equal(lines[0], "bioyino 127.0.0.1:8137");
  assert.match(
    lines[1]!,
    /^lines 10,000\/s +refused 10\/s +system drops 0\.0\/s +lost 0\.0\/s +bytes 400,000\/s/,
  );
  assert.match(lines[2]!, /^series 1,000 +memory 3\.0m +open intervals 1 +flush 12 ms, late by/);
  assert.equal(lines[3], "ALARM carbon does not take rows: ECONNREFUSED");
  const text = lines.join("\n");
  assert.match(text, /\ncarbon +retrying +500 +50 +4 s +7\n/);
  assert.match(text, /\napp\.web +750 +75\.0% +5\n/);
  assert.match(text, /\n10\.0\.0\.7 +1,000 +100\.0% +0\n/);
  assert.match(text, /\nnames that have several types\n {2}app\.hits\nq leaves$/);
});

test("one page alone, or a daemon that was started anew, has no rates", () => {
  for (const before of [undefined, { ...NOW, atMs: 9_000, received: 1e9, bytes: 1e12, dropped: 1e6 }]) {
    assert.match(
      renderTop(before, NOW, OPTIONS).split("\n")[1]!,
      /^lines 0\.0\/s +refused 0\.0\/s .*bytes 0\.0\/s/,
    );
  }
});

test("no screen is larger than the terminal, whatever there is to show", () => {
  const offenders = Array.from({ length: 100 }, (_, index) => ({
    name: `${"wide\u6587".repeat(30)}${index}\x1b[31m`,
    series: index,
    refusedLines: index,
  }));
  const clashes = offenders.map(({ name }) => name);
  const page = { ...NOW, prefixes: offenders, senders: offenders, clashes, alarms: clashes.slice(0, 3) };
  for (const [width, height] of [
    [40, 8],
    [80, 24],
    [200, 60],
  ] as const) {
    const text = renderTop(BEFORE, page, { ...OPTIONS, width, height });
    const lines = text.split("\n");
    assert.ok(lines.length <= height, `${lines.length} lines of ${height}`);
    for (const line of lines) assert.ok(textWidth(line) <= width, line);
    assert.equal(lines.at(-1), "q leaves");
    assert.ok(!text.includes("\x1b"));
  }
});

test("a node of a cluster says who leads, and how far the others are", () => {
  const cluster = {
    node: "node-a",
    role: "follower" as const,
    term: 7,
    leader: "node-b",
    leaseMs: 0,
    peers: 2,
    peersUp: 2,
    lagMs: 31_000,
    backlogBytes: 3 << 20,
  };
  const line = (page: TopPage, hasColour = false) =>
    renderTop(BEFORE, page, { ...OPTIONS, hasColour }).split("\n")[3]!;
  assert.equal(
    line({ ...NOW, cluster }),
    "cluster follower of node-b   term 7   peers 2 of 2   lag 31 s   backlog 3.0m",
  );
  assert.match(
    line({ ...NOW, cluster: { ...cluster, role: "leader", leader: "node-a" } }),
    /^cluster leader {3}/,
  );
  const unled = { ...cluster, role: "candidate" as const, leader: null };
  assert.match(line({ ...NOW, cluster: unled }), /^cluster candidate, nobody leads {3}/);
  assert.ok(!line({ ...NOW, cluster }, true).startsWith("\x1b[31m"));
  assert.ok(line({ ...NOW, cluster: { ...cluster, peersUp: 1 } }, true).startsWith("\x1b[31m"));
  assert.ok(line({ ...NOW, cluster: unled }, true).startsWith("\x1b[31m"));
});

test("colour marks heads and what needs a look", () => {
  const text = renderTop(BEFORE, NOW, { ...OPTIONS, hasColour: true });
  assert.ok(text.startsWith("\x1b[7mbioyino"));
  assert.ok(text.includes("\x1b[31mALARM"));
});
