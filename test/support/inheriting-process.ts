/**
 * A process that is handed a listening stream socket as descriptor 3 and reads lines from it. Started with an
 * IPC channel: any message lets it open the socket, the next one lets it leave; then it tells what it read.
 */
import { once } from "node:events";
import { inheritedSockets } from "../../shared/inherited-sockets.ts";
import { CONTROL_LEAVE, openReceiver } from "../../shared/udp.ts";
import { newBatch, newControl, textsOf } from "./receive-batch.ts";

await once(process, "message");
const env = { LISTEN_PID: String(process.pid), LISTEN_FDS: "1" };
const [{ fd, address } = { fd: -1, address: undefined }] = inheritedSockets(env, process.pid);
if (address === undefined) throw new Error("nothing was handed down");
const receiver = await openReceiver("dgram", address, {
  receiveBufferBytes: 1 << 20,
  sharePort: false,
  inheritedFd: fd,
});
const batch = await newBatch("dgram");
const control = newControl();
process.once("message", () => Atomics.store(control, 0, CONTROL_LEAVE));
let text = "";
const onBatch = (received: number): boolean => {
  text += textsOf(batch, received).join("");
  if (received > 0) process.send?.({ kind: "read", text });
  return true;
};
process.send?.({ kind: "ready" });
await receiver.run(batch, { onBatch }, control);
receiver.close();
process.send?.({ kind: "left", text }, () => process.disconnect());
