/** etsy's names on the carbon wire, and what it keeps from flush to flush. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type EtsyConfig, newEtsyRig, type Rows } from "../support/etsy-rig.ts";
import { readTsvVectors, type VectorRow } from "../support/vectors.ts";

/** The datagram that the graphite vectors were made with; they do not say. */
const GRAPHITE_LINES = [
  "a.b:2|c|@0.1",
  "tag:1|c|#env:prod",
  "t:10|ms",
  "t:30|ms",
  "g:-3|g",
  "s:x|s",
  "s:y|s",
  "s:x|s",
];

function byCase(file: string): VectorRow[][] {
  const cases = new Map<string, VectorRow[]>();
  for (const row of readTsvVectors(file)) cases.set(row.case!, [...(cases.get(row.case!) ?? []), row]);
  return [...cases.values()];
}

for (const rows of byCase("etsy-graphite.tsv")) {
  const { case: id, description, "config (flushInterval 1000)": config } = rows[0]!;
  test(`etsy-graphite ${id}: ${description}`, async () => {
    const rig = await newEtsyRig(JSON.parse(config!) as EtsyConfig, 1000);
    rig.send(GRAPHITE_LINES.join("\n"));
    const flush = await rig.flush();
    const written = new Map([...flush.rows, ...flush.own]);
    const expected = rows.map((row) => row["line on the wire (timestamps masked)"]!.split(" "));
    assert.deepEqual([...written.keys()].sort(), expected.map(([name]) => name).sort());
    for (const [name, value] of expected) {
      if (value !== "<n>") assert.equal(written.get(name!), Number(value), name);
    }
  });
}

/** Writes rows as the state vectors do. */
function stateOf(rows: Rows): string {
  const round = (value: number) => Number(value.toPrecision(15));
  const parts: string[] = [];
  for (const [name, value] of rows) {
    const [, space, rest] = /^(stats_counts|stats\.gauges|stats\.sets|stats\.timers|stats)\.(.*)$/s.exec(
      name,
    )!;
    if (space === "stats_counts") {
      parts.push(`counter "${rest}"=${round(value)} rate=${round(rows.get(`stats.${rest}`)!)}`);
    } else if (space === "stats.gauges") parts.push(`gauge "${rest}"=${round(value)}`);
    else if (space === "stats.sets") parts.push(`set "${rest!.replace(/\.count$/, "")}".count=${value}`);
    else if (space === "stats.timers" && rest!.endsWith(".count")) {
      const key = rest!.slice(0, -".count".length);
      const sum = rows.get(`stats.timers.${key}.sum`);
      parts.push(`timer "${key}" count=${value}${sum === undefined ? "" : ` sum=${sum}`}`);
    }
  }
  return parts.sort().join(" ; ") || "(nothing)";
}

for (const [row] of byCase("etsy-state.tsv")) {
  const { case: id, description, "config (flushInterval 10000)": config, "steps in order": steps } = row!;
  test(`etsy-state ${id}: ${description}`, async () => {
    const etsy = JSON.parse(config!) as EtsyConfig;
    const rig = await newEtsyRig(etsy, 10_000);
    let state = "";
    for (const step of steps!.split(" , ")) {
      if (step !== "<flush>") {
        rig.send(step.replaceAll("\\t", "\t"));
        continue;
      }
      const { rows, own } = await rig.flush();
      // Its own counters are only shown where the vector is about their names.
      const ofCounters = [...own].filter(([name]) => /^stats(?:_counts)?\.me\.\w+$/.test(name));
      state = stateOf(new Map([...rows, ...(etsy.prefixStats === undefined ? [] : ofCounters)]));
    }
    // The members of sets are not written anywhere.
    const parts = row!
      ["state handed to the backend at the last flush"]!.replace(/ members=\S+/, "")
      .split(" ; ");
    assert.equal(state, parts.sort().join(" ; "));
  });
}

test("etsy's own counters grow from flush to flush", async () => {
  const rig = await newEtsyRig({}, 1000);
  rig.send("a:1|c\nb:|c", "c:1|g");
  const first = (await rig.flush()).own;
  assert.equal(first.get("stats_counts.statsd.packets_received"), 2);
  assert.equal(first.get("stats_counts.statsd.metrics_received"), 3);
  assert.equal(first.get("stats_counts.statsd.bad_lines_seen"), 1);
  rig.send("a:1|c");
  const second = (await rig.flush()).own;
  assert.equal(second.get("stats_counts.statsd.packets_received"), 1);
  assert.equal(second.get("stats.statsd.packets_received"), 1);
  assert.equal(second.get("stats_counts.statsd.bad_lines_seen"), 0);
  const [before, after] = [first, second].map((own) => own.get("stats.statsd.graphiteStats.last_flush")!);
  assert.equal(after! - before!, 1);
});
