/**
 * Random statsd lines with what they mean, and a plain model of aggregation that shares nothing with the
 * kernel.
 */
import fc from "fast-check";

export interface TestLine {
  readonly text: string;
  readonly key: string;
  readonly type: "counter" | "gauge" | "timer" | "set";
  readonly value: number;
  readonly isRelative: boolean;
  readonly weight: number;
  readonly member: string;
}

const nameArbitrary = fc
  .array(fc.constantFrom("a", "b", "web", "é", "x-1", "__proto__", "constructor", "0"), {
    minLength: 1,
    maxLength: 3,
  })
  .map((parts) => parts.join("."));
const tagArbitrary = fc.constantFrom("k=v", "a=1", "zone=eu", "b=", "a-b=2");
const rateArbitrary = fc.constantFrom(1, 1, 1, 0.5, 0.25, 0.125);
/** Multiples of 1/8 add up exactly in any order. */
const valueArbitrary = fc.integer({ min: -80_000, max: 80_000 }).map((eighths) => eighths / 8);

export const lineArbitrary: fc.Arbitrary<TestLine> = fc
  .record({
    name: nameArbitrary,
    tags: fc.array(tagArbitrary, { maxLength: 3 }),
    letter: fc.constantFrom("c", "g", "ms", "h", "s"),
    value: valueArbitrary,
    isRelative: fc.boolean(),
    rate: rateArbitrary,
  })
  .map(({ name, tags, letter, value, isRelative, rate }) => {
    const type = { c: "counter", g: "gauge", ms: "timer", h: "timer", s: "set" }[letter] as TestLine["type"];
    const sorted = [...tags].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const isSigned = type === "gauge" && isRelative;
    const magnitude = type === "gauge" && !isSigned ? Math.abs(value) : value;
    const number = isSigned && magnitude >= 0 ? `+${magnitude}` : String(magnitude);
    const suffix = rate === 1 ? "" : `|@${rate}`;
    return {
      text: `${[name, ...tags].join(";")}:${number}|${letter}${suffix}`,
      key: [name, ...sorted].join(";"),
      type,
      value: magnitude,
      isRelative: isSigned,
      weight: 1 / rate,
      member: number,
    };
  });

/** What one series should hold after some lines, in order. */
export interface ModelSeries {
  updates: number;
  weight: number;
  sum: number;
  level: number;
  samples: { value: number; weight: number }[];
  members: Set<string>;
  last: number;
}

/** Aggregates lines one by one, by `type key`. */
export function aggregateModel(lines: readonly TestLine[]): Map<string, ModelSeries> {
  const model = new Map<string, ModelSeries>();
  for (const line of lines) {
    const id = `${line.type} ${line.key}`;
    const series = model.get(id) ?? {
      updates: 0,
      weight: 0,
      sum: 0,
      level: 0,
      samples: [],
      members: new Set<string>(),
      last: 0,
    };
    model.set(id, series);
    series.updates += 1;
    series.weight += line.weight;
    series.sum += line.value * line.weight;
    series.level = line.isRelative ? series.level + line.value : line.value;
    series.samples.push({ value: line.value, weight: line.weight });
    series.members.add(line.member);
    series.last = line.value;
  }
  return model;
}
