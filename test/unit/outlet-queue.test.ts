// The queue of a channel against a plain list.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Packet } from "../../relay/outlet/handoff.ts";
import { PacketQueue, packetBytes } from "../../relay/outlet/queue.ts";
import { ManualClock } from "../support/manual-clock.ts";

const BYTES_MAX = 2_000;
const AGE_MS = 100;

test("every line is queued, taken or lost; order, bytes and age hold", () => {
  const stepArbitrary = fc.oneof(
    fc.record({ kind: fc.constant("push" as const), size: fc.integer({ min: 1, max: 2_100 }) }),
    fc.record({ kind: fc.constant("take" as const), size: fc.nat(500) }),
    fc.record({ kind: fc.constant("return" as const), size: fc.nat(500) }),
    fc.record({ kind: fc.constant("wait" as const), size: fc.nat(60) }),
  );
  fc.assert(
    fc.property(fc.array(stepArbitrary, { maxLength: 200 }), (steps) => {
      const clock = new ManualClock();
      let lost = 0;
      let pushed = 0;
      let taken = 0;
      const queue = new PacketQueue({ bytesMax: BYTES_MAX, ageMs: AGE_MS }, clock, (_, lines) => {
        lost += lines;
      });
      for (const { kind, size } of steps) {
        if (kind === "push") {
          pushed++;
          queue.push({ bytes: new Uint8Array(size), lines: 1, takenMs: clock.monotonicMs() });
        } else if (kind === "take") taken += queue.take(size, 3).length;
        else if (kind === "return") queue.putFront(queue.take(size, 3));
        else {
          clock.advance(size);
          queue.expire();
          assert.ok((queue.oldestTakenMs ?? clock.monotonicMs()) >= clock.monotonicMs() - AGE_MS);
        }
        assert.equal(pushed, taken + lost + queue.lines);
        assert.ok(queue.bytes <= BYTES_MAX);
      }
      const rest = queue.takeAll();
      assert.ok(rest.every(({ takenMs }, i) => i === 0 || takenMs >= rest[i - 1]!.takenMs));
      assert.deepEqual([queue.bytes, queue.lines, queue.isEmpty], [0, 0, true]);
    }),
  );
});

test("a long queue stays in order while its front is given back", () => {
  const queue = new PacketQueue({ bytesMax: 1 << 30, ageMs: AGE_MS }, new ManualClock(), () => assert.fail());
  const packets: Packet[] = Array.from({ length: 5_000 }, (_, i) => {
    return { bytes: new Uint8Array(1), lines: i, takenMs: 0 };
  });
  for (const packet of packets) queue.push(packet);
  const out: Packet[] = [];
  while (!queue.isEmpty) out.push(...queue.take(10, 7));
  assert.deepEqual(out, packets);
  assert.equal(packetBytes(packets[0]!) > 1, true);
});
