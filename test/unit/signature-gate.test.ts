/** Signed datagrams: what is let through, what is refused and why, and how much is remembered. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { openListener } from "../../aggregator/listener/opener.ts";
import { ReplayFilter } from "../../aggregator/listener/replay-filter.ts";
import { SignatureGate } from "../../aggregator/listener/signature-gate.ts";
import { readHmacKey, signDatagram } from "../../aggregator/listener/signed-datagram.ts";
import { TagSet } from "../../aggregator/listener/tag-set.ts";
import { OperatorError } from "../../shared/errors.ts";
import { HEADER_BYTES, HEADER_PAYLOAD_BYTES, SLOT_BYTES } from "../../shared/kernel/layout.ts";
import { seededRandom } from "../../shared/random.ts";
import { newBatch, textsOf } from "../support/receive-batch.ts";

const KEY = Buffer.from("a key that nobody knows");
const WINDOW_MS = 60_000;
const NOW_MS = 1_700_000_000_500;
const batch = await newBatch("dgram");

/** Has the gate look at datagrams, and returns what the kernel would read. */
function pass(gate: SignatureGate, datagrams: readonly Buffer[], nowMs = NOW_MS): string[] {
  datagrams.forEach((datagram, slot) => {
    new Uint8Array(batch.memory.buffer).set(datagram, batch.slots + slot * SLOT_BYTES);
    const length = batch.headers + slot * HEADER_BYTES + HEADER_PAYLOAD_BYTES;
    batch.view.setUint32(length, datagram.length, true);
  });
  gate.filter(batch, datagrams.length, nowMs);
  return textsOf(batch, datagrams.length);
}

let nonce = 0;
const sign = (lines: string, { key = KEY, nowMs = NOW_MS } = {}): Buffer =>
  signDatagram(key, nowMs, nonce++, Buffer.from(lines));

test("a datagram is laid out as brubeck's", () => {
  const datagram = signDatagram(KEY, NOW_MS, 0x01020304, Buffer.from("a:1|c"));
  const signed = Buffer.from("00f153650000000004030201613a317c63", "hex");
  assert.deepEqual(datagram.subarray(32), signed);
  assert.deepEqual(datagram.subarray(0, 32), createHmac("sha256", KEY).update(signed).digest());
});

test("signed lines come through, each datagram once", () => {
  const gate = new SignatureGate(KEY, WINDOW_MS);
  const long = `${"x".repeat(65_000)}:1|c`;
  const datagrams = [sign("a:1|c\nb:2|c\n"), sign("a:1|c\nb:2|c\n"), sign(""), sign(long)];
  assert.deepEqual(pass(gate, datagrams), ["a:1|c\nb:2|c\n", "a:1|c\nb:2|c\n", "", long]);
  assert.deepEqual(pass(gate, datagrams), ["", "", "", ""]);
  assert.equal(gate.refused.replayed, 4);
});

test("what is short, changed, or signed with another key is refused", () => {
  const gate = new SignatureGate(KEY, WINDOW_MS);
  const good = sign("a:1|c");
  const changes = [0, 31, 32, 39, 40, 43, 44, good.length - 1].map((at) => {
    const changed = Buffer.from(good);
    changed[at]! ^= 1;
    return changed;
  });
  const other = sign("a:1|c", { key: Buffer.from("another key") });
  const short = [Buffer.alloc(0), Buffer.from("a:1|c"), good.subarray(0, 43)];
  const longer = Buffer.concat([good, Buffer.from("\nb:1|c")]);
  const texts = pass(gate, [...changes, other, longer, ...short, good]);
  assert.deepEqual(texts, [...new Array<string>(13).fill(""), "a:1|c"]);
  assert.equal(gate.refused.bad_signature, 10);
  assert.equal(gate.refused.short, 3);
});

test("clocks may differ by the window, in both directions, and no further", () => {
  const gate = new SignatureGate(KEY, WINDOW_MS);
  const at = (seconds: number) => sign(`at.${seconds}`, { nowMs: NOW_MS + seconds * 1000 });
  const texts = pass(gate, [at(-61), at(-60), at(0), at(60), at(61)]);
  assert.deepEqual(texts, ["", "at.-60", "at.0", "at.60", ""]);
  const far = sign("far");
  far.fill(0xff, 32, 40);
  const signed = createHmac("sha256", KEY).update(far.subarray(32)).digest();
  assert.deepEqual(pass(gate, [Buffer.concat([signed, far.subarray(32)])]), [""]);
  assert.equal(gate.refused.stale, 3);
});

test("a datagram cannot be replayed while it is not too old, whenever it comes", () => {
  const random = seededRandom(7);
  const gate = new SignatureGate(KEY, 5000);
  const seen: Buffer[] = [];
  let replayed = 0;
  for (let step = 0; step < 2000; step++) {
    const nowMs = NOW_MS + step * 137;
    const fresh = sign(`step.${step}`, { nowMs: nowMs + random.between(-4000, 4000) });
    assert.deepEqual(pass(gate, [fresh], nowMs), [`step.${step}`]);
    seen.push(fresh);
    const again = seen[Math.floor(random.between(Math.max(0, seen.length - 80), seen.length))]!;
    const { stale } = gate.refused;
    assert.deepEqual(pass(gate, [again], nowMs), [""]);
    replayed += gate.refused.stale === stale ? 1 : 0;
  }
  assert.equal(gate.refused.replayed, replayed);
  assert.ok(replayed > 500);
});

test("no more is taken than can be remembered, until what is too old is forgotten", () => {
  const gate = new SignatureGate(KEY, 5000, new ReplayFilter(5000, 3));
  const four = [sign("a"), sign("b"), sign("c"), sign("d")];
  assert.deepEqual(pass(gate, four), ["a", "b", "c", ""]);
  assert.equal(gate.refused.replays_full, 1);
  const laterMs = NOW_MS + 15_000;
  assert.deepEqual(pass(gate, [sign("e", { nowMs: laterMs })], laterMs), ["e"]);
});

test("a set of tags is a set", () => {
  const word = fc.oneof(fc.nat(3), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(word, word), { maxLength: 400 }), (tags) => {
      const set = new TagSet();
      const model = new Set<string>();
      for (const [low, high] of tags) {
        // These two share a place.
        const key = low === 0 && high === 0 ? "64 0" : `${low} ${high}`;
        assert.equal(set.add(low, high), !model.has(key));
        model.add(key);
      }
      assert.equal(set.size, model.size);
    }),
  );
  const set = new TagSet();
  const random = seededRandom(1);
  const tags = Array.from({ length: 100_000 }, () => [
    random.between(0, 2 ** 32),
    random.between(0, 2 ** 32),
  ]);
  for (const [low, high] of tags) assert.ok(set.add(low! >>> 0, high! >>> 0));
  for (const [low, high] of tags) assert.ok(!set.add(low! >>> 0, high! >>> 0));
});

test("keys are read from files, without the line feed at their end", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hmac-"));
  try {
    const path = join(folder, "key");
    for (const [text, key] of [
      ["secret\n", "secret"],
      ["secret", "secret"],
      ["a\n\n", "a\n"],
    ] as const) {
      writeFileSync(path, text);
      assert.equal(readHmacKey(path).toString(), key);
    }
    writeFileSync(path, "\n");
    assert.throws(() => readHmacKey(path), /hmac-key-file .* is empty/);
    assert.throws(() => readHmacKey(join(folder, "none")), /hmac-key-file .*none cannot be read \(ENOENT\)/);
    const options = {
      io: "dgram",
      sharePort: false,
      isFirst: true,
      receiveBufferBytes: 0,
      stream: { lineBytesMax: 100, idleTimeoutMs: 0, connectionsMax: 1 },
      socketMode: undefined,
      tls: undefined,
      signature: { keyPath: path, windowMs: 1000 },
    } as const;
    await assert.rejects(
      openListener({ ...options, listen: { kind: "tcp", host: "127.0.0.1", port: 0 } }),
      (error) => error instanceof OperatorError && /only datagrams can be signed/.test(error.message),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
