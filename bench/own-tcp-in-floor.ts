/**
 * The least that a relay must do with TCP in and UDP out: reads, copies into packets that end at line ends,
 * sends them to each destination in turn.
 */
import { createServer } from "node:net";
import { SLOT_COUNT } from "../shared/kernel/layout.ts";
import { type BatchSender, chooseIo, openSender } from "../shared/udp.ts";
import { PacketMemory } from "./packet-memory.ts";

const PACKET_BYTES_MAX = 1400;
const NEWLINE = 10;

const [port = 0, firstOutPort = 0, destinationCount = 0] = process.argv.slice(2).map(Number);
const io = await chooseIo("auto");
const packets = await PacketMemory.create(io, SLOT_COUNT, PACKET_BYTES_MAX);
const senders: BatchSender[] = [];
for (let i = 0; i < destinationCount; i++) {
  const remote = { kind: "udp", host: "127.0.0.1", port: firstOutPort + i } as const;
  senders.push(await openSender(io, remote, { memory: packets.memory, queueBytesMax: 16 << 20 }));
}
let turn = 0;

/** Sends the first packets of the memory. */
function send(count: number): void {
  if (count > 0) senders[turn]!.send(packets.headers, count);
  turn = (turn + 1) % senders.length;
}

/** Sends the whole lines of some bytes. Returns where the rest begins. */
function relay(bytes: Buffer): number {
  let filled = 0;
  let start = 0;
  for (;;) {
    const limit = Math.min(start + PACKET_BYTES_MAX, bytes.length);
    const end = limit === start ? 0 : bytes.lastIndexOf(NEWLINE, limit - 1) + 1;
    if (end <= start) break;
    bytes.copy(packets.bytes, packets.payload(filled), start, end);
    packets.setLength(filled, end - start, 0);
    filled++;
    start = end;
    if (filled < SLOT_COUNT) continue;
    send(filled);
    filled = 0;
  }
  send(filled);
  return start;
}

createServer((socket) => {
  let rest = Buffer.alloc(0);
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    rest = Buffer.from(bytes.subarray(relay(bytes)));
  });
}).listen(port, "127.0.0.1");
