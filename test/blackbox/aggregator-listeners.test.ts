/** One aggregator with a listener of every kind, each read in its own way, and a repeater behind them. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { signDatagram } from "../../aggregator/listener/signed-datagram.ts";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams, startAggregator } from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { TcpSink, tlsPath } from "../support/tcp-sink.ts";
import { UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const kinds = (await chooseIo("auto")) === "mmsg" ? (["mmsg", "dgram"] as const) : (["dgram"] as const);
const folder = mkdtempSync(join(tmpdir(), "aggregator-listeners-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

function frame(text: string): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(text.length);
  return Buffer.concat([head, Buffer.from(text)]);
}

const quiet = (socket: Socket): Socket => socket.on("error", () => {}).resume();

for (const io of kinds) {
  test(`${io}: listeners of every kind add up to the same numbers, and all of it is repeated`, async () => {
    const carbon = await FakeCarbon.start();
    const [lines, datagrams] = [await TcpSink.start(), await UdpSink.open()];
    const keyPath = join(folder, "key");
    writeFileSync(keyPath, "secret\n");
    const path = join(folder, `${io}.sock`);
    const aggregator = await startAggregator(io, {
      aggregator: "sinks[] = carbon\ninterval = 1h",
      carbon: `address[] = 127.0.0.1:${carbon.port}`,
      repeater: `address[] = tcp://127.0.0.1:${lines.port}\naddress[] = udp://${datagrams.destination}`,
      "listener.signed": `listen[] = udp://127.0.0.1:0\nhmac-key-file = ${keyPath}\nthreads = 2`,
      "listener.streams": "listen[] = tcp://127.0.0.1:0\nline-bytes-max = 64",
      "listener.private": [
        "listen[] = tls://127.0.0.1:0",
        `tls-cert = ${tlsPath("server.pem")}`,
        `tls-key = ${tlsPath("server.key")}`,
        `tls-client-ca = ${tlsPath("ca.pem")}`,
      ].join("\n"),
      "listener.agent": `listen[] = unix://${path}\nframing = length\nsocket-mode = 0622`,
    });
    const [plain, signed, tcp, tls] = aggregator.ports;
    assert.equal(statSync(path).mode & 0o777, 0o622);

    await sendDatagrams(plain!, ["n:1|c\nudp:1|c"]);
    const good = signDatagram(Buffer.from("secret"), Date.now(), 1, Buffer.from("n:1|c\nhmac:1|c"));
    await sendDatagrams(signed!, [good, good, "n:1|c"]);
    const stream = connect(tcp!, "127.0.0.1");
    stream.end(`n:1|c\n${"x".repeat(80)}:1|c\ntcp:1|c`);
    const cert = readFileSync(tlsPath("server.pem"));
    const key = readFileSync(tlsPath("server.key"));
    const ca = readFileSync(tlsPath("ca.pem"));
    quiet(connectTls({ host: "127.0.0.1", port: tls!, ca })).write("n:1|c\n");
    quiet(connectTls({ host: "127.0.0.1", port: tls!, ca, cert, key })).end("n:1|c\ntls:1|c\n");
    const agent = connect(path);
    agent.end(Buffer.concat([frame("n:1|c"), frame("unix:1|c\n_e{1,1}:a|b")]));

    // Ten lines and an event that count, and one that is too long.
    const metrics = await aggregator.until("all lines", (now) => {
      const isAllIn = now.sum("bioyino_lines_received_total") === 12;
      return isAllIn && now.sum("bioyino_connections_closed_total") === 1;
    });
    assert.equal(metrics.sum("bioyino_lines_accepted_total"), 11);
    assert.equal(metrics.sum("bioyino_lines_dropped_total", 'reason="line_too_long"'), 1);
    assert.equal(metrics.sum("bioyino_datagrams_refused_total", 'reason="replayed"'), 1);
    assert.equal(metrics.sum("bioyino_datagrams_refused_total", 'reason="short"'), 1);
    assert.equal(metrics.sum("bioyino_conservation_error"), 0);
    assert.equal(metrics.sum("bioyino_kernel_drops_total"), 0);

    const expected = ["hmac", "tcp", "tls", "udp", "unix"].map((name) => `${name}:1|c`);
    const sent = [...expected, ...new Array<string>(5).fill("n:1|c"), "_e{1,1}:a|b"].sort();
    await waitFor("the repeated lines", () => lines.lines.length === 11 && datagrams.lines.length === 11);
    assert.deepEqual(lines.lines.sort(), sent);
    assert.deepEqual(datagrams.lines.sort(), sent);

    await aggregator.stop();
    const points = new Map(
      carbon
        .lines()
        .map((line) => line.split(" "))
        .map(([name, value]) => [name, value]),
    );
    assert.equal(points.get("n"), "5");
    for (const name of ["udp", "hmac", "tcp", "tls", "unix"]) assert.equal(points.get(name), "1");
    await carbon.stop();
    await lines.stop();
    await datagrams.close();
  });
}
