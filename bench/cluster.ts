/**
 * Three nodes on this machine, and all lines into one of them: what replication costs the others and the
 * wire, and how long after an interval's end its rows are at carbon.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Daemon } from "../bin/daemon.ts";
import { CarbonStub } from "./carbon-stub.ts";
import { executable } from "./executable.ts";
import { sumSamples, waitForOffset } from "./measure.ts";
import { pinLoad } from "./pinning.ts";
import { freePorts, readCpuSeconds, readRssBytes, readUdpDrops } from "./proc.ts";
import { median } from "./report.ts";
import type { Tools } from "./tools.ts";

export interface ClusterLoad {
  readonly part: string;
  readonly title: string;
  readonly series: number;
  readonly linesPerSecond: number;
  readonly intervalMs: number;
}

export const CLUSTER_LOADS: readonly ClusterLoad[] = [
  {
    part: "cluster-100k",
    title: "three nodes, 100 k series, 200 k lines/s into one",
    series: 100_000,
    linesPerSecond: 200_000,
    intervalMs: 10_000,
  },
  {
    part: "cluster-1m",
    title: "three nodes, 1 M series, 200 k lines/s into one",
    series: 1_000_000,
    linesPerSecond: 200_000,
    intervalMs: 10_000,
  },
];

const NAMES = ["a", "b", "c"];
const LINES_PER_PACKET = 25;
const MIB = 1024 * 1024;
const LAST_FLUSH_MS = 8_000;
const START_MS = 3_000;
const TOKEN = "only-for-measurements-on-loopback-addresses";

function configOf(name: string, index: number, ports: Ports, folder: string, intervalMs: number): string {
  return [
    "[aggregator]",
    `listen[] = udp://127.0.0.1:${ports.intake + index}`,
    "management = 127.0.0.1:0",
    "stats-interval = 0",
    `interval = ${intervalMs}ms`,
    `state-dir = ${join(folder, name)}`,
    "[aggregation]",
    "update-count-threshold = 1000000",
    "[carbon]",
    `address = 127.0.0.1:${ports.carbon}`,
    "[cluster]",
    `node = ${name}`,
    `listen = 127.0.0.1:${ports.peers + index}`,
    ...NAMES.map((peer, other) => `peers[] = ${peer}@127.0.0.1:${ports.peers + other}`),
    `token = ${TOKEN}`,
    "hold-bytes = 1g",
  ].join("\n");
}

interface Ports {
  readonly intake: number;
  readonly peers: number;
  readonly carbon: number;
}

/** What one node has used and said. */
interface NodeReading {
  readonly cpuSeconds: number;
  readonly sentBytes: number;
  readonly isLeader: boolean;
}

async function readNode({ pid, started }: Daemon): Promise<NodeReading> {
  const { management } = await started;
  const page = await (await fetch(`http://${management}/metrics`)).text();
  return {
    cpuSeconds: readCpuSeconds(pid),
    sentBytes: sumSamples(page, /^bioyino_cluster_peer_bytes_total\{.*direction="out"/) ?? Number.NaN,
    isLeader: (sumSamples(page, /^bioyino_cluster_leader /) ?? 0) > 0,
  };
}

/** Fills `runs` intervals and one more, and reports in lines of text. */
export async function measureCluster(tools: Tools, load: ClusterLoad, runs: number): Promise<string[]> {
  const { intervalMs, series, linesPerSecond } = load;
  const folder = mkdtempSync(join(tmpdir(), "bioyino-cluster-"));
  const carbon = new CarbonStub(intervalMs);
  const first = await freePorts(2 * NAMES.length);
  const ports = { intake: first, peers: first + NAMES.length, carbon: await carbon.listen() };
  const daemons: Daemon[] = [];
  try {
    for (const [index, name] of NAMES.entries()) {
      const file = join(folder, `${name}.ini`);
      writeFileSync(file, configOf(name, index, ports, folder, intervalMs));
      daemons.push(executable("bioyino", "aggregator.started", ["--config", file]));
    }
    await Promise.all(daemons.map(({ started }) => started));
    await delay(START_MS);
    await waitForOffset(intervalMs, 0);
    const dropsBefore = readUdpDrops(ports.intake) ?? 0;
    const before = await Promise.all(daemons.map(readNode));
    const seconds = ((runs + 1) * intervalMs) / 1000 - 0.5;
    const args = [ports.intake, seconds, linesPerSecond / LINES_PER_PACKET, series, LINES_PER_PACKET, "c"];
    const sender = tools.start("gso", args);
    pinLoad(sender.pid);
    const { metrics = 0, packets } = await sender.output;
    const after = await Promise.all(daemons.map(readNode));
    await waitForOffset(intervalMs, 0);
    await delay(Math.min(LAST_FLUSH_MS, intervalMs - 1000));
    const drops = (readUdpDrops(ports.intake) ?? 0) - dropsBefore;
    const deliveries = carbon.deliveries().sort((left, right) => left - right);
    const inSeconds = (ms: number): string => (ms / 1000).toFixed(2);
    const nodes = NAMES.map((name, index) => {
      const cpu = (after[index]!.cpuSeconds - before[index]!.cpuSeconds) / seconds;
      const rss = readRssBytes(daemons[index]!.pid) / MIB;
      const leads = after[index]!.isLeader ? ", leads" : "";
      return `${name}${leads}: ${(cpu * 100).toFixed(0)} % of a CPU, ${rss.toFixed(0)} MiB`;
    });
    const sent = after[0]!.sentBytes - before[0]!.sentBytes;
    const peers = NAMES.length - 1;
    return [
      `${metrics.toLocaleString("en-US")} lines in ${packets.toLocaleString("en-US")} datagrams: ` +
        `${drops} dropped`,
      nodes.join("; "),
      `sent to each peer: ${(sent / peers / seconds / MIB).toFixed(1)} MiB/s, ` +
        `${(sent / peers / seconds / series).toFixed(1)} bytes a series and second`,
      `${deliveries.length} intervals; last row at carbon behind the interval's end: ` +
        `${inSeconds(median(deliveries))} s (${deliveries.map(inSeconds).join(", ")})`,
    ];
  } finally {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    carbon.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
