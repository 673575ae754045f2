/** Sampling of names that send too much: which lines go, and what rates the others get. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Packer } from "../../relay/packer.ts";
import { DROP_FILTERED, DROP_SAMPLED } from "../../shared/kernel/relay-codes.ts";
import { fillSlots, PacketLog } from "../support/packets.ts";
import { loadPacker, type PlanOptions } from "../support/plans.ts";

const HASH_SEED = 0xfeed_beef_cafe_1234n;
const DATAGRAM_BYTES_MAX = 60_000;
const PLACES = [1, 2, 3];
/** Longest rate that is rewritten, in bytes. */
const RATE_LENGTH_MAX = 32;

function loadThinning(options: Omit<PlanOptions, "entries">, debug = false): Promise<Packer> {
  return loadPacker({ entries: ["h:1"], sampleThreshold: 1, ...options }, { debug, hashSeed: HASH_SEED });
}

/** Passes lines through a kernel in one window. Returns those that leave. */
function passLines(packer: Packer, lines: readonly string[]): string[] {
  const log = new PacketLog(packer);
  let text = "";
  const consume = (): void => {
    fillSlots(packer, [Buffer.from(text, "latin1")]);
    log.consume(1);
    text = "";
  };
  for (const line of lines) {
    if (text.length + line.length > DATAGRAM_BYTES_MAX) consume();
    text += `${line}\n`;
  }
  consume();
  packer.exports.flush();
  log.take();
  const left = log.packets.flatMap(({ payload }) => payload.toString("latin1").split("\n").slice(0, -1));
  const { exports } = packer;
  assert.equal(exports.received(), exports.linesAccepted() + exports.linesDropped(DROP_SAMPLED));
  return left;
}

/** A decimal as a whole number of 10^-60. */
function exact(decimal: string): bigint {
  const [whole = "", fraction = ""] = decimal.split(".");
  return BigInt(`${whole}${fraction.padEnd(60, "0")}`);
}

/** What a line becomes that is kept although its name sends too much; undefined where it was not changed. */
function thinned(packer: Packer, line: string): string | undefined {
  const many = new Array<string>(20_000).fill(line);
  return passLines(packer, many).find((left) => left !== line);
}

for (const places of PLACES) {
  test(`sums come out right when 1 in ${10 ** places} lines is kept`, async () => {
    const packer = await loadThinning({ sampleThreshold: 1000, sampleRate: 10 ** -places });
    const total = 100_000;
    const left = passLines(packer, new Array<string>(total).fill("app.requests:2|c"));
    const plain = left.filter((line) => line === "app.requests:2|c").length;
    assert.equal(plain, 1000, "lines up to the threshold stay as they are");
    const rate = `0.${"1".padStart(places, "0")}`;
    const sampled = left.filter((line) => line === `app.requests:2|c|@${rate}`).length;
    assert.equal(plain + sampled, left.length);
    // Four standard deviations of a binomial distribution.
    const expected = (total - 1000) / 10 ** places;
    const bound = 4 * Math.sqrt(expected * (1 - 10 ** -places));
    assert.ok(Math.abs(sampled - expected) < bound, `${sampled} of about ${expected} lines are kept`);
    assert.equal(packer.exports.linesDropped(DROP_SAMPLED), total - left.length);
  });
}

test("each name has a threshold of its own, in each window anew", async () => {
  const packer = await loadThinning({ sampleThreshold: 50, sampleRate: 0.001 });
  const names = Array.from({ length: 200 }, (_, index) => `few.${index}`);
  const few = names.flatMap((name) => new Array<string>(50).fill(`${name}:1|c`));
  const many = Array.from({ length: few.length }, () => "many:1|c");
  for (let window = 0; window < 4; window++) {
    const left = passLines(packer, window === 2 ? few : few.flatMap((line, index) => [line, many[index]!]));
    assert.deepEqual(
      left.filter((line) => !line.startsWith("many")),
      few,
    );
    assert.equal(left.filter((line) => line === "many:1|c").length, window === 2 ? 0 : 50);
  }
});

test("rates move their decimal point, wherever they stand in a line", async () => {
  const cases = [
    ["a:1|c", "a:1|c|@0.01"],
    ["a:1|ms", "a:1|ms|@0.01"],
    ["a:1.5|h|#x:y", "a:1.5|h|@0.01|#x:y"],
    ["a:1:2:3|d|@0.5|#x:y", "a:1:2:3|d|@0.005|#x:y"],
    ["a:1|c|#x:y,z|@0.25", "a:1|c|#x:y,z|@0.0025"],
    ["a:1|c|#x:y|@0.25|c:container", "a:1|c|#x:y|@0.0025|c:container"],
    ["a:1|c|@1", "a:1|c|@0.01"],
    ["a:1|c|@.5", "a:1|c|@0.005"],
    ["a:1|c|@5.", "a:1|c|@0.05"],
    ["a:1|c|@0.5\r", "a:1|c|@0.005\r"],
    ["a:1|c\r", "a:1|c|@0.01\r"],
    ["a:1|m", "a:1|m|@0.01"],
    ["a:1|c|T1700000000", "a:1|c|@0.01|T1700000000"],
  ] as const;
  for (const debug of [false, true]) {
    const packer = await loadThinning({ sampleRate: 0.01 }, debug);
    for (const [line, expected] of cases) assert.equal(thinned(packer, line), expected, line);
  }
});

test("lines that know no rate, or an odd one, all pass as they are", async () => {
  const lines = [
    ...["a:1|g", "a:-1|g|#x", "a:1|s", "a:1|s|@0.5", "a:1|k", "a:1|cc", "a:1|", "a:1", "a:"],
    ...["a:1|c|@", "a:1|c|@.", "a:1|c|@1e-3", "a:1|c|@-1", "a:1|c|@0,5", "a:1|c|@0.5.5", "a:1|c|@ 1"],
    ...["a:1|c:2|c", "a:1|ms:2|ms|@0.5", "a:1|c|@0.5:2|c", `a:1|c|@0.${"1".repeat(31)}`, "_sc|a:b|0"],
  ];
  for (const debug of [false, true]) {
    const packer = await loadThinning({ sampleRate: 0.001 }, debug);
    for (const line of lines) {
      const many = new Array<string>(300).fill(line);
      assert.deepEqual(passLines(packer, many), many, line);
    }
  }
});

test("rates are divided exactly", async () => {
  const digits = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
    fc.string({ unit: fc.constantFrom(..."0123456789"), minLength, maxLength });
  const decimal = fc
    .oneof(
      digits(1, 12),
      fc.tuple(digits(0, 9), digits(1, 20)).map((parts) => parts.join(".")),
      digits(1, 9).map((whole) => `${whole}.`),
    )
    .filter((text) => text.length <= RATE_LENGTH_MAX);
  for (const places of PLACES) {
    const packer = await loadThinning({ sampleRate: 10 ** -places });
    fc.assert(
      fc.property(decimal, (rate) => {
        const left = thinned(packer, `a:1|c|@${rate}`);
        assert.ok(left !== undefined);
        assert.equal(exact(left.slice("a:1|c|@".length)) * 10n ** BigInt(places), exact(rate));
      }),
      { numRuns: 60 },
    );
  }
});

test("lines that a rule drops keep their reason", async () => {
  const packer = await loadPacker({ entries: ["h:1"], sampleThreshold: 1, block: ["a"] });
  fillSlots(packer, [Buffer.from("a:1|c\n".repeat(1000))]);
  while (packer.exports.consume(1) !== 0) packer.judgeNames();
  assert.equal(packer.exports.linesDropped(DROP_FILTERED), 1000);
  assert.equal(packer.exports.linesDropped(DROP_SAMPLED), 0);
});
