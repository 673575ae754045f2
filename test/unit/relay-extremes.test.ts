/**
 * Lines of the greatest size with the most put around them, in the last bytes of slots and packets. A write
 * beyond its bounds shows in a neighbour, so packets of other destinations are open all the while.
 */
import { test } from "node:test";
import { SLOT_COUNT, SLOT_PAYLOAD_BYTES_MAX } from "../../shared/kernel/layout.ts";
import type { PlanOptions } from "../support/plans.ts";
import { compareWithModel, type Step } from "../support/relay-comparison.ts";

const DATAGRAM_BYTES_MAX = 65_507;
const TEXT_BYTES_MAX = 1024;
const RENAMED_BYTES_MAX = 4096;
const entries = ["h:1", "h:2", "h:3", "h:4", "h:5"];
const around = {
  metricsPrefix: "p".repeat(TEXT_BYTES_MAX),
  metricsSuffix: "s".repeat(TEXT_BYTES_MAX),
  metricsTags: "t".repeat(TEXT_BYTES_MAX),
};
/** The largest text that both the plain and the strict packing put into packets of their own. */
const packetlens = [0, 1400, 8932, DATAGRAM_BYTES_MAX];

function batch(...datagrams: string[]): Step {
  return { kind: "batch", datagrams, isCut: false };
}

/** A line of so many bytes that is mostly name, or mostly value. */
function lineOf(bytes: number, isName: boolean, tail = ":1|c"): string {
  const filler = bytes - tail.length;
  return isName ? "n".repeat(filler) + tail : `q:${"1".repeat(filler - 2)}${tail.slice(1)}`;
}

/** Short lines for all destinations, so that each has an open packet. */
const ordinary = Array.from({ length: 40 }, (_, index) => `app.${index}:1|c`).join("\n");

/** Every kind of large datagram between ordinary ones, up to the last slot. */
function steps(bytes: number): Step[] {
  const large = [
    lineOf(bytes, true),
    lineOf(bytes, false),
    lineOf(bytes, true, ":1|c|#a:b,c|@0.5\r\r"),
    lineOf(bytes, false, ":1|c|#a:b,c|@0.5\r\r"),
    `${lineOf(bytes - 5, true)}\nq:1|`,
    `q:1|c\n${lineOf(bytes - 6, false)}`,
  ];
  const slots = Array.from({ length: SLOT_COUNT }, (_, slot) =>
    slot % 8 === 7 ? large[slot >> 3] : ordinary,
  );
  const full = slots.map((text) => text ?? lineOf(bytes, false));
  return [batch(ordinary), batch(...full), batch(ordinary), { kind: "flush" }, batch(ordinary)];
}

async function compareAll(options: Omit<PlanOptions, "entries">): Promise<void> {
  for (const debug of [false, true]) {
    for (const packetlen of packetlens) {
      for (const bytes of [DATAGRAM_BYTES_MAX, SLOT_PAYLOAD_BYTES_MAX]) {
        await compareWithModel({ ...options, entries, packetlen }, steps(bytes), debug);
      }
    }
  }
}

for (const strictPacketlen of [false, true]) {
  const how = strictPacketlen ? "strictly packed" : "packed";

  test(`the largest lines get the largest texts around them (${how})`, async () => {
    await compareAll({ ...around, strictPacketlen });
    await compareAll({ ...around, strictPacketlen, tagsInSection: true, trimCr: true, validate: true });
  });

  test(`the largest lines are renamed to the longest names (${how})`, async () => {
    const rename = [`q -> ${"r".repeat(RENAMED_BYTES_MAX)}`, `app.** -> ${"a".repeat(RENAMED_BYTES_MAX)}`];
    await compareAll({ ...around, strictPacketlen, rename });
  });

  test(`the largest lines are thinned out and converted (${how})`, async () => {
    const rest = { strictPacketlen, sampleThreshold: 1, sampleRate: 0.1 };
    await compareAll({ ...around, ...rest, tagFormat: "name" });
    await compareAll({ ...rest, tagFormat: "graphite", tagsInSection: true });
  });
}

test("lines of the most tags that can be converted, in a whole batch of them", async () => {
  const tags = Array.from({ length: 256 }, (_, index) => `${255 - index}`);
  const tail = `:1|c|#${tags.join(",")}`;
  for (const tagFormat of ["name", "graphite"] as const) {
    for (const bytes of [SLOT_PAYLOAD_BYTES_MAX - 256 * 8 - 1, SLOT_PAYLOAD_BYTES_MAX - 256 * 8]) {
      const full = new Array<string>(SLOT_COUNT).fill(lineOf(bytes, true, tail));
      for (const debug of [false, true]) {
        await compareWithModel({ ...around, entries, tagFormat }, [batch(...full), batch(ordinary)], debug);
      }
    }
  }
});

test("packets are filled to their last byte, and the last line is much longer than it counts", async () => {
  const fillers = [99, 100, 101].map((bytes) => lineOf(bytes, false));
  const many = fillers.flatMap((line) => new Array<string>(200).fill(line)).join("\n");
  for (const packetlen of [200, 201, 202, 1400, 1403, 1407]) {
    for (const strictPacketlen of [false, true]) {
      const options = { ...around, entries, packetlen, strictPacketlen };
      await compareWithModel(options, [batch(ordinary), batch(many, ordinary), batch(many)], true);
      await compareWithModel({ entries, packetlen, strictPacketlen }, [batch(many, ordinary)], false);
    }
  }
});
