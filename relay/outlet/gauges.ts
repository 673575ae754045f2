/**
 * Gauge lines held for a destination that is down: of each gauge the newest absolute value and the changes
 * behind it, since everything older says nothing any more.
 */
import type { Packet } from "./handoff.ts";

/** Memory that a gauge takes beside its text, roughly. */
const GAUGE_OVERHEAD_BYTES = 160;
const LINE_OVERHEAD_BYTES = 32;
const ABSOLUTE = /^[0-9.][0-9.eE+-]*$/;

/** What a line says of a gauge. */
export interface GaugeLine {
  /** Name and tags as they were written. */
  readonly key: string;
  /** Whether the value replaces all before it; one with a sign changes them. */
  readonly isAbsolute: boolean;
}

/** Reads a line without its line feed; undefined when it is no gauge. */
export function readGauge(line: string): GaugeLine | undefined {
  const colon = line.indexOf(":");
  const bar = line.indexOf("|", colon + 1);
  if (colon < 0 || bar < 0) return undefined;
  const end = line.indexOf("|", bar + 1);
  const type = line.slice(bar + 1, end < 0 ? line.length : end);
  if (type !== "g" && type !== "g\r") return undefined;
  const tags = end < 0 ? -1 : line.indexOf("|#", end);
  const value = line.slice(colon + 1, bar);
  return {
    key: tags < 0 ? line.slice(0, colon) : `${line.slice(0, colon)}${line.slice(tags)}`,
    isAbsolute: ABSOLUTE.test(value) && Number.isFinite(Number(value)),
  };
}

/** One gauge's lines, oldest first. */
interface Gauge {
  lines: string[];
  readonly takenMs: number;
  bytes: number;
}

/** Gauges in the order of their oldest line. Text is latin1: one character for each byte. */
export class GaugeTable {
  readonly #gauges = new Map<string, Gauge>();
  #bytes = 0;
  #lines = 0;

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  get lines(): number {
    return this.#lines;
  }

  /** Moment at which the oldest gauge was taken; undefined when there is none. */
  get oldestTakenMs(): number | undefined {
    for (const gauge of this.#gauges.values()) return gauge.takenMs;
    return undefined;
  }

  /** Adds a line, newer than all of its gauge. Returns how many lines it made meaningless. */
  put({ key, isAbsolute }: GaugeLine, line: string, takenMs: number): number {
    const before = this.#gauges.get(key);
    const lineBytes = line.length + LINE_OVERHEAD_BYTES;
    if (before !== undefined && !isAbsolute) {
      before.lines.push(line);
      before.bytes += lineBytes;
      this.#bytes += lineBytes;
      this.#lines++;
      return 0;
    }
    if (before !== undefined) this.#remove(key, before);
    const gauge = { lines: [line], takenMs, bytes: key.length + GAUGE_OVERHEAD_BYTES + lineBytes };
    this.#gauges.set(key, gauge);
    this.#bytes += gauge.bytes;
    this.#lines++;
    return before?.lines.length ?? 0;
  }

  /** Removes the oldest gauge. Returns the number of its lines. */
  dropOldest(): number {
    for (const [key, gauge] of this.#gauges) {
      this.#remove(key, gauge);
      return gauge.lines.length;
    }
    return 0;
  }

  /**
   * Removes the oldest gauges and returns their lines as one packet of about bytesMax bytes and about
   * linesMax lines; more only where a single gauge has more. Undefined when there is none.
   */
  take(bytesMax: number, linesMax: number): Packet | undefined {
    const lines: string[] = [];
    let takenMs: number | undefined;
    let bytes = 0;
    for (const [key, gauge] of this.#gauges) {
      const gaugeBytes = gauge.lines.reduce((sum, line) => sum + line.length + 1, 0);
      if (lines.length > 0 && (bytes + gaugeBytes > bytesMax || lines.length >= linesMax)) break;
      this.#remove(key, gauge);
      takenMs ??= gauge.takenMs;
      bytes += gaugeBytes;
      for (const line of gauge.lines) lines.push(line);
    }
    return takenMs === undefined ? undefined : packLines(lines, takenMs);
  }

  /** Returns all lines as packets of about bytesMax bytes, without removing them. */
  copy(bytesMax: number): Packet[] {
    const packets: Packet[] = [];
    let lines: string[] = [];
    let bytes = 0;
    let takenMs = 0;
    for (const gauge of this.#gauges.values()) {
      if (lines.length === 0) takenMs = gauge.takenMs;
      for (const line of gauge.lines) {
        lines.push(line);
        bytes += line.length + 1;
      }
      if (bytes < bytesMax) continue;
      packets.push(packLines(lines, takenMs));
      lines = [];
      bytes = 0;
    }
    if (lines.length > 0) packets.push(packLines(lines, takenMs));
    return packets;
  }

  #remove(key: string, gauge: Gauge): void {
    this.#gauges.delete(key);
    this.#bytes -= gauge.bytes;
    this.#lines -= gauge.lines.length;
  }
}

function packLines(lines: readonly string[], takenMs: number): Packet {
  return { bytes: Buffer.from(`${lines.join("\n")}\n`, "latin1"), lines: lines.length, takenMs };
}

/** A packet's lines, sorted by whether they are gauges. */
export interface SplitPacket {
  readonly gauges: readonly { readonly gauge: GaugeLine; readonly line: string }[];
  /** Everything else, undefined when there is nothing else. */
  readonly rest: Packet | undefined;
}

/**
 * Takes a packet apart. One without gauges is returned whole, and so is one whose number of lines is not
 * what its sender said: no line may be counted twice or not at all.
 */
export function splitGauges(packet: Packet): SplitPacket {
  const bytes = Buffer.from(packet.bytes.buffer, packet.bytes.byteOffset, packet.bytes.length);
  if (!bytes.includes("|g")) return { gauges: [], rest: packet };
  const lines = bytes
    .toString("latin1")
    .split("\n")
    .filter((line) => line !== "");
  if (lines.length !== packet.lines) return { gauges: [], rest: packet };
  const gauges: { gauge: GaugeLine; line: string }[] = [];
  const others: string[] = [];
  for (const line of lines) {
    const gauge = readGauge(line);
    if (gauge === undefined) others.push(line);
    else gauges.push({ gauge, line });
  }
  if (gauges.length === 0) return { gauges, rest: packet };
  return { gauges, rest: others.length === 0 ? undefined : packLines(others, packet.takenMs) };
}
