/**
 * `npm start` without npm: both daemons come up, a pasted line reaches the terminal, Ctrl-C ends
 * everything.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { sendDatagrams } from "../support/daemons.ts";
import { vectorPath } from "../support/vectors.ts";
import { waitFor } from "../support/wait-for.ts";

const SCRIPT = fileURLToPath(new URL("../../bin/quickstart.js", import.meta.url));

/** A UDP port that nobody has; the relay must know the aggregator's before either runs. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

test("the quick start shows a line that was sent, and ends in good order", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "quickstart-"));
  const [relayPort, aggregatorPort] = [await freePort(), await freePort()];
  // The shipped file, on ports of its own.
  const shipped = readFileSync(join(vectorPath(""), "..", "..", "config", "quickstart.ini"), "utf8");
  const config = shipped
    .replaceAll("9125", String(relayPort))
    .replaceAll("8125", String(aggregatorPort))
    .replace("interval = 5s", "interval = 1s\nmanagement = 127.0.0.1:0")
    .replace("[relay]", "[relay]\nmanagement = 127.0.0.1:0\nflush-interval = 50ms")
    .replace("127.0.0.1:2003", "127.0.0.1:1");
  const file = join(folder, "quickstart.ini");
  writeFileSync(file, config);
  const child = spawn(process.execPath, [SCRIPT, "--config", file], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const exited = once(child, "exit");
  const paste = `echo 'hello:1|c' | nc -u -w1 127.0.0.1 ${relayPort}`;
  await waitFor("the line to paste", () => output.includes(paste));
  await sendDatagrams(relayPort, ["hello:1|c\n"]);
  await waitFor("the row on the terminal", () => /^ {2}hello +1$/m.test(output));
  await sendDatagrams(relayPort, ["last:2|c\n"]);
  child.kill("SIGINT");
  assert.deepEqual(await exited, [0, null], output);
  assert.match(output, /^ {2}last +2$/m, "what was sent before Ctrl-C is flushed");
  rmSync(folder, { recursive: true });
});
