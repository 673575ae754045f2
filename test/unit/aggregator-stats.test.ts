import assert from "node:assert/strict";
import { test } from "node:test";
import { PEER_COUNTERS, PEER_FAULTS } from "../../aggregator/capnp/peer-counters.ts";
import { clusterSamples } from "../../aggregator/cluster-stats.ts";
import { INTAKE_COUNTERS, STORE_COUNTERS } from "../../aggregator/counters.ts";
import { OWN_STATS } from "../../aggregator/own-stat-rows.ts";
import { newLosses } from "../../aggregator/sink/queue.ts";
import { AGGREGATOR_METRICS, aggregatorSamples } from "../../aggregator/stats.ts";
import { readTotals, SELF_INTAKE, type Totals } from "../../aggregator/totals.ts";
import { Counters } from "../../shared/counters.ts";
import { renderMetrics } from "../../shared/stats.ts";
import { agentStanding, memberStanding } from "../support/cluster-standing.ts";

/** Counters by which threads slow each other down, and the code of no reason; they say nothing to people. */
const INTERNAL = ["dropped.none", "snapshotBytesTaken", "foldedBytes", "samplesTaken", "repeatBytesTaken"];

/** Totals in which every counter has a number of its own, and where each stands. */
function distinctTotals(): { totals: Totals; numbers: Map<string, number> } {
  const intake = new Counters(INTAKE_COUNTERS);
  const store = new Counters(STORE_COUNTERS);
  const numbers = new Map<string, number>();
  let next = 1_000_003;
  for (const counter of INTAKE_COUNTERS) {
    intake.set(counter, next);
    numbers.set(counter, next);
    next += 1009;
  }
  for (const counter of STORE_COUNTERS) {
    store.set(counter, next);
    numbers.set(counter, next);
    next += 1009;
  }
  const sink = {
    name: "carbon",
    state: "sending" as const,
    queuedBytes: 11,
    queuedRows: 12,
    oldestMs: 13_000,
    rowsSent: 14,
    rowsRetried: 15,
    rowsLost: { ...newLosses(), queue_full: 16 },
    lagSec: 17,
    spooledRows: 18,
    spooledBytes: 19,
    eventsAccepted: 20,
    eventsSent: 21,
    eventsLost: 22,
  };
  const peers = new Counters(PEER_COUNTERS);
  for (const counter of PEER_COUNTERS) {
    peers.set(counter, next);
    numbers.set(counter, next);
    next += 1009;
  }
  const named = [{ name: "udp://127.0.0.1:8125", counters: intake }];
  const totals = readTotals(named, store, [], undefined, peers);
  return { totals: { ...totals, sinks: [sink] }, numbers };
}

test("every counter of every thread is in /metrics", () => {
  const { totals, numbers } = distinctTotals();
  const shown = new Set([...aggregatorSamples(totals)].map(({ value }) => value));
  const hidden = [...numbers].filter(([name, value]) => {
    const isSeconds = name === "flushMs" || name === "flushLagMs";
    return !INTERNAL.includes(name) && !shown.has(isSeconds ? value / 1000 : value);
  });
  // What the sums hold is shown by reason, and lostLines under samples_lost_total.
  assert.deepEqual(
    hidden.map(([name]) => name),
    [],
  );
});

test("every family has samples, with the labels that it names", () => {
  const { totals } = distinctTotals();
  const samples = [
    ...aggregatorSamples(totals),
    ...clusterSamples(memberStanding(), 0, 10_000),
    ...clusterSamples(agentStanding(), 0, 10_000),
  ];
  const seen = new Set(samples.map(({ row }) => row.name));
  const missing = Object.values(AGGREGATOR_METRICS).filter(({ name }) => !seen.has(name));
  assert.deepEqual(missing, []);
  // It throws where labels and row differ.
  const text = renderMetrics(samples);
  assert.match(text, /^bioyino_sink_events_total\{sink="carbon",outcome="lost"\} 22$/m);
  assert.match(text, /^bioyino_sink_lag_seconds\{sink="carbon"\} 17$/m);
});

test("lines balance: what was received is accepted or dropped", () => {
  const { totals } = distinctTotals();
  const counts = totals.intakes[0]!.counts;
  const dropped = INTAKE_COUNTERS.filter((name) => name.startsWith("dropped."));
  const sum = dropped.reduce((total, name) => total + counts[name], 0);
  const sample = [...aggregatorSamples(totals)].find(({ row }) => row === AGGREGATOR_METRICS.conservation);
  assert.equal(sample?.value, counts.received - counts.accepted - sum);
});

test("own stats keep bioyino's names, count sockets alone, and read what they say", () => {
  const { totals } = distinctTotals();
  const own = new Map(OWN_STATS.map(({ name, read }) => [name, read(totals)] as const));
  const { counts } = totals.intakes[0]!;
  const bioyinos = "ingress ingress-metric ingress-metric-peer egress-carbon egress-peer drop parse-error";
  for (const name of `${bioyinos} agg-error queue-error peer-error slow-w-len`.split(" ")) {
    assert.ok(own.has(name), name);
  }
  assert.equal(own.get("ingress"), counts.bytes);
  assert.equal(own.get("ingress-metric"), counts.accepted);
  assert.equal(own.get("egress-carbon"), 14);
  assert.equal(own.get("lost-rows"), 16);
  assert.equal(own.get("queue-error"), 16);
  assert.equal(own.get("sink-lag-ms"), 13_000);
  assert.equal(own.get("kernel-drop"), counts.kernelDrops);
  assert.equal(own.get("series"), totals.store.openSeries);
  assert.equal(own.get("flush-lag-ms"), totals.store.flushLagMs);
  // The interval that is being filled waits for nothing.
  const slow = OWN_STATS.find(({ name }) => name === "slow-w-len")!;
  const withOpen = (openIntervals: number) => ({ ...totals, store: { ...totals.store, openIntervals } });
  assert.deepEqual(
    [0, 1, 3].map((count) => slow.read(withOpen(count))),
    [0, 0, 2],
  );
  const withSelf = { ...totals, intakes: [...totals.intakes, { name: SELF_INTAKE, counts }] };
  assert.equal(OWN_STATS[0]!.read(withSelf), counts.bytes);
  // What nodes of the Rust bioyino send counts as theirs.
  const withRust = { ...totals, intakes: [...totals.intakes, { name: "bioyino://127.0.0.1:8136", counts }] };
  const ofRust = (name: string) => OWN_STATS.find((stat) => stat.name === name)!.read(withRust);
  assert.equal(ofRust("ingress"), counts.bytes);
  assert.equal(ofRust("ingress-metric"), counts.accepted);
  assert.equal(ofRust("ingress-metric-peer"), counts.accepted);
  const faults = PEER_FAULTS.reduce((sum, fault) => sum + totals.rustPeers![`faults.${fault}`], 0);
  assert.equal(ofRust("peer-error"), faults);
});
