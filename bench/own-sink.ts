/** Stands in for sink.c: counts datagrams and lines on some ports until none came for a while. */
import { createSocket } from "node:dgram";

const RECEIVE_BUFFER_BYTES = 32 << 20;
const NEWLINE = 10;
const [firstPort = 0, count = 1, idleSeconds = 1.5] = process.argv.slice(2).map(Number);

let packets = 0;
let metrics = 0;

function finish(): void {
  console.log(JSON.stringify({ packets, metrics }));
  process.exit(0);
}
let idle: NodeJS.Timeout | undefined;

for (let i = 0; i < count; i++) {
  const socket = createSocket({ type: "udp4" });
  socket.on("message", (datagram) => {
    packets++;
    if (datagram.at(-1) !== NEWLINE) metrics++;
    for (let at = datagram.indexOf(NEWLINE); at >= 0; at = datagram.indexOf(NEWLINE, at + 1)) metrics++;
    if (idle === undefined) idle = setTimeout(finish, idleSeconds * 1e3);
    else idle.refresh();
  });
  socket.bind(firstPort + i, "127.0.0.1", () => {
    try {
      socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    } catch {
      // The system allows less: what it then drops is counted by whoever compares with what was sent.
    }
  });
}
