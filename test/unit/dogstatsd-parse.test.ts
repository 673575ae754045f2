/**
 * DogStatsD's parser vectors: what is recommended for each input, against the kernel. Histograms and
 * distributions are timers here; container, external data and cardinality do not make a series.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_READING } from "../../aggregator/reading.ts";
import { readLabel } from "../../shared/wire.ts";
import { type DecodedSeries, decodeFrame, newIntake, outcome, TEST_NOW_MS } from "../support/snapshots.ts";
import { readTsvVectors } from "../support/vectors.ts";

/** Reasons of the kernel for each of the file's words. */
const REASONS: Readonly<Record<string, readonly string[]>> = {
  "bad-value": ["bad_value", "not_finite"],
  "empty-value": ["bad_value"],
  "no-pipe": ["no_value", "no_type"],
  "no-type": ["no_type"],
  "bad-type": ["bad_type"],
  "bad-name": ["no_value"],
  "empty-name": ["empty_name", "no_value"],
  "rate-range": ["bad_rate"],
  "bad-rate": ["bad_rate"],
  "dup-rate": ["repeated_section"],
  "dup-tags": ["repeated_section"],
  "bad-timestamp": ["bad_timestamp"],
  "bad-prefix": ["no_value"],
};

/** Words behind a metric that say nothing about its number or name. */
const PASSED_OVER = / (?:container|inode|init|cname|pod|card|scope|ext)=\S+/g;

interface Wanted {
  readonly type: string;
  readonly name: string;
  readonly values: readonly string[];
  readonly rate: number;
  readonly tags: readonly string[];
  readonly timestamp?: number;
}

/** Reads `counter "a" = 1 rate=0.5 tags=[x:y] device=eth0 host=web1 ts=1657100540`. */
function readWanted(text: string): Wanted {
  const match =
    /^(\w+) "(.*)" = (.*?)(?: rate=(\S+))?(?: tags=\[(.*?)\])?((?: (?:device|host|ts)=\S+)*)$/.exec(
      text.replace(PASSED_OVER, ""),
    );
  assert.ok(match, `cannot read ${text}`);
  const [, type = "", name = "", value = "", rate = "1", tags = "", rest = ""] = match;
  const fields = new Map(
    rest
      .trim()
      .split(" ")
      .map((field) => field.split("=") as [string, string]),
  );
  const ofSink = ["device", "host"].flatMap((key) => (fields.has(key) ? [`${key}:${fields.get(key)}`] : []));
  const timestamp = fields.get("ts");
  return {
    type: ["histogram", "distribution"].includes(type) ? "timer" : type,
    name,
    values: value.startsWith("[") ? value.slice(1, -1).split(",") : [value],
    rate: Number(rate),
    tags: [...(tags === "" ? [] : tags.split(", ")), ...ofSink].sort(),
    ...(timestamp !== undefined && { timestamp: Number(timestamp) }),
  };
}

/** The same of a series that came out. */
function describe(series: DecodedSeries): Omit<Wanted, "rate" | "timestamp"> {
  const text = Buffer.from(series.key, "latin1").toString("utf8");
  const [name = "", ...tags] = text.split(";");
  const written = tags.map((tag) => tag.replace("=", ":")).sort();
  const values =
    series.type === "set"
      ? series.members.map((member) => JSON.stringify(Buffer.from(member, "latin1").toString("utf8")))
      : series.type === "timer"
        ? series.samples.map(({ value }) => String(value))
        : [String(series.value)];
  return { type: series.type, name, values, tags: written };
}

const rows = readTsvVectors("dogstatsd.tsv").filter(({ input }) => !/^(?:_e\{|_sc\|)/.test(input!));

for (const debug of [true, false]) {
  test(`DogStatsD's parser vectors, ${debug ? "debug" : "release"} kernel`, async () => {
    for (const { id, input, recommended } of rows) {
      const reading = { ...DEFAULT_READING, dialect: "dogstatsd", sanitize: "off" } as const;
      const intake = await newIntake({ debug, reading, lateWindowMs: 1e12 });
      const datagram = Buffer.from(input!.replaceAll("\\n", "\n").replaceAll("\\r", "\r"));
      const { reasons } = outcome(intake, [datagram]);
      const found = intake.frames.flatMap((frame) =>
        decodeFrame(frame).map((series) => ({ series, interval: readLabel(frame)!.interval })),
      );
      const parts = recommended === "nothing" ? [] : recommended!.split(" ; ");
      const rejects = parts.filter((part) => part.startsWith("reject:")).map((part) => part.slice(7));
      assert.equal(reasons.length, rejects.length, `${id} ${input}: ${reasons.join(" ")}`);
      rejects.forEach((word, index) => {
        assert.ok(REASONS[word]?.includes(reasons[index]!), `${id} ${input}: ${word}, not ${reasons[index]}`);
      });
      const wanted = parts.filter((part) => !part.startsWith("reject:")).map(readWanted);
      assert.equal(found.length, wanted.length, `${id} ${input}`);
      wanted.forEach(({ rate, timestamp, ...metric }, index) => {
        const { series, interval } = found[index]!;
        const scale = metric.type === "counter" ? rate : 1;
        const values =
          metric.type === "set" ? metric.values : metric.values.map((one) => String(Number(one) / scale));
        assert.deepEqual(describe(series), { ...metric, values }, `${id} ${input}`);
        if (metric.type === "timer")
          for (const { weight } of series.samples) assert.equal(weight, 1 / rate, id);
        const atMs = timestamp === undefined ? TEST_NOW_MS : timestamp * 1000;
        assert.equal(interval, Math.floor(atMs / 10_000), `${id} ${input}`);
      });
    }
  });
}
