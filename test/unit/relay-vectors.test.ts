/** The relay's kernel against what Go statsrelay did: where names go, and which packets leave. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Packer } from "../../relay/packer.ts";
import { fillSlots, type Packet, PacketLog, packAll } from "../support/packets.ts";
import { loadPacker, planWith } from "../support/plans.ts";
import { readJsonVectors, readTsvVectors, unescapeField } from "../support/vectors.ts";

interface PackingDatagram {
  readonly text?: string;
  readonly hex?: string;
}
interface PackingPacket extends PackingDatagram {
  readonly index: number;
  readonly bytes: number;
}
interface PackingCase {
  readonly id: string;
  readonly title: string;
  readonly input: readonly PackingDatagram[];
  readonly options: {
    readonly metricsPrefix: string;
    readonly metricsTags: string;
    readonly packetlen: number;
    readonly prefix: string;
  };
  readonly output: readonly PackingPacket[];
  readonly output_fixed?: readonly PackingPacket[];
  readonly processed: number;
  readonly ring: readonly string[];
}

const routing = readTsvVectors("routing-fnv1a-jump.tsv");
const packing = readJsonVectors<{ cases: PackingCase[] }>("relay-packing.json").cases;
const RING_SIZES = [1, 2, 3, 4, 5, 8, 10, 16, 32, 100, 1000];

function payload(datagram: PackingDatagram): Buffer {
  return datagram.hex === undefined ? Buffer.from(datagram.text ?? "") : Buffer.from(datagram.hex, "hex");
}

function entriesOf(bucketCount: number): string[] {
  return Array.from({ length: bucketCount }, (_, bucket) => `h:${bucket + 1}`);
}

function loadRing(bucketCount: number, debug: boolean): Promise<Packer> {
  return loadPacker({ entries: entriesOf(bucketCount) }, { debug });
}

/** Whether a name reaches the router as it is: blanks at a line's start and its end marks do not. */
function canLeadLine(name: Buffer): boolean {
  return !name.includes("\n") && !name.includes(":") && ![0, 13].includes(name[0] ?? 58);
}

/** Destinations of lines with these names, each in a batch of its own. */
async function destinationsOf(names: readonly Buffer[], debug: boolean): Promise<number[]> {
  const packer = await loadRing(64, debug);
  const log = new PacketLog(packer);
  return names.map((name) => {
    fillSlots(packer, [Buffer.concat([name, Buffer.from(":1|c")])]);
    log.consume(1);
    packer.exports.flush();
    log.take();
    return log.packets.at(-1)!.destination;
  });
}

const WORD_MAX = 2n ** 64n - 1n;
const PUBLIC_MULTIPLIERS = [0x87c37b91114253d5n, 0x4cf5ad432745937fn] as const;

function rotateLeft(word: bigint, bits: bigint): bigint {
  return ((word << bits) | (word >> (64n - bits))) & WORD_MAX;
}

/** Inverse of an odd number among words, by Newton's method. */
function inverse(odd: bigint): bigint {
  let result = odd;
  for (let step = 0; step < 6; step++) result = (result * (2n - odd * result)) & WORD_MAX;
  return BigInt.asUintN(64, result);
}

/**
 * Makes another name of 16 bytes that MurmurHash3 with its own multipliers cannot tell from the given one,
 * whatever its seed: the difference of the first words ends up in the highest bit, where that of the second
 * words takes it away.
 */
function collideWithPublicMultipliers(name: Buffer): Buffer {
  const [first, second] = PUBLIC_MULTIPLIERS;
  const mix = (word: bigint) => (rotateLeft((word * first) & WORD_MAX, 31n) * second) & WORD_MAX;
  const unmix = (word: bigint) =>
    (rotateLeft((word * inverse(second)) & WORD_MAX, 33n) * inverse(first)) & WORD_MAX;
  const impostor = Buffer.alloc(16);
  impostor.writeBigUInt64LE(unmix(mix(name.readBigUInt64LE(0)) ^ (1n << 36n)), 0);
  impostor.writeBigUInt64LE(unmix(mix(name.readBigUInt64LE(8)) ^ (1n << 63n)), 8);
  return impostor;
}

for (const debug of [false, true]) {
  const build = debug ? "debug" : "release";

  test(`names are hashed and placed as in Go statsrelay (${build})`, async () => {
    assert.equal(routing.length, 307);
    for (const bucketCount of RING_SIZES) {
      const packer = await loadRing(bucketCount, debug);
      const lines: { readonly name: Buffer; readonly bucket: number }[] = [];
      for (const row of routing) {
        const name = Buffer.from(row.name_hex!, "hex");
        assert.deepEqual(unescapeField(row.name!), name);
        // Nothing was received yet, so the first slot stands idle.
        const { slots } = packer.batch;
        new Uint8Array(packer.memory.buffer, slots, name.length).set(name);
        const hash = BigInt.asUintN(64, packer.exports.hashOf(0, slots, name.length));
        assert.equal(hash.toString(16).padStart(16, "0"), row.fnv1a64, row.name);
        if (canLeadLine(name)) lines.push({ name, bucket: Number(row[`n${bucketCount}`]) });
      }
      assert.ok(lines.length > 290);
      const log = new PacketLog(packer);
      for (let from = 0; from < lines.length; from += 64) {
        const batch = lines.slice(from, from + 64);
        fillSlots(
          packer,
          batch.map(({ name }) => Buffer.concat([name, Buffer.from(":1|c")])),
        );
        log.consume(batch.length);
      }
      packer.exports.flush();
      log.take();
      const bucketOf = new Map<string, number>();
      for (const { destination, payload: bytes } of log.packets) {
        for (const line of bytes.toString("latin1").split("\n").slice(0, -1)) bucketOf.set(line, destination);
      }
      for (const { name, bucket } of lines) {
        const line = `${name.toString("latin1")}:1|c`;
        assert.equal(bucketOf.get(line), bucket, `${line} on ${bucketCount} buckets`);
      }
    }
  });

  test(`no name can be made to take the place of another one (${build})`, async () => {
    let tried = 0;
    for (let number = 0; number < 20; number++) {
      const name = Buffer.from(`app.requests.${String(number).padStart(3, "0")}`);
      const impostor = collideWithPublicMultipliers(name);
      if (!canLeadLine(impostor)) continue;
      tried++;
      const alone = await destinationsOf([name], debug);
      const after = await destinationsOf([impostor, name], debug);
      assert.equal(after[1], alone[0], name.toString());
    }
    assert.ok(tried > 10);
  });

  for (const one of packing) {
    test(`${one.id} ${one.title} (${build})`, async () => {
      const options = { entries: one.ring, ...one.options };
      const ring = planWith(options).routes[0]!.buckets;
      const packer = await loadPacker(options, { debug });
      const expected: Packet[] = (one.output_fixed ?? one.output).map((packet) => ({
        destination: ring[packet.index]!,
        payload: payload(packet),
      }));
      assert.deepEqual(packAll(packer, one.input.map(payload)), expected);
      assert.equal(packer.exports.linesAccepted(), one.processed);
    });
  }
}
