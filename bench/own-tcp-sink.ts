/** Does for TCP what own-sink.ts does for UDP: counts lines on some ports until none came for a while. */
import { createServer } from "node:net";

const NEWLINE = 10;
const [firstPort = 0, count = 1, idleSeconds = 1.5] = process.argv.slice(2).map(Number);

let packets = 0;
let metrics = 0;
let idle: NodeJS.Timeout | undefined;

function finish(): void {
  console.log(JSON.stringify({ packets, metrics }));
  process.exit(0);
}

function onData(chunk: Buffer): void {
  packets++;
  // A plain loop: at this many short lines it beats a search for each line feed.
  for (let at = 0; at < chunk.length; at++) if (chunk[at] === NEWLINE) metrics++;
  if (idle === undefined) idle = setTimeout(finish, idleSeconds * 1e3);
  else idle.refresh();
}

for (let i = 0; i < count; i++) {
  // A sender that goes away has sent what it had.
  createServer((socket) => socket.on("error", () => {}).on("data", onData)).listen(
    firstPort + i,
    "127.0.0.1",
  );
}
