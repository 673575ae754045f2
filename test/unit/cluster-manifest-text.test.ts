/** Manifests on their way: what they cost, and that they come back as they were. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Manifest, Run } from "../../cluster/manifest.ts";
import type { Message } from "../../cluster/message.ts";
import { decodeMessage, encodeMessage } from "../../cluster/transport/codec.ts";
import { readManifest, writeManifest } from "../../cluster/transport/manifest-text.ts";
import { seededRandom } from "../../shared/random.ts";

function roundTrip(message: Message): Message | undefined {
  return decodeMessage(Buffer.concat(encodeMessage(message).pieces));
}

test("a manifest comes back as it was, in whatever order its runs are", () => {
  const random = seededRandom(7);
  const any = (below: number): number => Math.floor(random.between(0, below));
  for (let round = 0; round < 200; round++) {
    const manifest = Array.from({ length: any(40) }, (): Run => {
      const from = any(any(2) === 0 ? 50 : 2 ** 52);
      return { source: `${any(40).toString(16)}.0.ab`, from, to: from + any(9) };
    });
    const message: Message = { kind: "pull", interval: 1, wanted: manifest };
    assert.deepEqual(roundTrip(message), message);
  }
});

test("sources with other characters are sent as they are", () => {
  for (const source of ["a b", "a|b", "a\nb"]) {
    const message: Message = { kind: "pull", interval: 1, wanted: [{ source, from: 3, to: 4 }] };
    assert.deepEqual(roundTrip(message), message);
  }
});

test("nonsense is no manifest", () => {
  for (const text of [
    "",
    "|",
    "a",
    "a|",
    "a|1",
    "a|0,",
    "a|0.",
    "a|0+",
    "a|-1",
    "a|0.0.0",
    "a|00000000",
    " |0,2",
  ]) {
    assert.equal(readManifest(text, 100), undefined, text);
  }
  assert.equal(readManifest("a|0,0,0", 2), undefined);
  const back = { ...writtenPull("a|0.-1") };
  assert.equal(decodeMessage(back.packet), undefined);
});

/** A packet whose manifest is a text as given. */
function writtenPull(text: string): { packet: Uint8Array } {
  const message = { kind: "pull", interval: 1, wanted: text } as unknown as Message;
  return { packet: Buffer.concat(encodeMessage(message).pieces) };
}

test("a member can tell all that it knows of a thousand intervals, of three hundred deltas each", () => {
  const sources = Array.from({ length: 12 }, (_, index) => `${"0123456789abcdef"}.${index}.65a0b0c0d0e0f0a1`);
  const manifestOf = (interval: number): Manifest =>
    Array.from({ length: 300 }, (_, index): Run => {
      const sequence = interval * 25 + Math.floor(index / 12);
      return { source: sources[index % 12]!, from: sequence, to: sequence };
    });
  const rows = Array.from({ length: 1000 }, (_, interval) => [interval, manifestOf(interval)] as const);
  const message: Message = {
    kind: "query-answer",
    term: 1,
    registers: rows.map(([interval, manifest]) => {
      const pending = { term: 1, revision: 1, manifest };
      return [interval, { pending, delivered: { ...pending, sinks: ["carbon"], isComplete: true } }] as const;
    }),
    held: rows,
    presentSince: 0,
  };
  const packet = encodeMessage(message);
  assert.ok(packet.bytes < 5_000_000, `${packet.bytes}`);
  assert.deepEqual(decodeMessage(Buffer.concat(packet.pieces)), message);
  assert.equal(typeof writeManifest(rows[0]![1]), "string");
});
