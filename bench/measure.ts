/** One measured load: what was sent, what arrived, what it cost. */
import { setTimeout as delay } from "node:timers/promises";
import { pinLoad, pinSubject } from "./pinning.ts";
import {
  hasTcpListener,
  readCpuSeconds,
  readRssBytes,
  readUdpDrops,
  waitUntil,
  waitUntilIdle,
} from "./proc.ts";
import type { Tools } from "./tools.ts";

/** Types of the metrics sent, in equal parts. */
const METRIC_TYPES = "c,ms,g";

/** What is sent. Over TCP a packet is only so many lines: the stream knows nothing of it. */
export interface Load {
  readonly packetsPerSecond: number;
  readonly metricsPerPacket: number;
  readonly series: number;
  readonly seconds: number;
}

/** One run under load. */
export interface Measurement {
  readonly offeredPerSecond: number;
  readonly sentPackets: number;
  readonly sentMetrics: number;
  /** Datagrams that the system dropped at the measured process's socket. */
  readonly kernelDrops: number;
  /** Metrics sent and not seen at the far end; 0 where the far end cannot be asked. */
  readonly lostMetrics: number;
  /** User and system time of all threads from before the load until all of it was worked off. */
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

/** What a process that takes a load is known by. */
export interface Target {
  readonly pid: number;
  /** Port of 127.0.0.1 that it receives on. */
  readonly port: number;
  /** udp if left out. */
  readonly protocol?: "udp" | "tcp";
  /** How long after a load it may still begin work that belongs to it, in milliseconds; 0 if left out. */
  readonly settleMs?: number;
}

/** All runs of one program under the same load. */
export interface Row {
  readonly name: string;
  readonly measurements: Measurement[];
}

/** Several programs under the same load. */
export interface Comparison {
  readonly title: string;
  /** What the first program is called where the others are compared with it. */
  readonly baseline: "floor" | "plain" | undefined;
  readonly rows: readonly Row[];
  /** Sentences to print below the table. */
  readonly notes: readonly string[];
}

/** Waits until somebody receives on a port. */
export function waitForPort(port: number, protocol: "udp" | "tcp" = "udp"): Promise<void> {
  const isOpen = () => (protocol === "tcp" ? hasTcpListener(port) : readUdpDrops(port) !== undefined);
  return waitUntil(isOpen, `a socket on ${protocol} port ${port}`);
}

/** Datagrams dropped at a target's socket; TCP drops none. */
function readDrops({ port, protocol }: Target): number {
  return protocol === "tcp" ? 0 : (readUdpDrops(port) ?? 0);
}

/**
 * Sends a load to a process and measures it. countReceived: asked when all was worked off; returns the
 * number of metrics that came through. Without it nothing is taken for lost.
 */
export async function measure(
  tools: Tools,
  target: Target,
  load: Load,
  countReceived?: () => Promise<number>,
): Promise<Measurement> {
  await waitForPort(target.port, target.protocol);
  pinSubject(target.pid);
  const cpuBefore = readCpuSeconds(target.pid);
  const dropsBefore = readDrops(target);
  const sent = await send(tools, target, load);
  await delay(target.settleMs ?? 0);
  await waitUntilIdle(target.pid);
  const cpuSeconds = readCpuSeconds(target.pid) - cpuBefore;
  const kernelDrops = readDrops(target) - dropsBefore;
  const rssBytes = readRssBytes(target.pid);
  const received = (await countReceived?.()) ?? sent.metrics;
  return {
    offeredPerSecond: sent.pps,
    sentPackets: sent.packets,
    sentMetrics: sent.metrics,
    kernelDrops,
    lostMetrics: sent.metrics - received,
    cpuSeconds,
    rssBytes,
  };
}

/** Sends a load that is not measured, so that the next one meets compiled code and filled tables. */
export async function warmUp(tools: Tools, target: Target, load: Load): Promise<void> {
  await waitForPort(target.port, target.protocol);
  pinSubject(target.pid);
  await send(tools, target, { ...load, seconds: 1 });
  await waitUntilIdle(target.pid);
}

interface Sent {
  readonly packets: number;
  readonly metrics: number;
  readonly pps: number;
}

async function send(tools: Tools, { port, protocol }: Target, load: Load): Promise<Sent> {
  const { packetsPerSecond, metricsPerPacket, series, seconds } = load;
  const args = [port, seconds, packetsPerSecond, series, metricsPerPacket, METRIC_TYPES];
  const sender = tools.start(protocol === "tcp" ? "tcp-source" : "gso", args);
  pinLoad(sender.pid);
  const { packets, metrics, pps } = await sender.output;
  if (metrics === undefined || pps === undefined || packets === 0) throw new Error("the sender sent nothing");
  return { packets, metrics, pps };
}

/** Waits until a moment of the wall-clock interval, in milliseconds after its begin. */
export async function waitForOffset(intervalMs: number, offsetMs: number): Promise<void> {
  const now = Date.now() % intervalMs;
  await delay(offsetMs >= now ? offsetMs - now : intervalMs - now + offsetMs);
}

/** Sums the samples of a Prometheus text page whose lines match. Returns undefined where none does. */
export function sumSamples(page: string, pattern: RegExp): number | undefined {
  const lines = page.split("\n").filter((line) => pattern.test(line));
  if (lines.length === 0) return undefined;
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
