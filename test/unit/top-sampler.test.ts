import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeSnapshots, TopSampler, type TopSnapshot } from "../../relay/top/sampler.ts";
import { estimateOf } from "../../relay/top/sketch.ts";
import { HEADER_BYTES, HEADER_PAYLOAD_BYTES } from "../../shared/kernel/layout.ts";
import { seededRandom } from "../../shared/random.ts";
import { ManualClock } from "../support/manual-clock.ts";

const SLOT_BYTES = 4096;
const SLOT_COUNT = 64;
const HEADERS = 128;
const SLOTS = HEADERS + SLOT_COUNT * HEADER_BYTES;

/** A memory with a batch in it, as a kernel would have it. */
class Batch {
  readonly bytes = new Uint8Array(SLOTS + SLOT_COUNT * SLOT_BYTES);
  readonly clock = new ManualClock();
  readonly sampler = new TopSampler({ clock: this.clock, random: seededRandom(7) });

  /** Puts datagrams into the first slots and shows them to the sampler. */
  receive(datagrams: readonly (string | Buffer)[], sender = "10.0.0.1"): void {
    const view = new DataView(this.bytes.buffer);
    datagrams.forEach((datagram, slot) => {
      const payload = Buffer.from(datagram as string);
      this.bytes.set(payload, SLOTS + slot * SLOT_BYTES);
      view.setUint32(HEADERS + slot * HEADER_BYTES + HEADER_PAYLOAD_BYTES, payload.length, true);
    });
    const senderOf = (slot: number): string => (sender === "by slot" ? `sender-${slot}` : sender);
    this.sampler.onBatch(this.bytes, SLOTS, SLOT_BYTES, HEADERS, datagrams.length, senderOf);
  }
}

function keys(list: TopSnapshot["names"]): string[] {
  return list.items.map(({ key }) => key).sort();
}

function within(value: number, expected: number, share: number, what: string): void {
  assert.ok(Math.abs(value - expected) <= expected * share, `${what}: ${value}, expected about ${expected}`);
}

test("names, prefixes and senders of a few datagrams are counted exactly", () => {
  const batch = new Batch();
  batch.receive(["app.web.hits:1|c\napp.web.hits:2|c\napp.db.time:5|ms\n", "single:1|g"], "by slot");
  const { names, prefixes, senders, lines, sampled } = batch.sampler.snapshot();
  assert.deepEqual(names, {
    items: [
      { key: "app.web.hits", count: 2, error: 0 },
      { key: "app.db.time", count: 1, error: 0 },
      { key: "single", count: 1, error: 0 },
    ],
    floor: 0,
  });
  assert.deepEqual(keys(prefixes), ["app.db.*", "app.web.*", "single"]);
  assert.deepEqual(senders.items, [
    { key: "sender-0", count: 3, error: 0 },
    { key: "sender-1", count: 1, error: 0 },
  ]);
  assert.equal(lines, 4);
  assert.equal(sampled, 4);
});

test("what is no line is passed over, and what stood in the slot before is not seen", () => {
  const batch = new Batch();
  batch.receive(["old.old.old:1|c\nold.old.old:1|c\nold.old.old:1|c"]);
  const before = batch.sampler.snapshot().sampled;
  batch.receive(["\r\n\0\nnocolon\n\r\0b.c:1|c\n"]);
  batch.receive(["", ":1|c"]);
  const { names, prefixes, sampled } = batch.sampler.snapshot();
  assert.equal(sampled - before, 2);
  assert.deepEqual(keys(names), ["", "b.c", "old.old.old"]);
  assert.deepEqual(keys(prefixes), ["", "b.*", "old.old.*"]);
});

test("names are shown in one printable line, cut at 200 bytes but not within a character", () => {
  const batch = new Batch();
  const long = `${"x".repeat(199)}\u00e9tail`;
  batch.receive([
    Buffer.concat([Buffer.from("bad."), Buffer.from([0xff, 0x1b]), Buffer.from(".\u00e9:1|c")]),
    `${long}:1|c`,
    "tagged.a.b;x.y=1:1|c",
  ]);
  const { names, prefixes } = batch.sampler.snapshot();
  assert.deepEqual(keys(names), ["bad.\\xff\\x1b.\u00e9", "tagged.a.b;x.y=1", `${"x".repeat(199)}...`]);
  assert.ok(keys(prefixes).includes("tagged.a.*"));
});

test("what is looked at stands for what the budget left out", () => {
  const batch = new Batch();
  const datagrams = Array.from({ length: SLOT_COUNT }, (_, i) => (i % 4 === 0 ? "rare:1|c" : "often:1|c\n"));
  // 64,000 datagrams a second for four seconds.
  for (let step = 0; step < 4000; step++) {
    batch.receive(datagrams);
    batch.clock.advance(1);
  }
  const snapshot = batch.sampler.snapshot();
  const { seconds, lines, names } = snapshot;
  within(lines / seconds, 64_000, 0.06, "lines a second");
  const rateOf = (key: string): number => estimateOf(names.items.find((item) => item.key === key)!) / seconds;
  within(rateOf("often"), 48_000, 0.08, "often");
  within(rateOf("rare"), 16_000, 0.15, "rare");
  const looked = snapshot.sampled / seconds;
  assert.ok(looked > 1800 && looked < 2200, `${looked} lines a second were looked at`);
});

test("senders and names that keep to a pattern are seen as often as they come", () => {
  const batch = new Batch();
  for (let step = 0; step < 800; step++) {
    // Each 50 ms a burst, in the same order: the first ones must not stand for all.
    for (let i = 0; i < 20; i++) {
      const lines = Array.from({ length: 30 }, (_, line) => `line${line}.of${i}:1|c`).join("\n");
      if (i % 2 === 0) batch.receive([lines], `sender-${i}`);
      else batch.sampler.onLines(Buffer.from(lines), `sender-${i}`);
    }
    batch.clock.advance(50);
  }
  const { senders, lines, seconds } = batch.sampler.snapshot();
  within(lines / seconds, 12_000, 0.15, "lines a second");
  assert.equal(senders.items.length, 20);
  for (const item of senders.items) within(estimateOf(item) / lines, 0.05, 0.5, item.key);
});

test("of a long datagram every part is seen in the course of time", () => {
  const batch = new Batch();
  const lines = Array.from({ length: 300 }, (_, i) => `n${String(i).padStart(3, "0")}:1|c`);
  const seen = new Set<string>();
  for (let step = 0; step < 400; step++) {
    batch.receive([lines.join("\n")]);
    for (const key of keys(batch.sampler.snapshot().names)) seen.add(key);
    batch.clock.advance(100);
  }
  const { lines: estimate, seconds, sampled } = batch.sampler.snapshot();
  within(estimate / seconds, 3000, 0.2, "lines a second");
  assert.ok(sampled < estimate / 3);
  assert.ok(seen.size > 250, `${seen.size} of 300 names`);
});

test("lines of streams count as well", () => {
  const batch = new Batch();
  batch.sampler.onLines(Buffer.from("a.b.c:1|c\na.b.c:1|c\n"), "tcp 10.0.0.9");
  batch.sampler.onLines(new Uint8Array(0), "tcp 10.0.0.9");
  const { names, senders } = batch.sampler.snapshot();
  assert.deepEqual(names.items, [{ key: "a.b.c", count: 2, error: 0 }]);
  assert.deepEqual(senders.items, [{ key: "tcp 10.0.0.9", count: 2, error: 0 }]);
});

test("rates follow what comes now; what has stopped fades away", () => {
  const batch = new Batch();
  const send = (name: string, seconds: number): void => {
    for (let step = 0; step < seconds * 10; step++) {
      batch.receive([`${name}:1|c`, `${name}:1|c`]);
      batch.clock.advance(100);
    }
  };
  send("first", 30);
  send("second", 30);
  const { seconds, names } = batch.sampler.snapshot();
  const [one, other] = names.items;
  assert.equal(one?.key, "second");
  within(one!.count / seconds, 20, 0.05, "second");
  assert.ok((other?.count ?? 0) / seconds < 1);
  batch.clock.advance(600_000);
  assert.deepEqual(batch.sampler.snapshot().names.items, []);
});

test("snapshots of several threads add up, and cross a thread boundary as they are", () => {
  const [one, other] = [new Batch(), new Batch()];
  for (const batch of [one, other]) batch.clock.advance(1000);
  one.receive(["a.x.y:1|c\nb.x.y:1|c"], "s1");
  other.receive(["a.x.y:1|c"], "s2");
  const merged = mergeSnapshots(structuredClone([one.sampler.snapshot(), other.sampler.snapshot()]));
  assert.deepEqual(merged.names.items, [
    { key: "a.x.y", count: 2, error: 0 },
    { key: "b.x.y", count: 1, error: 0 },
  ]);
  assert.equal(merged.lines, 3);
  assert.equal(merged.sampled, 3);
  assert.equal(merged.seconds, one.sampler.snapshot().seconds);
  assert.deepEqual(mergeSnapshots([]).names, { items: [], floor: 0 });
});

test("a snapshot is bounded, whatever was sent", () => {
  const batch = new Batch();
  for (let step = 0; step < 2000; step++) {
    batch.receive([`flood.${step}.a:1|c\n`.repeat(40)], `host-${step}`);
    batch.clock.advance(10);
  }
  const { names, prefixes, senders } = batch.sampler.snapshot();
  for (const list of [names, prefixes, senders]) assert.equal(list.items.length, 50);
});
