import assert from "node:assert/strict";
import { test } from "node:test";
import { renderScreen, type ScreenOptions, type TopPage } from "../../relay/top/screen.ts";
import { drawBar, formatRate } from "../../shared/terminal/figures.ts";
import { fitEnd, fitMiddle, textWidth } from "../../shared/terminal/text-width.ts";

const OPTIONS: ScreenOptions = {
  width: 80,
  height: 24,
  hasColour: false,
  title: "statsrelay 127.0.0.1:9126   12:00:00",
  footer: "q leaves",
};

function listOf(...items: readonly (readonly [string, number])[]): TopPage["snapshot"]["names"] {
  return { items: items.map(([key, count]) => ({ key, count, error: 0 })), floor: 0 };
}

const PAGE: TopPage = {
  snapshot: {
    seconds: 10,
    lines: 1_000_000,
    sampled: 20_000,
    names: listOf(["app.web.requests", 500_000], ["app.db.\u6642\u9593", 12_340], ["idle", 0.1]),
    prefixes: listOf(["app.web.*", 900_000]),
    senders: listOf(["10.0.0.1", 750_000], ["10.0.0.2", 250_000]),
  },
  buckets: [
    { ring: "main", destination: "10.1.0.1:8125", linesPerSecond: 75_000, share: 0.75, isUp: true },
    { ring: "main", destination: "10.1.0.2:8125", linesPerSecond: 25_000, share: 0.25, isUp: false },
  ],
  received: 100_000,
  dropped: 0,
};

test("a page fits 80x24 and shows all four tables", () => {
  const lines = renderScreen(PAGE, OPTIONS).split("\n");
  assert.equal(lines.length, 24);
  assert.ok(lines.every((line) => textWidth(line) <= 80));
  assert.equal(lines[0], "statsrelay 127.0.0.1:9126   12:00:00");
  assert.equal(lines[1], "received 100,000/s   dropped 0.0/s   looked at 2.0% of them");
  assert.match(lines[2]!, /^name +rate\/s +share \| prefix +rate\/s +share$/);
  assert.match(lines[3]!, /^app\.web\.requests +50,000 +50\.0% \| app\.web\.\* +90,000 +90\.0%$/);
  assert.match(lines[4]!, /^app\.db\.\u6642\u9593 +1,234 +1\.2% \|$/);
  const senders = lines.findIndex((line) => line.startsWith("sender "));
  assert.match(lines[senders]!, /\| bucket +rate\/s +share$/);
  assert.match(lines[senders + 1]!, /^10\.0\.0\.1 +75,000 +75\.0% \| 10\.1\.0\.2:8125 +25,000 +25\.0% DOWN$/);
  assert.match(lines[senders + 2]!, /\| 10\.1\.0\.1:8125 +75,000 +75\.0% #####\.$/);
  assert.equal(lines[23], "q leaves");
  assert.ok(!lines.some((line) => line.includes("idle")), "rates that round to nothing are left out");
});

test("every size is kept to", () => {
  const many = listOf(
    ...Array.from({ length: 50 }, (_, i) => [`name.${"x".repeat(i)}.${i}`, 1000 - i] as const),
  );
  const buckets = Array.from({ length: 64 }, (_, i) => ({
    ...PAGE.buckets[0]!,
    ring: `r${i % 3}`,
    isUp: i !== 60,
  }));
  const page = {
    ...PAGE,
    buckets,
    snapshot: { ...PAGE.snapshot, names: many, prefixes: many, senders: many },
  };
  for (const [width, height] of [
    [24, 4],
    [40, 12],
    [69, 24],
    [70, 8],
    [80, 24],
    [133, 50],
    [300, 100],
  ] as const) {
    for (const one of [page, PAGE]) {
      const lines = renderScreen(one, { ...OPTIONS, width, height }).split("\n");
      assert.ok(lines.length <= height, `${width}x${height}: ${lines.length} rows`);
      for (const line of lines) assert.ok(textWidth(line) <= width, `${width}x${height}: ${line}`);
    }
    if (height >= 24) assert.match(renderScreen(page, { ...OPTIONS, width, height }), /DOWN/);
  }
});

test("a relay that nobody sends to has an empty screen, not a broken one", () => {
  const none = { items: [], floor: 0 };
  const snapshot = { seconds: 0, lines: 0, sampled: 0, names: none, prefixes: none, senders: none };
  const text = renderScreen({ snapshot, buckets: [], received: 0, dropped: 0 }, OPTIONS);
  assert.match(text, /nothing looked at yet/);
  assert.doesNotMatch(text, /NaN|undefined|Infinity/);
});

test("colour stands only where it is wanted, and nothing from outside reaches the terminal", () => {
  const snapshot = { ...PAGE.snapshot, names: listOf(["\x1b[2Jevil\u202e", 9000]) };
  const plain = renderScreen({ ...PAGE, snapshot, dropped: 5 }, OPTIONS);
  assert.doesNotMatch(plain, /[^\P{C}\n]/u);
  assert.match(plain, /\\x1b\[2Jevil\\xe2\\x80\\xae/);
  const coloured = renderScreen({ ...PAGE, dropped: 5 }, { ...OPTIONS, hasColour: true });
  assert.ok(coloured.includes("\x1b[31mreceived"), "drops are red");
  assert.ok(coloured.includes("\x1b[31m10.1.0.2"), "what is down is red");
});

test("bars and rates", () => {
  assert.equal(drawBar(0, 4), "....");
  assert.equal(drawBar(0.001, 4), "#...");
  assert.equal(drawBar(0.5, 4), "##..");
  assert.equal(drawBar(7, 4), "####");
  assert.equal(drawBar(0.5, 0), "");
  const rates = [0, 9.94, 9.96, 12.4, 999_999, 12_345_678, 3.2e9, Number.NaN].map(formatRate);
  assert.deepEqual(rates, ["0.0", "9.9", "10", "12", "999,999", "12.3m", "3.2g", "?"]);
});

test("texts are cut by columns", () => {
  assert.equal(fitEnd("abcdef", 4), "ab..");
  assert.equal(fitEnd("ab", 4), "ab  ");
  assert.equal(fitMiddle("abcdefghij", 7), "ab..hij");
  assert.equal(fitMiddle("\u6642\u6642\u6642\u6642\u6642", 7), "\u6642..\u6642 ");
  for (let columns = 0; columns < 12; columns++) {
    for (const text of ["", "abc", "\u6642\u9593e\u0301", "x".repeat(40)]) {
      assert.equal(textWidth(fitMiddle(text, columns)), columns);
      assert.equal(textWidth(fitEnd(text, columns)), columns);
    }
  }
});
