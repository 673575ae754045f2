/** The relay's kernel against a plain model of Go statsrelay, on any bytes and any options. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Packer } from "../../relay/packer.ts";
import { fillSlots, type Packet, PacketLog } from "../support/packets.ts";
import { loadPacker, planWith } from "../support/plans.ts";

interface Options {
  readonly entries: readonly string[];
  readonly packetlen: number;
  readonly metricsPrefix: string;
  readonly metricsTags: string;
  readonly prefix: string;
}

const MASK = (1n << 64n) - 1n;

function fnv1a(bytes: Buffer): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & MASK;
  return hash;
}

function jump(hash: bigint, buckets: number): number {
  let [key, bucket, next] = [hash, -1, 0];
  while (next < buckets) {
    bucket = next;
    key = (key * 0x27bb2ee687b0b0fdn + 1n) & MASK;
    next = Math.trunc((bucket + 1) * (2 ** 31 / Number((key >> 33n) + 1n)));
  }
  return bucket;
}

/** The model: strings in latin1 stand for bytes, one array of lines for each open packet. */
class Model {
  readonly packets: Packet[] = [];
  received = 0;
  accepted = 0;
  noColon = 0;
  #sinceSelfStat = 0;
  readonly #options: Options;
  readonly #ring: readonly number[];
  readonly #open: string[];

  constructor(options: Options) {
    this.#options = options;
    const { routes, destinations } = planWith(options);
    this.#ring = routes[0]!.buckets;
    this.#open = destinations.map(() => "");
  }

  #append(key: string, line: string, countedBytes: number): void {
    const bucket = jump(fnv1a(Buffer.from(key, "latin1")), this.#ring.length);
    const destination = this.#ring[bucket]!;
    if (this.#open[destination]!.length + countedBytes > this.#options.packetlen) this.#send(destination);
    this.#open[destination] += line;
  }

  #send(destination: number): void {
    const text = this.#open[destination]!;
    if (text !== "") this.packets.push({ destination, payload: Buffer.from(text, "latin1") });
    this.#open[destination] = "";
  }

  consume(datagram: Buffer): void {
    const { metricsPrefix, metricsTags } = this.#options;
    const before = metricsPrefix === "" ? "" : `${metricsPrefix}.`;
    for (const piece of datagram.toString("latin1").split("\n")) {
      let first = 0;
      while (piece[first] === "\r" || piece[first] === "\0") first++;
      const line = piece.slice(first);
      if (line === "") continue;
      this.received += 1;
      const colon = line.indexOf(":");
      if (colon < 0) {
        this.noColon += 1;
        continue;
      }
      const tags = metricsTags === "" ? "" : `${line.includes("|#") ? "," : "|#"}${metricsTags}`;
      this.#append(before + line.slice(0, colon), `${before}${line}${tags}\n`, line.length);
      this.accepted += 1;
      this.#sinceSelfStat += 1;
    }
  }

  flush(): void {
    if (this.#sinceSelfStat > 0) {
      const name = `${this.#options.prefix}.statsProcessed`;
      const line = `${name}:${this.#sinceSelfStat}|c\n`;
      this.#append(name, line, line.length);
      this.#sinceSelfStat = 0;
    }
    this.#open.forEach((_, destination) => {
      this.#send(destination);
    });
  }
}

const byte = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...Buffer.from("ab.1:|#\n\r\0,c")) },
  { weight: 1, arbitrary: fc.nat(255) },
);
const soup = fc.array(byte, { maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const name = fc.oneof(
  fc.string({ unit: fc.constantFrom(..."abcxyz.;=-_"), maxLength: 140 }),
  fc.nat(50).map((number) => `metric.${number}`),
);
const line = fc
  .tuple(name, fc.constantFrom(":1|c", ":1|c|@0.5", ":2|g|#a:b", ":1|c|#", ":3|ms\r", ":", "", "|#:1"))
  .map(([text, value]) => text + value);
const lines = fc.array(line, { maxLength: 60 }).map((all) => Buffer.from(all.join("\n")));
const long = fc
  .integer({ min: 1, max: 65_000 })
  .map((bytes) => Buffer.from(`${"n".repeat(bytes)}:1|c\na:2|c`));
const datagram = fc.oneof(
  { weight: 4, arbitrary: soup },
  { weight: 6, arbitrary: lines },
  { weight: 1, arbitrary: long },
);
const word = fc.string({ unit: fc.constantFrom(..."abc.:-"), maxLength: 20 });
const options: fc.Arbitrary<Options> = fc.record({
  entries: fc.array(
    fc.nat(20).map((port) => `h:${port}`),
    { minLength: 1, maxLength: 24 },
  ),
  packetlen: fc.oneof(fc.nat(80), fc.constantFrom(0, 1, 512, 1400, 8932, 65_507)),
  metricsPrefix: fc.oneof(fc.constant(""), word),
  metricsTags: fc.oneof(fc.constant(""), word),
  prefix: word,
});
const history = fc.array(fc.array(datagram, { maxLength: 20 }), { maxLength: 4 });

function load(chosen: Options, debug: boolean): Promise<Packer> {
  return loadPacker(chosen, { debug });
}

/** Packs batches, each followed by a flush, and compares with the model. */
async function compare(
  chosen: Options,
  batches: readonly (readonly Buffer[])[],
  debug: boolean,
): Promise<void> {
  const packer = await load(chosen, debug);
  const model = new Model(chosen);
  const log = new PacketLog(packer);
  for (const batch of batches) {
    fillSlots(packer, batch);
    log.consume(batch.length);
    for (const one of batch) model.consume(one);
    packer.addSelfStat();
    log.take();
    packer.exports.flush();
    log.take();
    model.flush();
  }
  assert.deepEqual(log.packets, model.packets);
  const { exports } = packer;
  assert.equal(exports.received(), model.received);
  assert.equal(exports.linesAccepted(), model.accepted);
  assert.equal(exports.droppedNoColon(), model.noColon);
  assert.equal(exports.datagramsReceived(), batches.flat().length);
  assert.equal(
    exports.bytesReceived(),
    batches.flat().reduce((sum, one) => sum + one.length, 0),
  );
  assert.equal(log.lines, exports.linesAccepted() + exports.selfLines());
  let routed = 0;
  for (let i = 0; i < planWith(chosen).destinations.length; i++) {
    routed += exports.linesRouted(i);
    assert.equal(exports.linesWaiting(i), 0);
  }
  assert.equal(routed, log.lines);
}

for (const debug of [false, true]) {
  test(`packets are those of the model (${debug ? "debug" : "release"})`, async () => {
    await fc.assert(
      fc.asyncProperty(options, history, (chosen, batches) => compare(chosen, batches, debug)),
      { numRuns: debug ? 60 : 250 },
    );
  });

  test(`more packets than buffers leave in the right order (${debug ? "debug" : "release"})`, async () => {
    const many = Array.from({ length: 64 }, (_, i) =>
      Buffer.from(Array.from({ length: 40 }, (_, j) => `m.${i}.${j}:1|c`).join("\n")),
    );
    for (const count of [1, 3, 300]) {
      const entries = Array.from({ length: count }, (_, port) => `h:${port}`);
      const chosen = { entries, packetlen: 0, metricsPrefix: "", metricsTags: "", prefix: "p" };
      await compare(chosen, [many, many], debug);
    }
  });
}

test("a line that was cut off is dropped with a reason, those before it are not", async () => {
  const packer = await load(
    { entries: ["h:1"], packetlen: 1400, metricsPrefix: "", metricsTags: "", prefix: "p" },
    true,
  );
  const log = new PacketLog(packer);
  fillSlots(packer, [Buffer.from("a:1|c\nb:123")], true);
  log.consume(1);
  packer.exports.flush();
  log.take();
  assert.deepEqual(
    log.packets.map(({ payload }) => payload.toString()),
    ["a:1|c\n"],
  );
  assert.equal(packer.exports.received(), 2);
  assert.equal(packer.exports.droppedCut(), 1);
  assert.equal(packer.exports.linesAccepted(), 1);
});
