/** Stands in for floor.c: receives, copies into packets for each destination in turn, sends. No parsing. */
import { SLOT_BYTES, SLOT_COUNT } from "../shared/kernel/layout.ts";
import { type BatchSender, CONTROL_DRAIN, chooseIo, openReceiver, openSender } from "../shared/udp.ts";
import { PacketMemory } from "./packet-memory.ts";

const PACKET_BYTES_MAX = 1400;
/** Room for the longest datagram that is sent here, behind what already lies in a packet. */
const PACKET_STRIDE_BYTES = 4096;
const RECEIVE_BUFFER_BYTES = 16 << 20;
const IDLE_MS_MAX = 2_000;
const NEWLINE = 10;

const [port = 0, firstOutPort = 0, destinationCount = 0] = process.argv.slice(2).map(Number);
const io = await chooseIo("auto");

/** Packets on their way to one destination. */
class Destination {
  readonly #packets: PacketMemory;
  readonly #sender: BatchSender;
  #full = 0;
  #filledBytes = 0;

  constructor(packets: PacketMemory, sender: BatchSender) {
    this.#packets = packets;
    this.#sender = sender;
  }

  append(source: Buffer, start: number, bytes: number): void {
    if (this.#filledBytes > 0 && this.#filledBytes + bytes + 1 > PACKET_BYTES_MAX) this.#finishPacket();
    if (this.#full === SLOT_COUNT) this.flush();
    const at = this.#packets.payload(this.#full) + this.#filledBytes;
    source.copy(this.#packets.bytes, at, start, start + bytes);
    this.#packets.bytes[at + bytes] = NEWLINE;
    this.#filledBytes += bytes + 1;
  }

  #finishPacket(): void {
    this.#packets.setLength(this.#full, this.#filledBytes, 0);
    this.#full++;
    this.#filledBytes = 0;
  }

  flush(): void {
    if (this.#filledBytes > 0) this.#finishPacket();
    if (this.#full > 0) this.#sender.send(this.#packets.headers, this.#full);
    this.#full = 0;
  }
}

const destinations: Destination[] = [];
for (let i = 0; i < destinationCount; i++) {
  const packets = await PacketMemory.create(io, SLOT_COUNT, PACKET_STRIDE_BYTES);
  const remote = { kind: "udp", host: "127.0.0.1", port: firstOutPort + i } as const;
  const sender = await openSender(io, remote, { memory: packets.memory, queueBytesMax: 16 << 20 });
  destinations.push(new Destination(packets, sender));
}

const slots = await PacketMemory.create(io, SLOT_COUNT, SLOT_BYTES);
const options = { receiveBufferBytes: RECEIVE_BUFFER_BYTES, sharePort: false, isFirst: true };
const receiver = await openReceiver(io, { kind: "udp", host: "127.0.0.1", port }, options);
const control = new Int32Array(new SharedArrayBuffer(4));
let packets = 0;
let turn = 0;
let lastMs = 0;

function onBatch(received: number): boolean {
  packets += received;
  if (received > 0) lastMs = performance.now();
  else if (packets > 0 && performance.now() - lastMs > IDLE_MS_MAX) Atomics.store(control, 0, CONTROL_DRAIN);
  if (destinations.length === 0) return true;
  for (let slot = 0; slot < received; slot++) {
    destinations[turn]!.append(slots.bytes, slots.payload(slot), slots.receivedBytes(slot));
    turn = (turn + 1) % destinations.length;
  }
  if (received < SLOT_COUNT) for (const destination of destinations) destination.flush();
  return true;
}

await receiver.run(slots, { onBatch }, control);
receiver.close();
console.log(JSON.stringify({ packets }));
process.exit(0);
