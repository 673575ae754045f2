// The gate between the kernel's lines and the control thread: every line counted once, floods cut off unread.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DogItem } from "../../aggregator/event/event.ts";
import { type EventBounds, EventGate } from "../../aggregator/event/event-gate.ts";
import { DROP_BAD_CHECK, DROP_BAD_EVENT, DROP_EVENT_LIMIT, DROP_NONE } from "../../shared/kernel/reasons.ts";

const START_MS = 1_700_000_000_000;

/** Lines in memory, as a kernel hands them over. */
class Lines {
  readonly memory = new WebAssembly.Memory({ initial: 4 });
  readonly counted: number[] = [];
  readonly items: DogItem[] = [];
  readonly gate: EventGate;
  #places: { address: number; bytes: number }[] = [];

  constructor(bounds?: EventBounds) {
    const exports = {
      eventCount: () => this.#places.length,
      eventAddress: (index: number) => this.#places[index]!.address,
      eventBytes: (index: number) => this.#places[index]!.bytes,
      countEvent: (reason: number) => void this.counted.push(reason),
    };
    this.gate = new EventGate({ memory: this.memory, exports }, (item) => void this.items.push(item), bounds);
  }

  take(nowMs: number, lines: readonly string[]): void {
    const target = Buffer.from(this.memory.buffer);
    let address = 1024;
    this.#places = lines.map((line) => {
      const place = { address, bytes: target.write(line, address) };
      address += place.bytes + 1;
      return place;
    });
    this.gate.take(nowMs);
  }
}

test("good lines are posted, bad ones counted under their reason", () => {
  const lines = new Lines();
  lines.take(START_MS, ["_e{1,1}:a|b", "_e{9,1}:a|b", "_sc|x|9", "_sc|x|1|d:5"]);
  assert.deepEqual(lines.counted, [DROP_NONE, DROP_BAD_EVENT, DROP_BAD_CHECK, DROP_NONE]);
  assert.deepEqual(
    lines.items.map(({ kind, timestampSec }) => [kind, timestampSec]),
    [
      ["event", START_MS / 1000],
      ["check", 5],
    ],
  );
});

test("posted items do not change with the kernel's memory", () => {
  const lines = new Lines();
  lines.take(START_MS, ["_e{5,4}:title|text"]);
  Buffer.from(lines.memory.buffer).fill(0x78);
  assert.equal(lines.items[0]?.kind === "event" && lines.items[0].title, "title");
});

test("beyond the count of a second lines are not read", () => {
  const lines = new Lines({ itemsMax: 3, bytesMax: 1 << 20 });
  const flood = ["_sc|a|0", "_sc|bad", "_sc|b|0", "_sc|c|0", "_sc|bad"];
  lines.take(START_MS, flood);
  lines.take(START_MS + 999, ["_sc|d|0"]);
  const expected = [
    DROP_NONE,
    DROP_BAD_CHECK,
    DROP_NONE,
    DROP_EVENT_LIMIT,
    DROP_EVENT_LIMIT,
    DROP_EVENT_LIMIT,
  ];
  assert.deepEqual(lines.counted, expected);
  lines.take(START_MS + 1000, ["_sc|e|0"]);
  assert.equal(lines.counted.at(-1), DROP_NONE);
  assert.equal(lines.items.length, 3);
});

test("a clock that is set back opens the gate again", () => {
  const lines = new Lines({ itemsMax: 1, bytesMax: 1 << 20 });
  lines.take(START_MS, ["_sc|a|0", "_sc|b|0"]);
  lines.take(START_MS - 3_600_000, ["_sc|c|0"]);
  assert.deepEqual(lines.counted, [DROP_NONE, DROP_EVENT_LIMIT, DROP_NONE]);
});

test("beyond the bytes of a second lines are refused, whatever their number", () => {
  const lines = new Lines({ itemsMax: 1000, bytesMax: 10_000 });
  const long = `_sc|a|0|m:${"x".repeat(3000)}`;
  lines.take(START_MS, [long, long, long]);
  assert.deepEqual(lines.counted, [DROP_NONE, DROP_EVENT_LIMIT, DROP_EVENT_LIMIT]);
  lines.take(START_MS, ["_sc|short|0"]);
  assert.equal(lines.counted.at(-1), DROP_NONE);
});
