/**
 * A model of aggregation in plain TypeScript, for comparison: it reads lines by their own text and keeps
 * every event until the numbers of an interval are asked for. It shares nothing with the product.
 */

export type ModelType = "counter" | "gauge" | "timer" | "set";

const TYPES: Readonly<Record<string, ModelType>> = {
  c: "counter",
  m: "counter",
  g: "gauge",
  ms: "timer",
  h: "timer",
  d: "timer",
  s: "set",
};

/** One value of one line. */
interface ModelEvent {
  readonly text: string;
  readonly value: number;
  readonly weight: number;
  /** When its batch came; no two batches have the same. */
  readonly stampMs: number;
  /** The snapshot that it went into. */
  readonly snapshot: string;
}

/** How much a number may differ: nothing, or this share of the magnitudes that it was added up from. */
export interface ModelNumber {
  readonly value: number;
  readonly slack: number;
}

/** What a model works by, as the configuration has it. */
export interface ModelOptions {
  readonly intervalSec: number;
  readonly rate: "value" | "samples";
  readonly weights: boolean;
}

const RELATIVE = 1e-12;
const exact = (value: number): ModelNumber => ({ value, slack: 0 });
const near = (value: number, magnitude = Math.abs(value)): ModelNumber => ({
  value,
  slack: magnitude * RELATIVE,
});

/** All that was received in one interval. */
export class AggregationModel {
  readonly #options: ModelOptions;
  readonly #before: AggregationModel | undefined;
  readonly #series = new Map<string, ModelEvent[]>();

  /** before: the interval before, from whose levels gauges go on that are only changed. */
  constructor(options: ModelOptions, before?: AggregationModel) {
    this.#options = options;
    this.#before = before;
  }

  /** Series as `type key`. */
  get ids(): string[] {
    return [...this.#series.keys()];
  }

  /** Values taken. */
  get sampleCount(): number {
    return [...this.#series.values()].reduce((sum, events) => sum + events.length, 0);
  }

  /** Takes a line `name;tag=v:1:2|type|@rate|#tag:v`. snapshot: tells the intake's snapshots apart. */
  take(line: string, stampMs: number, snapshot: string): void {
    const [head, letters, ...sections] = line.split("|");
    const [name, ...values] = head!.split(":");
    const [bare, ...tags] = name!.split(";");
    const rateText = sections.find((section) => section.startsWith("@"))?.slice(1) ?? "1";
    const more =
      sections
        .find((section) => section.startsWith("#"))
        ?.slice(1)
        .split(",") ?? [];
    const sorted = [...tags, ...more.map((tag) => tag.replace(":", "="))].sort((a, b) =>
      Buffer.compare(Buffer.from(a), Buffer.from(b)),
    );
    const id = `${TYPES[letters!]} ${[bare, ...sorted].join(";")}`;
    const events = this.#series.get(id) ?? [];
    this.#series.set(id, events);
    for (const text of values) {
      events.push({ text, value: Number(text), weight: 1 / Number(rateText), stampMs, snapshot });
    }
  }

  /** The number of an aggregate of a series; undefined where it has none. */
  read(id: string, aggregate: string): ModelNumber | undefined {
    const events = this.#series.get(id)!;
    const weight = events.reduce((sum, event) => sum + event.weight, 0);
    const { intervalSec, rate } = this.#options;
    if (aggregate === "updates") return exact(events.length);
    if (aggregate === "sample-rate") return near(weight / intervalSec);
    const type = id.slice(0, id.indexOf(" ")) as ModelType;
    if (type === "counter") {
      const sum = near(
        events.reduce((total, event) => total + event.value * event.weight, 0),
        events.reduce((total, event) => total + Math.abs(event.value) * event.weight, 0),
      );
      if (aggregate === "value") return sum;
      if (aggregate !== "rate") return undefined;
      if (rate === "samples") return near(weight / intervalSec);
      return { value: sum.value / intervalSec, slack: sum.slack / intervalSec };
    }
    if (aggregate === "rate") return near(weight / intervalSec);
    if (type === "gauge") return aggregate === "value" ? this.#level(id) : undefined;
    if (type === "set") {
      return aggregate === "count" ? exact(new Set(events.map(({ text }) => text)).size) : undefined;
    }
    if (aggregate === "count") return near(weight);
    // The last by time; within a batch the one that came last.
    const latest = Math.max(...events.map(({ stampMs }) => stampMs));
    if (aggregate === "last") return exact(events.filter(({ stampMs }) => stampMs === latest).at(-1)!.value);
    return readTimer(events, aggregate, this.#options.weights);
  }

  /** The level of a gauge at the end of this interval. */
  #level(id: string): ModelNumber {
    const events = this.#series.get(id);
    const before = this.#before === undefined ? exact(0) : this.#before.#level(id);
    return events === undefined ? before : gaugeLevel(events, before);
  }
}

/**
 * The merge law of gauges: of each snapshot the last absolute value, with the changes behind it there; and
 * changes of snapshots that had no absolute value before them: these are free, and those of one snapshot
 * count together, at the time of the last. The newest absolute counts, and free changes that are younger.
 */
function gaugeLevel(events: readonly ModelEvent[], before: ModelNumber): ModelNumber {
  const isChange = ({ text }: ModelEvent) => /^[+-]/.test(text);
  let newest = { stampMs: -1, level: before.value };
  const free: { stampMs: number; change: number }[] = [];
  for (const snapshot of new Set(events.map((event) => event.snapshot))) {
    let absolute: { stampMs: number; level: number } | undefined;
    const together = { stampMs: 0, change: 0 };
    for (const event of events.filter((one) => one.snapshot === snapshot)) {
      if (!isChange(event)) absolute = { stampMs: event.stampMs, level: event.value };
      else if (absolute !== undefined) absolute.level += event.value;
      else {
        together.stampMs = event.stampMs;
        together.change += event.value;
      }
    }
    free.push(together);
    if (absolute !== undefined && absolute.stampMs > newest.stampMs) newest = absolute;
  }
  const younger = free.filter(({ stampMs }) => stampMs > newest.stampMs);
  const level = younger.reduce((sum, { change }) => sum + change, newest.level);
  const added = near(
    level,
    events.reduce((sum, { value }) => sum + Math.abs(value), 0),
  );
  return { value: level, slack: before.slack + added.slack };
}

interface Sample {
  readonly value: number;
  readonly weight: number;
}

/** Tells the zero below from the zero above. */
const signOf = ({ value }: Sample) => (Object.is(value, -0) ? -1 : 1) * (value === 0 ? 1 : 0);

/** Sums run over the samples in order, so they come out the same to the last bit. */
function readTimer(
  events: readonly ModelEvent[],
  aggregate: string,
  weights: boolean,
): ModelNumber | undefined {
  const samples = events
    .map(({ value, weight }): Sample => ({ value, weight: weights ? weight : 1 }))
    .sort((a, b) => a.value - b.value || signOf(a) - signOf(b) || a.weight - b.weight);
  const add = (term: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + term(sample), 0);
  const total = add(({ value, weight }) => value * weight);
  const weightSum = add(({ weight }) => weight);
  const mean = total / weightSum;
  switch (aggregate) {
    case "min":
      return exact(samples[0]!.value);
    case "max":
      return exact(samples.at(-1)!.value);
    case "sum":
      return exact(total);
    case "mean":
      return exact(mean);
    case "sum-squares":
      return exact(add(({ value, weight }) => value * value * weight));
    case "std":
      return exact(
        Math.sqrt(add(({ value, weight }) => (value - mean) * (value - mean) * weight) / weightSum),
      );
    case "hmean":
      return samples.some(({ value }) => value <= 0)
        ? undefined
        : exact(weightSum / add(({ value, weight }) => weight / value));
    case "median":
      return percentile(samples, 0.5);
  }
  const [, stem, number] = /^(.*?)-?(?:percentile-|p|top|bin-)([\d.]+|inf)$/.exec(aggregate)!;
  if (aggregate.startsWith("percentile-")) return percentile(samples, Number(number) / 100);
  if (aggregate.startsWith("bin-")) return undefined;
  const isTop = aggregate.includes("-top");
  return part(isTop ? samples.toReversed() : samples, stem!, Number(number), weightSum);
}

/** Linear between neighbours, which lie the mean of their weights apart. */
function percentile(samples: readonly Sample[], fraction: number): ModelNumber {
  const places = [0];
  for (let i = 1; i < samples.length; i++) {
    places.push(places[i - 1]! + (samples[i - 1]!.weight + samples[i]!.weight) / 2);
  }
  const target = fraction * places.at(-1)!;
  const above = places.findIndex((place) => place >= target);
  const magnitude = Math.max(Math.abs(samples[0]!.value), Math.abs(samples.at(-1)!.value));
  if (above <= 0) return near(samples[above]?.value ?? samples.at(-1)!.value, magnitude * samples.length);
  const share = (target - places[above - 1]!) / (places[above]! - places[above - 1]!);
  const [low, high] = [samples[above - 1]!.value, samples[above]!.value];
  // The place of the target has an error of its own, which counts in proportion to the slope there.
  return near(low + (high - low) * share, magnitude * samples.length);
}

/** etsy's thresholds: of the first samples so many as make up the share, a sample counting by its weight. */
function part(
  samples: readonly Sample[],
  stem: string,
  percent: number,
  weightSum: number,
): ModelNumber | undefined {
  let left = samples.length === 1 ? weightSum : Math.floor((percent / 100) * weightSum + 0.5);
  if (left === 0) return undefined;
  const taken: Sample[] = [];
  for (const { value, weight } of samples) {
    if (left <= weightSum * 1e-12) break;
    taken.push({ value, weight: Math.min(weight, left) });
    left -= weight;
  }
  const add = (term: (sample: Sample) => number) => taken.reduce((sum, sample) => sum + term(sample), 0);
  const weight = add((sample) => sample.weight);
  const magnitude = add((sample) => Math.abs(sample.value) * sample.weight);
  if (stem === "count") return near(weight, weightSum);
  if (stem === "upper" || stem === "lower") return exact(taken.at(-1)!.value);
  if (stem === "mean") return near(add((one) => one.value * one.weight) / weight, magnitude / weight);
  if (stem === "sum")
    return near(
      add((one) => one.value * one.weight),
      magnitude,
    );
  return near(add((one) => one.value * one.value * one.weight));
}
