/**
 * The least that a relay must do with UDP in and TCP out: a thread receives and copies into blocks, another
 * writes these to the connections in turn. Two threads, as a receiver of batches blocks its own.
 */
import { connect, type Socket } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { SLOT_BYTES, SLOT_COUNT } from "../shared/kernel/layout.ts";
import { chooseIo, openReceiver } from "../shared/udp.ts";
import { PacketMemory } from "./packet-memory.ts";

const BLOCK_BYTES = 64 * 1024;
const RECEIVE_BUFFER_BYTES = 16 << 20;
const NEWLINE = 10;

async function receive(port: number): Promise<void> {
  const io = await chooseIo("auto");
  const slots = await PacketMemory.create(io, SLOT_COUNT, SLOT_BYTES);
  const options = { receiveBufferBytes: RECEIVE_BUFFER_BYTES, sharePort: false, isFirst: true };
  const receiver = await openReceiver(io, { kind: "udp", host: "127.0.0.1", port }, options);
  let block = Buffer.from(new ArrayBuffer(BLOCK_BYTES));
  let filled = 0;
  const post = (): void => {
    if (filled === 0) return;
    const { buffer } = block;
    parentPort!.postMessage({ buffer, filled }, [buffer as ArrayBuffer]);
    block = Buffer.from(new ArrayBuffer(BLOCK_BYTES));
    filled = 0;
  };
  const onBatch = (received: number): boolean => {
    for (let slot = 0; slot < received; slot++) {
      const start = slots.payload(slot);
      const bytes = slots.receivedBytes(slot);
      if (filled + bytes + 1 > BLOCK_BYTES) post();
      slots.bytes.copy(block, filled, start, start + bytes);
      filled += bytes + 1;
      block[filled - 1] = NEWLINE;
    }
    if (received === 0) post();
    return true;
  };
  await receiver.run(slots, { onBatch }, new Int32Array(new SharedArrayBuffer(4)));
}

function write([port = 0, firstOutPort = 0, destinationCount = 0]: readonly number[]): void {
  const sockets: Socket[] = [];
  for (let i = 0; i < destinationCount; i++) {
    sockets.push(connect({ host: "127.0.0.1", port: firstOutPort + i }).on("error", () => process.exit(1)));
  }
  let turn = 0;
  const worker = new Worker(new URL(import.meta.url), { workerData: port });
  worker.on("message", ({ buffer, filled }: { buffer: ArrayBuffer; filled: number }) => {
    sockets[turn]!.write(Buffer.from(buffer, 0, filled));
    turn = (turn + 1) % sockets.length;
  });
}

if (isMainThread) write(process.argv.slice(2).map(Number));
else await receive(workerData);
