/** What `memory-limit` leaves for the tables of the aggregator. */
import type { SuiteConfig } from "./config.ts";
import { membershipOf } from "./membership.ts";

/**
 * Node.js, its control and store threads, management pages, what sinks have under way, and garbage: measured
 * while tables are full and 500,000 lines of new names come in a second.
 */
const PROCESS_BYTES = 320 * 2 ** 20;
/** A receiver at its largest, but for its index: a table and a snapshot of 64 MiB each, slots, its thread. */
const RECEIVER_BYTES = 160 * 2 ** 20;
/** Its index, for each series of a snapshot; their number is rounded up to a power of two. */
const INDEX_BYTES_OF_SERIES = 64;

/** The thread of the cluster, with messages to and from each other node under way. */
const CLUSTER_BYTES = 64 * 2 ** 20;
const PEER_BYTES = 8 * 2 ** 20;

/** Fewer bytes than this hold no interval worth the name. */
export const TABLE_BYTES_LEAST = 64 * 2 ** 20;

/** A part of the memory, in the words of the configuration. */
export interface MemoryShare {
  readonly name: string;
  readonly bytes: number;
}

type MemoryConfig = Pick<SuiteConfig, "aggregator" | "carbon" | "cluster" | "file" | "repeater">;

/** Receiver threads that a configuration comes to at the most: only udp shares a port among several. */
export function receiverCount({ aggregator }: Pick<SuiteConfig, "aggregator">): number {
  const counts = [aggregator, ...aggregator.listeners].flatMap(({ listen, threads }) =>
    listen.map(({ kind }) => (kind === "udp" ? threads : 1)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Everything beside the tables that takes memory, each at its bound. Empty shares are left out. */
export function memoryShares(config: MemoryConfig): MemoryShare[] {
  const { aggregator, carbon, cluster, file, repeater } = config;
  const seriesMax = 2 ** Math.ceil(Math.log2(aggregator.snapshotSeriesMax));
  const receiverBytes = RECEIVER_BYTES + seriesMax * INDEX_BYTES_OF_SERIES;
  const buffers = [aggregator, ...aggregator.listeners].map(({ listen, threads, receiveBufferBytes }) => {
    return (
      receiverCount({ aggregator: { ...aggregator, listen, threads, listeners: [] } }) * receiveBufferBytes
    );
  });
  const isUsed = (name: string): boolean => aggregator.sinks.includes(name);
  const carbons = [
    { name: "carbon", ...carbon },
    ...carbon.others.map((one) => ({ ...one, name: `carbon.${one.name}` })),
  ];
  const queues = carbons
    .filter(({ name }) => isUsed(name))
    .map(({ address, queueBytesMax }) => address.length * queueBytesMax);
  const streams = repeater.address.filter(({ protocol }) => protocol === "tcp").length;
  const peers = membershipOf(cluster)?.peers;
  const heldBytes = { member: cluster.holdBytesMax, agent: cluster.agentBytesMax, witness: 0 }[cluster.mode];
  const sum = (list: readonly number[]): number => list.reduce((total, bytes) => total + bytes, 0);
  return [
    { name: "process", bytes: PROCESS_BYTES },
    { name: "receivers", bytes: receiverCount(config) * receiverBytes },
    { name: "receive-buffer", bytes: sum(buffers) },
    { name: "backlog-bytes-max", bytes: aggregator.backlogBytesMax },
    { name: "history-bytes", bytes: aggregator.historyIntervals > 0 ? aggregator.historyBytesMax : 0 },
    { name: "queue-bytes", bytes: sum(queues) + (isUsed("file") ? file.queueBytesMax : 0) },
    { name: "repeater", bytes: streams * repeater.queueBytesMax },
    { name: "cluster", bytes: peers === undefined ? 0 : CLUSTER_BYTES + peers.length * PEER_BYTES },
    {
      name: cluster.mode === "agent" ? "agent-bytes" : "hold-bytes",
      bytes: peers === undefined ? 0 : heldBytes,
    },
  ].filter(({ bytes }) => bytes > 0);
}

/**
 * Bytes that the tables of all open intervals may take together:
 *
 *   min(memory-max, memory-limit - 320m - receivers x (160m + 64 x snapshot-series-max + receive-buffer)
 *                   - backlog-bytes-max - history-bytes - queue-bytes of each sink
 *                   - queue-bytes of each tcp address of the repeater
 *                   - in a cluster: 64m + 8m for each other node, and hold-bytes, or agent-bytes of an agent)
 *
 * Without a memory-limit it is memory-max. It can be negative; a configuration in which it is below
 * TABLE_BYTES_LEAST is refused, unless memory-max asks for less.
 */
export function tableBytesMax(config: MemoryConfig): number {
  const { memoryBytesMax, memoryLimitBytes } = config.aggregator;
  if (memoryLimitBytes === 0) return memoryBytesMax;
  const besideBytes = memoryShares(config).reduce((sum, { bytes }) => sum + bytes, 0);
  return Math.min(memoryBytesMax, memoryLimitBytes - besideBytes);
}
