/**
 * An independent reader of lines, for comparison with the kernel: it works on strings, by the grammar of the
 * dialects, and shares nothing with the code under test.
 */
import type { ReadingOptions } from "../../aggregator/reading.ts";
import type { MetricType } from "../../shared/metric.ts";

/** What a line says, once for each of its values. */
export interface ReadSample {
  readonly key: string;
  readonly type: MetricType;
  readonly value: number;
  /** Of a set. */
  readonly member: string;
  readonly weight: number;
  readonly isChange: boolean;
  /** Seconds since 1970; 0 for now. */
  readonly timestamp: number;
}

const NUMBER = /^(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const RATE = /^\+?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const STRICT_RATE = /^\d+(?:\.\d+)?(?:e[+-]?\d+)?$/;

/** Most bytes of a name and of the tags of a line, as sent. */
export interface LineBounds {
  readonly nameBytesMax: number;
  readonly tagsBytesMax: number;
}

const MEMBER_BYTES_MAX = 1024;
const TAGS_MAX = 256;

interface Sections {
  rate: number;
  tags: string[] | undefined;
  timestamp: number;
}

/**
 * Reads one line without its line feed. text: one character for each byte. Returns undefined for one to
 * refuse.
 */
export function readTestLine(text: string, options: ReadingOptions & LineBounds): ReadSample[] | undefined {
  const line = text.endsWith("\r") ? text.slice(0, -1) : text;
  const colon = line.indexOf(":");
  if (colon < 0) return undefined;
  const name = line.slice(0, colon);
  if (options.dialect === "dogstatsd" && name.includes("|")) return undefined;
  const samples: ReadSample[] = [];
  let rest: string | undefined = line.slice(colon + 1);
  while (rest !== undefined) {
    const segment = readSegment(name, rest, options);
    if (segment === undefined) return undefined;
    samples.push(...segment.samples);
    rest = segment.rest;
  }
  return samples;
}

/** Reads `values|type|sections`, up to a colon behind the type, where the dialect has segments. */
function readSegment(name: string, text: string, options: ReadingOptions & LineBounds) {
  const isStrict = options.dialect === "bioyino";
  const hasSegments = options.dialect === "auto" || options.dialect === "statsd";
  const pipe = text.indexOf("|");
  if (pipe <= 0) return undefined;
  const values = text.slice(0, pipe);
  let rest = text.slice(pipe + 1);
  const wordEnd = rest.search(hasSegments ? /[|:]/ : /\|/);
  const word = wordEnd < 0 ? rest : rest.slice(0, wordEnd);
  const type = typeOf(word, options);
  if (type === undefined) return undefined;
  rest = wordEnd < 0 ? "" : rest.slice(wordEnd);
  const sections: Sections = { rate: 1, tags: undefined, timestamp: 0 };
  let hasRate = false;
  while (rest.startsWith("|")) {
    const isRate = rest[1] === "@";
    const isStamp = rest[1] === "T" && !isStrict;
    // Rates and timestamps have no colons, so one behind them begins a segment.
    const end = rest.slice(1).search(isRate || isStamp ? /[|:]/ : /\|/);
    const section = end < 0 ? rest.slice(1) : rest.slice(1, end + 1);
    rest = end < 0 ? "" : rest.slice(end + 1);
    if (isRate) {
      if (hasRate || !(isStrict ? STRICT_RATE : RATE).test(section.slice(1))) return undefined;
      hasRate = true;
      sections.rate = Number(section.slice(1));
      if (!(sections.rate > 0 && sections.rate <= 1 && Number.isFinite(1 / sections.rate))) return undefined;
    } else if (isStrict) return undefined;
    else if (section.startsWith("#")) {
      if (sections.tags !== undefined) return undefined;
      sections.tags = section.slice(1).split(",");
    } else if (isStamp) {
      if (!/^\d{1,10}$/.test(section.slice(1)) || Number(section.slice(1)) === 0) return undefined;
      sections.timestamp = Number(section.slice(1));
    }
  }
  if (rest.startsWith(":") && !hasSegments) return undefined;
  const samples = readValues(name, values, type, sections, options);
  return samples && { samples, rest: rest.startsWith(":") ? rest.slice(1) : undefined };
}

function typeOf(word: string, { dialect, unknownType }: ReadingOptions): MetricType | undefined {
  const known: Record<string, MetricType> = { c: "counter", g: "gauge", ms: "timer", h: "timer", s: "set" };
  if (dialect !== "bioyino") known.d = "timer";
  if (dialect === "auto" || dialect === "statsd") known.m = "counter";
  if (Object.hasOwn(known, word)) return known[word];
  return word !== "" && unknownType === "counter" && dialect !== "bioyino" ? "counter" : undefined;
}

function readValues(
  name: string,
  text: string,
  type: MetricType,
  { rate, tags, timestamp }: Sections,
  options: ReadingOptions & LineBounds,
): ReadSample[] | undefined {
  const keys = keysOf(name, tags, options);
  if (keys === undefined) return undefined;
  const weight = 1 / rate;
  const stamp = type === "counter" || type === "gauge" ? timestamp : 0;
  const common = { type, weight, timestamp: stamp };
  if (type === "set") {
    if (text.length > MEMBER_BYTES_MAX) return undefined;
    return keys.map((key) => ({ ...common, key, value: 0, member: text, isChange: false }));
  }
  const parts = options.dialect === "bioyino" ? [text] : text.split(":").filter((part) => part !== "");
  const samples = parts.flatMap((part) => {
    const hasSign = /^[+-]/.test(part);
    const digits = hasSign ? part.slice(1) : part;
    const number = NUMBER.test(digits) ? Number(digits) * (part.startsWith("-") ? -1 : 1) : Number.NaN;
    const value = type === "counter" ? number / rate : number;
    if (!Number.isFinite(type === "timer" ? value * weight : value)) return [undefined];
    const isChange = hasSign && type === "gauge" && options.dialect !== "dogstatsd";
    return keys.map((key) => ({ ...common, key, value, member: "", isChange }));
  });
  if (samples.length === 0 || samples.includes(undefined)) return undefined;
  return samples as ReadSample[];
}

/** The key, and before it the one without tags where a copy is wanted. */
function keysOf(
  name: string,
  dogTags: readonly string[] | undefined,
  options: ReadingOptions & LineBounds,
): string[] | undefined {
  let whole = name;
  if (options.influxTags && !name.includes(";")) whole = name.replaceAll(",", ";");
  const semicolon = whole.indexOf(";");
  if (semicolon === 0 || whole === "" || semicolon === whole.length - 1) return undefined;
  let bare = semicolon < 0 ? whole : whole.slice(0, semicolon);
  const own = semicolon < 0 ? [] : whole.slice(semicolon + 1).split(";");
  const tagsBytes = own.join(";").length + (dogTags ?? []).join(",").length;
  if (bare.length > options.nameBytesMax || tagsBytes > options.tagsBytesMax) return undefined;
  const more = (dogTags ?? [])
    .map((tag) => {
      const at = tag.search(/[:=]/);
      const split = at < 0 ? tag : `${tag.slice(0, at)}=${tag.slice(at + 1)}`;
      return options.sanitize === "etsy" ? split.replace(";", "_") : split.replaceAll(";", "_");
    })
    .filter((tag) => tag !== "" && !/^veneur(?:local|global)only(?:=.*)?$/.test(tag));
  const clean = cleaner(options);
  // Cleaning sees name and tags as one text, so that runs of blanks do not end at a tag.
  const text = [bare, ...own, ...more].join(";");
  const cleaned = clean(text);
  if (cleaned === undefined) return undefined;
  const [first = "", ...parts] = cleaned.split(";");
  bare = first;
  if (bare === "") return undefined;
  let tags = parts.filter((tag) => tag !== "").sort(compareBytes);
  if (tags.length > TAGS_MAX) return undefined;
  if (dogTags !== undefined) tags = [...new Set(tags)];
  // Where all its tags are empty, a key is still one with tags.
  const key = [bare, ...(parts.length > 0 && tags.length === 0 ? [""] : tags)].join(";");
  return options.untaggedCopy && key !== bare ? [bare, key] : [key];
}

function cleaner({ sanitize }: ReadingOptions): (text: string) => string | undefined {
  if (sanitize === "off") return (text) => (decode(text) === undefined ? undefined : text);
  if (sanitize === "etsy") {
    return (text) =>
      text
        .replace(/[ \t\v\f\r]+/g, "_")
        .replaceAll("/", "-")
        .replace(/[^A-Za-z0-9_\-.;=]/g, "");
  }
  return (bytes) => {
    const text = decode(bytes);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
    if (text === undefined || /[\0-\x08\x0b-\x1f\x7f-\x84\x86-\x9f]/.test(text)) return undefined;
    // What JavaScript calls white space, but for the byte order mark, and with the next line.
    return Buffer.from(text.replace(/(?!\ufeff)[\s\x85]/g, "_")).toString("latin1");
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes UTF-8 given with one character for each byte; undefined for what is none. */
function decode(bytes: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(bytes, "latin1"));
  } catch {
    return undefined;
  }
}

function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
