/**
 * A plain model of the relay's kernel and the rules it asks for. Strings in latin1 stand for bytes, regular
 * expressions find what a line is made of, a packet is a string; nothing of the kernel's ways.
 *
 *   datagram -> lines -> clean -> targets -> thin -> rewrite -> packets
 */
import type { Plan, RoutePlan } from "../../relay/plan.ts";
import {
  DROP_CARDINALITY,
  DROP_COUNT,
  DROP_FILTERED,
  DROP_INVALID,
  DROP_NO_ROUTE,
  DROP_SAMPLED,
  DROP_TOO_LONG,
} from "../../shared/kernel/relay-codes.ts";
import { STATE_DROP, STATE_SKIP } from "../../shared/kernel/ring-codes.ts";
import type { Packet } from "./packets.ts";
import { modelChoice, modelHash } from "./ring-model.ts";
import { fits, isAllowed, readName, renamed } from "./rule-model.ts";

const LINE_BYTES_MAX = 65_536;
const TAGS_MAX = 256;
const EVENT = /^(?:_e\{|_sc\|)/;
const STATSD_LINE = /^[^:]+:[^|]+\|(?:ms|[cghdsm])(?=[|:\r]|$)/;
/** A value up to the type of its only sample, which has a rate or can get one. */
const RATED_HEAD = /^:[^|]*\|(?:ms|[chdm])(?=[|\r]|$)/;
const DECIMAL = /^(?=[\d.]{1,32}$)(?=\.?\d)(\d*)(?:\.(\d*))?$/;

interface Line {
  readonly name: string;
  /** From the colon on. */
  readonly value: string;
}

interface Target {
  readonly route: RoutePlan;
  readonly destination: number;
  /** The name as it leaves, but for what the route puts around it. */
  readonly name: string;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

function mix64(word: bigint): bigint {
  let z = BigInt.asUintN(64, word);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** Carriage returns at the end of a text. A regular expression would take quadratic time. */
function returnsAtEnd(text: string): number {
  let count = 0;
  while (text.at(-1 - count) === "\r") count += 1;
  return count;
}

/** What a rate of a line becomes; undefined where it stays as it is. */
function shifted(rate: string, places: number): string | undefined {
  const [, whole, fraction = ""] = DECIMAL.exec(rate) ?? [];
  if (whole === undefined) return undefined;
  const digits = whole.padStart(places, "0");
  return `0${digits.slice(0, digits.length - places)}.${digits.slice(digits.length - places)}${fraction}`;
}

/** A kernel. Names that it is asked about must not share places of its memory, if it thins them out. */
export class RelayModel {
  readonly packets: Packet[] = [];
  received = 0;
  accepted = 0;
  copied = 0;
  own = 0;
  noColon = 0;
  cut = 0;
  /** By DROP code. */
  readonly dropped = new Array<number>(DROP_COUNT).fill(0);
  /** By destination: lines, those that it did not get among them, and those in its open packet. */
  readonly routed: number[];
  readonly down: number[];
  readonly waiting: number[];
  readonly #plan: Plan;
  readonly #open: string[];
  #states: readonly number[] = [];
  #verdicts = new Map<string, readonly Target[] | number>();
  readonly #capped = new Map<string, Set<string>>();
  #lineCounts = new Map<string, number>();
  #chance: bigint;
  #acceptedBefore = 0;

  /** hashSeed: what the kernel is given. */
  constructor(plan: Plan, hashSeed: bigint) {
    this.#plan = plan;
    this.routed = plan.destinations.map(() => 0);
    this.down = plan.destinations.map(() => 0);
    this.waiting = plan.destinations.map(() => 0);
    this.#open = plan.destinations.map(() => "");
    this.#chance = mix64(hashSeed) | 1n;
  }

  /** STATE codes by index of the destination. */
  setStates(states: readonly number[]): void {
    const wasSkipped = (index: number) => this.#states[index] === STATE_SKIP;
    const isPlacing = states.some((state, index) => (state === STATE_SKIP) !== wasSkipped(index));
    this.#states = states;
    if (isPlacing) this.forgetNames();
  }

  forgetNames(): void {
    this.#verdicts.clear();
    this.#lineCounts.clear();
  }

  /** isCut: it was longer than its slot. */
  consume(datagram: Buffer, isCut: boolean): void {
    let text = datagram.toString("latin1");
    if (isCut) {
      this.received += 1;
      this.cut += 1;
      text = text.slice(0, text.lastIndexOf("\n") + 1);
    }
    for (const piece of text.split("\n")) {
      let first = 0;
      while (piece[first] === "\r" || piece[first] === "\0") first += 1;
      const line = piece.slice(first);
      if (line !== "") this.#take(line);
    }
  }

  #take(text: string): void {
    this.received += 1;
    const colon = text.indexOf(":");
    if (colon < 0) {
      this.noColon += 1;
      return;
    }
    const cleaned = this.#clean({ name: text.slice(0, colon), value: text.slice(colon) });
    const reason = typeof cleaned === "number" ? cleaned : this.#route(cleaned);
    if (reason !== undefined) this.dropped[reason]! += 1;
  }

  /** Sends a line, or returns why not. */
  #route(cleaned: Line): number | undefined {
    const targets = this.#verdict(cleaned.name);
    const line = this.#thin(cleaned, typeof targets !== "number");
    if (typeof targets === "number") return targets;
    if (line === undefined) return DROP_SAMPLED;
    this.accepted += 1;
    this.copied += targets.length - 1;
    for (const target of targets) this.#send(target, line);
    return undefined;
  }

  #clean(line: Line): Line | number {
    const { isTrimming, isValidating, tagFormat } = this.#plan;
    const { name } = line;
    const value = isTrimming ? line.value.slice(0, line.value.length - returnsAtEnd(line.value)) : line.value;
    const isEvent = EVENT.test(name + value);
    if (isValidating && !isEvent && !STATSD_LINE.test(name + value)) return DROP_INVALID;
    const [section] = /\|#[^|\r]*/.exec(value) ?? [];
    if (tagFormat === "keep" || isEvent || section === undefined) return { name, value };
    const tags = section
      .slice(2)
      .split(",")
      .filter((tag) => tag !== "");
    const bytesMax = name.length + value.length + tags.length * 8;
    if (tags.length > TAGS_MAX || bytesMax > LINE_BYTES_MAX) return DROP_TOO_LONG;
    const mark = tagFormat === "graphite" ? ";" : ".__";
    const special = tagFormat === "graphite" ? /[:;=]/g : /[:;=.]/g;
    const parts = tags.sort().map((tag) => {
      const [, key = "", tagValue = ""] = /^([^:]*):?(.*)$/s.exec(tag) ?? [];
      return `${mark}${key.replace(special, "_")}=${tagValue.replace(special, "_") || "true"}`;
    });
    return { name: name + parts.join(""), value: value.replace(section, () => "") };
  }

  #verdict(name: string): readonly Target[] | number {
    const known = this.#verdicts.get(name);
    if (known !== undefined) return known;
    const verdict = this.#judge(name);
    this.#verdicts.set(name, verdict);
    return verdict;
  }

  #judge(name: string): readonly Target[] | number {
    const { routes, rules } = this.#plan;
    const { text } = readName(name);
    const known = this.#namesOfCap(name);
    if (known !== undefined && !known.names.has(name) && known.names.size >= known.count) {
      return DROP_CARDINALITY;
    }
    const targets: Target[] = [];
    let isFiltered = false;
    const filters = [rules?.main, ...(rules?.routes ?? [])];
    for (const [index, route] of [...routes.entries()].slice(1).concat([[0, routes[0]!]])) {
      const filter = filters[index];
      const match = index === 0 ? [] : (rules?.routes[index - 1]?.match ?? []);
      if (match.length > 0 && !fits(match, text)) continue;
      if (filter !== undefined && !isAllowed(filter, text)) {
        isFiltered = true;
        continue;
      }
      if (!this.#isInShare(route, name)) continue;
      const leaving = filter === undefined ? name : renamed(name, filter.rename);
      for (const destination of this.#choose(route, leaving)) {
        targets.push({ route, destination, name: leaving });
      }
      if (route.isMoving && index > 0) break;
    }
    if (targets.length === 0) return isFiltered ? DROP_FILTERED : DROP_NO_ROUTE;
    known?.names.add(name);
    return targets;
  }

  #namesOfCap(name: string): { readonly names: Set<string>; readonly count: number } | undefined {
    const caps = (this.#plan.rules?.caps ?? [])
      .filter(({ prefix }) => name === prefix || new RegExp(`^${prefix}[.;,]`).test(name))
      .sort((one, other) => other.prefix.length - one.prefix.length);
    const [cap] = caps;
    if (cap === undefined) return undefined;
    const names = this.#capped.get(cap.prefix) ?? new Set();
    this.#capped.set(cap.prefix, names);
    return { names, count: cap.count };
  }

  #isInShare({ sharePercent }: RoutePlan, name: string): boolean {
    if (sharePercent >= 100) return true;
    const hash = mix64(modelHash("fnv1a-jump", bytesOf(name))) >> 32n;
    return hash < BigInt(Math.floor((sharePercent / 100) * 2 ** 32));
  }

  #choose(route: RoutePlan, name: string): number[] {
    const first = route.buckets[0]! - route.ring.buckets[0]!;
    const isSkipped = this.#plan.destinations.map((_, index) => this.#states[index] === STATE_SKIP);
    const key = bytesOf(nameAround(route, name));
    return modelChoice(route.ring, key, isSkipped.slice(first)).map((index) => first + index);
  }

  /** Returns the line as it goes on, or undefined. */
  #thin(line: Line, isSent: boolean): Line | undefined {
    const { thinThreshold, thinPlaces } = this.#plan;
    if (thinThreshold === 0) return line;
    const count = (this.#lineCounts.get(line.name) ?? 0) + 1;
    this.#lineCounts.set(line.name, count);
    const head = RATED_HEAD.exec(line.value)?.[0];
    if (count <= thinThreshold || !isSent || head === undefined) return line;
    const rest = line.value.slice(head.length);
    const [mark, rate] = /\|@([^|\r]*)/.exec(rest) ?? [];
    const newRate = shifted(rate ?? "1", thinPlaces);
    if (newRate === undefined) return line;
    if (this.#random() >= Math.trunc(2 ** 32 / 10 ** thinPlaces)) return undefined;
    const rated = mark === undefined ? `|@${newRate}${rest}` : rest.replace(mark, () => `|@${newRate}`);
    return { name: line.name, value: head + rated };
  }

  #random(): number {
    let chance = this.#chance ^ (this.#chance >> 12n);
    chance = BigInt.asUintN(64, chance ^ (chance << 25n));
    chance ^= chance >> 27n;
    this.#chance = chance;
    return Number(BigInt.asUintN(64, chance * 0x2545f4914f6cdd1dn) >> 32n);
  }

  #send({ route, destination, name }: Target, { value }: Line): void {
    const leaving = `${nameAround(route, name)}${this.#tagged(route, name, value)}\n`;
    this.#append(destination, leaving, this.#plan.isStrict ? leaving.length : name.length + value.length);
  }

  /** A value with the tags of its route. */
  #tagged({ tags }: RoutePlan, name: string, value: string): string {
    if (tags === "") return value;
    if (!this.#plan.isTagsInSection) return `${value}${/\|#/.test(name + value) ? "," : "|#"}${tags}`;
    const [section] = /\|#[^|\r]*/.exec(value) ?? [];
    if (section === undefined) {
      const end = value.length - returnsAtEnd(value);
      return `${value.slice(0, end)}|#${tags}${value.slice(end)}`;
    }
    return value.replace(section, () => `${section}${section === "|#" ? "" : ","}${tags}`);
  }

  /** counted: bytes of the text that count for packetlen. */
  #append(destination: number, text: string, counted: number): void {
    this.routed[destination]! += 1;
    if (this.#states[destination] === STATE_DROP) {
      this.down[destination]! += 1;
      return;
    }
    if (this.#open[destination]!.length + counted > this.#plan.packetlen) this.#seal(destination);
    this.#open[destination] += text;
    this.waiting[destination]! += 1;
  }

  #seal(destination: number): void {
    const text = this.#open[destination]!;
    if (text !== "") this.packets.push({ destination, payload: bytesOf(text) });
    this.#open[destination] = "";
    this.waiting[destination] = 0;
  }

  /** A line of the relay's own, without its line feed. nameBytes: what of it is the name. */
  ownLine(text: string, nameBytes: number): void {
    this.own += 1;
    const main = this.#plan.routes[0]!;
    const [destination] = this.#choose({ ...main, prefix: "", suffix: "" }, text.slice(0, nameBytes));
    this.#append(destination!, `${text}\n`, text.length + 1);
  }

  flush(): void {
    const accepted = this.accepted - this.#acceptedBefore;
    this.#acceptedBefore = this.accepted;
    const name = `${this.#plan.prefix}.statsProcessed`;
    if (accepted > 0) this.ownLine(`${name}:${accepted}|c`, name.length);
    this.#lineCounts.clear();
    for (const destination of this.#open.keys()) this.#seal(destination);
  }
}

/** A name as it leaves along a route. */
function nameAround({ prefix, suffix }: RoutePlan, name: string): string {
  const before = prefix === "" ? "" : `${prefix}.`;
  return before + name.replace(/^[^;,]*/, (base) => (suffix === "" ? base : `${base}.${suffix}`));
}
