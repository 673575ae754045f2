/** The relay on all interfaces, as Go statsrelay is by default: IPv6 and IPv4 senders reach one socket. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startDaemon } from "../../bin/daemon.ts";
import { everyHostLiteral } from "../../shared/every-host.ts";
import { chooseIo } from "../../shared/udp.ts";
import { collectLines, UdpSink } from "../support/udp-sink.ts";

const kinds = (await chooseIo("auto")) === "mmsg" ? (["mmsg", "dgram"] as const) : (["dgram"] as const);
const hasIpv6 = (await everyHostLiteral()) === "::";
const executable = fileURLToPath(new URL("../../bin/statsrelay.js", import.meta.url));

/** Sends one datagram to this machine and waits until the system took it. */
async function send(type: "udp4" | "udp6", line: string, port: number): Promise<void> {
  const socket = createSocket(type);
  const host = type === "udp6" ? "::1" : "127.0.0.1";
  await new Promise<void>((resolve, reject) => {
    socket.send(line, port, host, (error) => (error === null ? resolve() : reject(error)));
  });
  socket.close();
}

for (const io of kinds) {
  test(`${io}: with just a port, IPv6 and IPv4 senders reach the relay`, async (t) => {
    const sink = await UdpSink.open();
    t.after(() => sink.close());
    const args = ["-p", "0", "--io", io, "--management", "127.0.0.1:0", sink.destination];
    const relay = startDaemon(executable, args, { startedEvent: "relay.started", onLine: () => {} });
    t.after(() => relay.stop());
    const { listen } = await relay.started;
    const port = Number(/:(\d+)$/.exec(listen[0]!)?.[1]);
    const types = hasIpv6 ? (["udp4", "udp6"] as const) : (["udp4"] as const);
    for (const type of types) await send(type, `${type}:1|c`, port);
    assert.deepEqual(await relay.stop(), { code: 0, signal: null });
    assert.deepEqual(
      await collectLines([sink], types.length),
      types.map((type) => `${type}:1|c`),
    );
  });
}
