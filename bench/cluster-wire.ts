/**
 * What snapshots cost on the way between two nodes, as they are and deflated: bytes for each series, and the
 * CPU of who sends and of who receives. No socket is in between; what it costs is the same for every byte.
 */
import { type Delta, deltaOf } from "../cluster/delta.ts";
import type { Message } from "../cluster/message.ts";
import { decodeMessage, encodeMessage, MESSAGE_BYTES_MAX } from "../cluster/transport/codec.ts";
import { LANE_BULK, PacketCutter, PacketJoiner } from "../cluster/transport/packet.ts";
import { PACKET_BYTES_MAX } from "../cluster/transport/peer-channel.ts";
import { assert } from "../shared/errors.ts";
import { frameBody } from "../shared/wire.ts";
import { newIntake } from "../test/support/snapshots.ts";
import { layOut, median } from "./report.ts";

export const WIRE_PART = "cluster-wire";

const SERIES = 100_000;
const LINES_PER_DATAGRAM = 10;
/** Fixed bytes of an entry, and where its key's length stands; see shared/kernel/snapshot.ts. */
const ENTRY_BYTES = 24;
const PAYLOAD_BYTES_AT = 16;
const PART_BYTES = 64 * 1024;

/** What the lines of a series look like. */
interface Shape {
  readonly title: string;
  readonly linesPerSeries: number;
  line(series: number, turn: number): string;
}

const pad = (number: number, digits: number): string => String(number).padStart(digits, "0");
const host = (series: number): string => pad(series % 400, 3);
const longName = (series: number): string =>
  `production.eu-west.web${host(series)}.checkout-service.endpoint.${pad(series, 7)}.request.time`;

const SHAPES: readonly Shape[] = [
  {
    title: "counters, short names",
    linesPerSeries: 2,
    line: (series, turn) => `web${host(series)}.hits.${pad(series, 7)}:${(series * 7 + turn) % 1000}|c`,
  },
  {
    title: "counters, long names",
    linesPerSeries: 2,
    line: (series, turn) => `${longName(series)}:${(series * 7 + turn) % 1000}|c`,
  },
  {
    title: "counters, five tags",
    linesPerSeries: 2,
    line: (series, turn) =>
      `http.requests;env=production;host=web-${host(series)};method=GET;` +
      `path=/api/v1/items/${series};region=eu-west-1:${turn + 1}|c`,
  },
  {
    title: "timers of 5, long names",
    linesPerSeries: 5,
    line: (series, turn) => `${longName(series)}:${((series * 31 + turn * 17) % 9973) / 10}|ms`,
  },
];

/**
 * Series in no particular order: as a hash would have them, names next to each other have little in common.
 */
function shuffled(index: number): number {
  return (index * 7919) % SERIES;
}

async function snapshotOf({ line, linesPerSeries }: Shape): Promise<Delta> {
  const intake = await newIntake({ seriesMax: 2 * SERIES });
  for (let turn = 0; turn < linesPerSeries; turn++) {
    for (let first = 0; first < SERIES; first += LINES_PER_DATAGRAM) {
      const lines = Array.from({ length: LINES_PER_DATAGRAM }, (_, index) =>
        line(shuffled(first + index), turn),
      );
      intake.send([Buffer.from(lines.join("\n"))]);
    }
  }
  const delta = deltaOf(intake.cut()!);
  assert(delta !== undefined && intake.frames.length <= 1, "all series are in one snapshot");
  return delta;
}

/** Bytes of all keys in a snapshot. */
function nameBytesOf({ bytes }: Delta): number {
  const body = frameBody(bytes);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let nameBytes = 0;
  for (let at = 0; at < body.length; ) {
    const keyBytes = view.getUint16(at, true);
    nameBytes += keyBytes;
    at += ENTRY_BYTES + keyBytes + view.getUint32(at + PAYLOAD_BYTES_AT, true);
  }
  return nameBytes;
}

interface Passage {
  readonly wireBytes: number;
  readonly sendSeconds: number;
  readonly receiveSeconds: number;
}

/** A snapshot from one node to another. */
function pass(delta: Delta, isDeflating: boolean): Passage {
  // Of the very same bytes the work would be done only once.
  const deltas = [{ ...delta, bytes: delta.bytes.subarray() }];
  const message: Message = { kind: "deltas", deltas, incarnation: "bench", wantsAck: true };
  const sending = process.cpuUsage();
  const cutter = new PacketCutter(encodeMessage(message), LANE_BULK, isDeflating);
  const parts: Uint8Array[] = [];
  while (cutter.leftBytes > 0) parts.push(cutter.next(PART_BYTES));
  const sent = process.cpuUsage(sending);
  assert(
    parts.every(({ length }) => length <= PACKET_BYTES_MAX),
    "parts are small",
  );
  const receiving = process.cpuUsage();
  const joiner = new PacketJoiner(MESSAGE_BYTES_MAX);
  let packet: Uint8Array | undefined | false;
  for (const part of parts) packet = joiner.add(part);
  const read = packet ? decodeMessage(packet) : undefined;
  const received = process.cpuUsage(receiving);
  assert(read?.kind === "deltas" && read.deltas.length === 1, "what was sent has arrived");
  const seconds = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1e6;
  return {
    wireBytes: parts.reduce((sum, { length }) => sum + length, 0),
    sendSeconds: seconds(sent),
    receiveSeconds: seconds(received),
  };
}

const HEAD = [
  `${SERIES / 1000} k series a snapshot`,
  "name bytes",
  "bytes/series",
  "deflated",
  "",
  "send ms/MB",
  "deflated",
  "receive ms/MB",
  "inflated",
];

/**
 * Sends the snapshot of each shape `runs` times. Returns a table in lines; a MB is 10^6 bytes as they are.
 */
export async function measureWire(runs: number): Promise<string[]> {
  const rows: string[][] = [];
  for (const shape of SHAPES) {
    const delta = await snapshotOf(shape);
    const megabytes = delta.bytes.length / 1e6;
    // The first time is for the compiler.
    const passages = (isDeflating: boolean): Passage[] =>
      Array.from({ length: runs + 1 }, () => pass(delta, isDeflating)).slice(1);
    const [plain, deflated] = [passages(false), passages(true)];
    const perMegabyte = (of: readonly Passage[], what: "sendSeconds" | "receiveSeconds"): string =>
      ((median(of.map((passage) => passage[what])) * 1000) / megabytes).toFixed(1);
    const [plainBytes, deflatedBytes] = [plain[0]!.wireBytes, deflated[0]!.wireBytes];
    rows.push([
      shape.title,
      `${(nameBytesOf(delta) / SERIES).toFixed(0)}`,
      (plainBytes / SERIES).toFixed(1),
      (deflatedBytes / SERIES).toFixed(1),
      `${(plainBytes / deflatedBytes).toFixed(1)}x`,
      perMegabyte(plain, "sendSeconds"),
      perMegabyte(deflated, "sendSeconds"),
      perMegabyte(plain, "receiveSeconds"),
      perMegabyte(deflated, "receiveSeconds"),
    ]);
  }
  return layOut([HEAD, ...rows]).split("\n");
}
