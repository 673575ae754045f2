/** Does over a TCP connection what own-gso.ts does by datagrams: sends prebuilt lines at a fixed rate. */
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { sampleLine } from "./sample-line.ts";

/** Bytes of one write, about. */
const BLOCK_BYTES = 64 * 1024;
const LINE_BYTES = 60;
const NAP_MS = 1;

const [port = 0, seconds = 0, packetRate = 0, series = 1, perPacket = 1] = process.argv
  .slice(2, 7)
  .map(Number);
const types = (process.argv[7] ?? "c,ms,g").split(",");

const packetsPerBlock = Math.max(1, Math.floor(BLOCK_BYTES / (LINE_BYTES * perPacket)));
const linesPerBlock = packetsPerBlock * perPacket;
const blocks = Array.from({ length: Math.ceil((2 * series) / linesPerBlock) }, (_, block) => {
  const lines = Array.from({ length: linesPerBlock }, (_, i) =>
    sampleLine(block * linesPerBlock + i, series, types),
  );
  return Buffer.from(`${lines.join("\n")}\n`);
});

const socket = connect({ host: "127.0.0.1", port });
await once(socket, "connect");
const beginMs = performance.now();
const elapsed = (): number => (performance.now() - beginMs) / 1e3;
let packets = 0;
for (let next = 0; elapsed() < seconds; next = (next + 1) % blocks.length) {
  while (packets > packetRate * elapsed() && elapsed() < seconds) await delay(NAP_MS);
  if (!socket.write(blocks[next]!)) await once(socket, "drain");
  packets += packetsPerBlock;
}
const took = elapsed();
socket.end();
socket.resume();
await once(socket, "close");
console.log(
  JSON.stringify({ packets, metrics: packets * perPacket, pps: Math.round(packets / took), fail: 0 }),
);
