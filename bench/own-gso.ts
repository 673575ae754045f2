/** Stands in for gso.c: sends prebuilt statsd datagrams at a fixed rate. */
import { SLOT_COUNT } from "../shared/kernel/layout.ts";
import { chooseIo, openSender } from "../shared/udp.ts";
import { PacketMemory } from "./packet-memory.ts";
import { sampleLine } from "./sample-line.ts";

const LINE_BYTES_MAX = 80;
const PACKETS_MIN = 4096;
/** How long to nap when ahead of the rate, in milliseconds. */
const NAP_MS = 0.05;

const [port = 0, seconds = 0, rate = 0, series = 1, perPacket = 1] = process.argv.slice(2, 7).map(Number);
const types = (process.argv[7] ?? "c,ms,g").split(",");

const io = await chooseIo("auto");
const wanted = Math.max(PACKETS_MIN, Math.ceil((2 * series) / perPacket));
const count = Math.ceil(wanted / SLOT_COUNT) * SLOT_COUNT;
const packets = await PacketMemory.create(io, count, LINE_BYTES_MAX * perPacket);
for (let i = 0; i < count; i++) {
  const text = Array.from({ length: perPacket }, (_, j) => sampleLine(i * perPacket + j, series, types)).join(
    "\n",
  );
  packets.setLength(i, packets.bytes.write(text, packets.payload(i), "latin1"), perPacket);
}

const remote = { kind: "udp", host: "127.0.0.1", port } as const;
const sender = await openSender(io, remote, { memory: packets.memory, queueBytesMax: 16 << 20 });
const nap = new Int32Array(new SharedArrayBuffer(4));
const beginMs = performance.now();
let sent = 0;
for (let next = 0; ; next = (next + SLOT_COUNT) % count) {
  let elapsed = (performance.now() - beginMs) / 1e3;
  while (elapsed < seconds && rate > 0 && sent > rate * elapsed) {
    Atomics.wait(nap, 0, 0, NAP_MS);
    elapsed = (performance.now() - beginMs) / 1e3;
  }
  if (elapsed >= seconds) break;
  sender.send(packets.header(next), SLOT_COUNT);
  sent += SLOT_COUNT;
  if (io === "dgram") await sender.flush();
}
const elapsed = (performance.now() - beginMs) / 1e3;
const { packetsSent, linesSent } = sender.tally;
sender.close();
const pps = Math.round(packetsSent / elapsed);
console.log(JSON.stringify({ packets: packetsSent, metrics: linesSent, pps, fail: sent - packetsSent }));
