/** Every dialect reads lines as an independent reader does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DIALECTS, type ReadingOptions, SANITIZE_MODES } from "../../aggregator/reading.ts";
import { readLabel } from "../../shared/wire.ts";
import { type ReadSample, readTestLine } from "../support/line-reader.ts";
import {
  type DecodedSeries,
  decodeFrame,
  newIntake,
  TEST_NOW_MS,
  type TestIntake,
} from "../support/snapshots.ts";

const NOW_SEC = TEST_NOW_MS / 1000;
const BOUNDS = { nameBytesMax: 40, tagsBytesMax: 1000 };

/** Text as it is sent: one character for each byte. */
const sent = (text: string): string => Buffer.from(text).toString("latin1");

/** Numbers from a little below a bound to a little beyond. */
const about = (bound: number) => fc.integer({ min: bound - 2, max: bound + 2 });

/** Many short tags, in order or in reverse. mark: what is between key and value. */
const manyTags = (mark: string, separator: string) =>
  fc.tuple(about(256), fc.boolean()).map(([count, isReverse]) => {
    const tags = Array.from({ length: count }, (_, index) => (500 + index).toString(36));
    if (isReverse) tags.reverse();
    return [...tags, `z${mark}${count % 2}`].slice(1).join(separator);
  });
const longTag = about(BOUNDS.tagsBytesMax).map((bytes) => "t".repeat(bytes));
const foreign = fc.constantFrom(
  sent("\u00e9t\u00e9"),
  sent("a\u00a0b\u2028c"),
  sent("\u{1f600}"),
  sent("\u0085x"),
  sent("\u0081"),
  sent("\ufeffx"),
  "\xff",
  "\xe2\x80",
  "\xed\xa0\x80",
  "\xc0\xaf",
  " \t /",
);
const tagText = fc.oneof(foreign, fc.constantFrom("k=v", "x", "b:1", " ", "", "veneurlocalonly"));

const name = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom("a", "web.hits", "a.b.c.d", "x-y_z", "long.name.with.many.parts.in.it"),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom("a;k=v", "a;z=1;b=2", "a;b=2;b=2", "a;x", "a,k=v", "a,z=1,b=2", "a;;x"),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", ";", "a;", "a b/c", "a$\x01b", "a|b", "a\tb", "$$", "a,", "a;k=v;"),
  },
  { weight: 1, arbitrary: foreign.map((text) => `n.${text}`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(";", ","), fc.array(tagText, { minLength: 1, maxLength: 5 }))
      .map(([separator, tags]) => `a b${separator}${tags.join(separator).replaceAll(":", "=")}`),
  },
  { weight: 1, arbitrary: about(BOUNDS.nameBytesMax).map((bytes) => "n".repeat(bytes)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(";", ","), fc.oneof(longTag, manyTags("=", ";"), manyTags("=", ",")))
      .map(([separator, tags]) => `a${separator}${tags}`),
  },
);
const number = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      "1",
      "-1",
      "+5",
      "0",
      "12.5",
      ".5",
      "5.",
      "1e3",
      "-2.25e-1",
      "9007199254740993",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", "abc", "1e", "nan", "inf", "--5", "0x10", " 1", "1 ", "1e999", "1_0"),
  },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map(String) },
);
const values = fc.oneof(
  { weight: 5, arbitrary: number },
  { weight: 2, arbitrary: fc.array(number, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(":")) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      about(1024).map((bytes) => "m".repeat(bytes)),
      foreign,
    ),
  },
);
const type = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("c", "g", "ms", "h", "d", "s") },
  { weight: 1, arbitrary: fc.constantFrom("m", "", "q", "gauge", "ms ", "C", "meter", "cc") },
);
const section = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("@0.5", "@1", "@0.1", "@1e-1", "@+0.25", "@.5") },
  { weight: 1, arbitrary: fc.constantFrom("@0", "@1.1", "@nan", "@", "@0.5x", "@1.", "@1E-1", "@-1") },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      "#k:v",
      "#b:2,a:1,a:1",
      "#",
      "#,,x",
      "#k:v:w,q=1",
      "#a;b:c",
      "#veneurlocalonly,x:1",
      "#veneurglobalonly:true",
      "#veneurlocalonlyx",
      "#host:web 1,device:eth0",
      "#:v,k:",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      `T${NOW_SEC}`,
      `T${NOW_SEC - 10}`,
      `T${NOW_SEC - 25}`,
      "T0",
      "T",
      "T1x",
      `T${NOW_SEC + 60}`,
    ),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.array(tagText, { maxLength: 6 }).map((tags) => `#${tags.join(",")}`),
      longTag.map((tag) => `#${tag}`),
      manyTags(":", ",").map((tags) => `#${tags}`),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "c:ci-1",
      "c:",
      "e:it-false,cn-x",
      "card:low",
      "zz",
      "",
      "m:test",
      "e",
      "card",
    ),
  },
);
const segment = fc
  .tuple(values, type, fc.array(section, { maxLength: 3 }))
  .map(([value, word, sections]) => [`${value}|${word}`, ...sections].join("|"));
/** Behind a rate or a timestamp another segment may follow, with other tags. */
const tagged = fc
  .tuple(number, fc.constantFrom("c", "g", "ms"), fc.array(tagText, { maxLength: 3 }), fc.boolean())
  .map(
    ([value, word, tags, isLate]) =>
      `${value}|${word}|#${tags.join(",")}|${isLate ? `T${NOW_SEC - 10}` : "@0.5"}`,
  );
const line = fc
  .tuple(
    name,
    fc.oneof(
      { weight: 5, arbitrary: segment.map((one) => [one]) },
      { weight: 1, arbitrary: fc.array(segment, { maxLength: 3 }) },
      { weight: 1, arbitrary: fc.array(tagged, { minLength: 1, maxLength: 4 }) },
    ),
    fc.constantFrom("", "", "", "\r"),
  )
  .map(([head, segments, end]) => `${head}:${segments.join(":")}${end}`)
  .filter((text) => !text.includes("\n"));
const reading = fc.record<ReadingOptions>({
  dialect: fc.constantFrom(...DIALECTS),
  sanitize: fc.constantFrom(...SANITIZE_MODES),
  influxTags: fc.boolean(),
  unknownType: fc.constantFrom("drop", "counter"),
  untaggedCopy: fc.boolean(),
});

/** A series as one text, so that lists of them can be compared. */
function describe(interval: number, { key, type: kind, updates, ...series }: DecodedSeries): string {
  const head = `${interval} ${kind} ${key} ${updates} ${series.weight}`;
  if (kind === "counter") return `${head} ${series.value}`;
  if (kind === "timer") {
    const samples = series.samples.map(({ value, weight }) => `${value}*${weight}`).sort();
    return `${head} ${samples.join(" ")} last ${series.value}`;
  }
  if (kind === "set") return `${head} ${[...series.members].sort().join("\u0001")}`;
  const free = series.free.reduce((sum, { change }) => sum + change, 0);
  return `${head} ${series.isAbsolute ? `${series.value} ${series.changes}` : `free ${free}`}`;
}

/** What a table of these samples would be, in the same form. */
function expected(samples: readonly ReadSample[]): string[] {
  const series = new Map<string, ReadSample[]>();
  const present = Math.floor(TEST_NOW_MS / 10_000);
  for (const sample of samples) {
    const interval = sample.timestamp === 0 ? present : Math.min(present, Math.floor(sample.timestamp / 10));
    const id = `${interval} ${sample.type} ${sample.key}`;
    series.set(id, [...(series.get(id) ?? []), sample]);
  }
  return [...series].map(([id, list]) => {
    const weight = list.reduce((sum, one) => sum + one.weight, 0);
    const head = `${id} ${list.length} ${weight}`;
    const { type: kind } = list[0]!;
    if (kind === "counter") return `${head} ${list.reduce((sum, { value }) => sum + value, 0)}`;
    if (kind === "timer") {
      const texts = list.map((one) => `${one.value}*${one.weight}`).sort();
      return `${head} ${texts.join(" ")} last ${list.at(-1)!.value}`;
    }
    if (kind === "set")
      return `${head} ${[...new Set(list.map(({ member }) => member))].sort().join("\u0001")}`;
    const last = list.findLastIndex(({ isChange }) => !isChange);
    const changes = list.slice(last + 1).reduce((sum, { value }) => sum + value, 0);
    return `${head} ${last < 0 ? `free ${changes}` : `${list[last]!.value} ${changes}`}`;
  });
}

/** Feeds one line, and returns its series and whether it was dropped. */
function feed(intake: TestIntake, text: string): { series: string[]; isDropped: boolean } {
  const { counts } = intake.snapshotter;
  const dropped = counts.dropped.reduce((sum, one) => sum + one, 0);
  const before = intake.frames.length;
  intake.send([Buffer.from(text, "latin1")]);
  intake.cut();
  const series = intake.frames.slice(before).flatMap((frame) => {
    return decodeFrame(frame).map((one) => describe(readLabel(frame)!.interval, one));
  });
  intake.frames.length = 0;
  return { series: series.sort(), isDropped: counts.dropped.reduce((sum, one) => sum + one, 0) > dropped };
}

test("lines mean what an independent reader finds in them, in every dialect", async () => {
  // Three intervals may still be filled: T - 25 s lies in the last of them.
  const options = { ...BOUNDS, lateWindowMs: 20_000 };
  const intakes = new Map<string, TestIntake>();
  const seen = { accepted: 0, dropped: 0 };
  await fc.assert(
    fc.asyncProperty(reading, fc.array(line, { minLength: 1, maxLength: 12 }), async (rules, lines) => {
      const id = JSON.stringify(rules);
      const intake = intakes.get(id) ?? (await newIntake({ ...options, reading: rules }));
      intakes.set(id, intake);
      for (const text of lines) {
        const wanted = readTestLine(text, { ...rules, ...BOUNDS });
        const { series, isDropped } = feed(intake, text);
        const context = `${JSON.stringify(text)} under ${id}`;
        assert.equal(isDropped, wanted === undefined, context);
        assert.deepEqual(series, expected(wanted ?? []).sort(), context);
        if (isDropped) seen.dropped += 1;
        else seen.accepted += 1;
      }
    }),
    { numRuns: 1500 },
  );
  assert.ok(seen.accepted > 1000 && seen.dropped > 1000, JSON.stringify(seen));
});
