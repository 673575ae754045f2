// The ways to carbon beside one plain connection: UDP, TLS, several connections, an address of its own.
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { createCarbonSinks } from "../../aggregator/sink/carbon.ts";
import { OperatorError } from "../../shared/errors.ts";
import { batchOf, numberedRows } from "../support/rows.ts";
import { assertAccounted, drained, intervals, openCarbon, startCarbon, stopSinks } from "../support/sinks.ts";
import { tlsPath } from "../support/tcp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

after(stopSinks);

const at = (port: number): { host: string; port: number } => ({ host: "127.0.0.1", port });

/** A UDP port of loopback and the datagrams that came. */
async function startUdp(port = 0): Promise<{ socket: Socket; port: number; datagrams: Buffer[] }> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
  const datagrams: Buffer[] = [];
  socket.on("message", (bytes) => datagrams.push(bytes));
  socket.bind(port, "127.0.0.1");
  await once(socket, "listening");
  return { socket, port: (socket.address() as AddressInfo).port, datagrams };
}

const linesOf = (datagrams: readonly Buffer[]): string[] =>
  Buffer.concat(datagrams).toString().split("\n").slice(0, -1);

test("udp: datagrams of whole lines, as full as allowed", async (t) => {
  const { socket, port, datagrams } = await startUdp();
  t.after(() => socket.close());
  const { sinks } = openCarbon([port], { protocol: "udp", packetBytes: 512 });
  const { batches, lines } = intervals(2, 5000);
  for (const batch of batches) sinks[0]!.accept(batch);
  assert.equal(await drained(sinks[0]!), true);
  await waitFor("all lines", () => linesOf(datagrams).length >= lines.length);
  assert.deepEqual(linesOf(datagrams), lines);
  assert.ok(datagrams.every((bytes) => bytes.length <= 512 && bytes.at(-1) === 0x0a));
  assert.ok(
    datagrams.length < (Buffer.concat(datagrams).length / 512) * 1.2,
    `${datagrams.length} datagrams`,
  );
  assert.equal(sinks[0]!.status().rowsSent, 10_000);
  assertAccounted(sinks[0]!, 10_000);
});

test("udp: a line longer than a datagram goes alone", async (t) => {
  const { socket, port, datagrams } = await startUdp();
  t.after(() => socket.close());
  const { sinks } = openCarbon([port], { protocol: "udp", packetBytes: 64 });
  const long = `a;b=${"v".repeat(3000)}`;
  sinks[0]!.accept(
    batchOf([
      ["x", 1],
      [long, 2],
      ["y", 3],
      ["z", 4],
    ]),
  );
  assert.equal(await drained(sinks[0]!), true);
  await waitFor("all lines", () => linesOf(datagrams).length === 4);
  assert.deepEqual(
    datagrams.map((bytes) => linesOf([bytes]).length),
    [1, 1, 2],
  );
});

test("udp: a refusing port is noticed, and the rows arrive once it is open", async (t) => {
  const first = await startUdp();
  first.socket.close();
  const { sinks, log } = openCarbon([first.port], { protocol: "udp" });
  const failed = once(log, "sink.failed");
  for (const batch of intervals(1, 300).batches) sinks[0]!.accept(batch);
  await failed;
  assert.equal(sinks[0]!.status().lastError, "ECONNREFUSED");
  assert.equal(sinks[0]!.status().rowsSent, 0);
  assertAccounted(sinks[0]!, 300);
  const { socket, datagrams } = await startUdp(first.port);
  t.after(() => socket.close());
  assert.equal(await drained(sinks[0]!), true);
  await waitFor("all lines", () => linesOf(datagrams).length >= 300);
  assert.deepEqual(linesOf(datagrams), intervals(1, 300).lines);
  assert.ok(sinks[0]!.status().rowsRetried >= 300);
});

test("pickle over udp is refused before anything is sent", () => {
  assert.throws(() => openCarbon([1], { protocol: "udp", format: "pickle" }), OperatorError);
});

const serverKeys = { cert: readFileSync(tlsPath("server.pem")), key: readFileSync(tlsPath("server.key")) };

test("tls: chunks are acknowledged as over TCP, and by name", async () => {
  const fake = await startCarbon([], serverKeys);
  const address = [{ host: "localhost", port: fake.port }];
  const { sinks, log } = openCarbon([], { address, protocol: "tls", tlsCa: tlsPath("ca.pem") });
  const { batches, lines } = intervals(2, 20_000);
  for (const batch of batches) sinks[0]!.accept(batch);
  assert.equal(await drained(sinks[0]!), true, String(sinks[0]!.status().lastError));
  assert.deepEqual(fake.lines(), lines);
  assert.equal(fake.connectionCount, 2);
  assert.deepEqual(log.entries, []);
});

test("tls: a remote that never closes has acknowledged nothing", async () => {
  const fake = await startCarbon([{ kind: "silent" }], serverKeys);
  const changes = { protocol: "tls", tlsCa: tlsPath("ca.pem"), ackTimeoutMs: 60 } as const;
  const { sinks, log } = openCarbon([fake.port], changes);
  const failed = once(log, "sink.failed");
  for (const batch of intervals(1, 100).batches) sinks[0]!.accept(batch);
  await failed;
  assert.equal(sinks[0]!.status().lastError, "acknowledgement timeout");
  assert.equal(sinks[0]!.status().rowsSent, 0);
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(fake.lines(), intervals(1, 100).lines);
});

test("tls: a certificate of nobody is refused, unless told otherwise", async () => {
  const fake = await startCarbon([], serverKeys);
  const { sinks, log } = openCarbon([fake.port], { protocol: "tls" });
  const failed = once(log, "sink.failed");
  sinks[0]!.accept(batchOf(numberedRows("a", 3)));
  await failed;
  assert.match(sinks[0]!.status().lastError ?? "", /CERT|SIGNATURE|ISSUER/);
  sinks[0]!.close();
  const trusting = openCarbon([fake.port], { protocol: "tls", tlsVerify: false }).sinks[0]!;
  trusting.accept(batchOf(numberedRows("a", 3)));
  assert.equal(await drained(trusting), true);
  assert.equal(fake.lines().length, 3);
});

test("tls: a certificate is shown where the remote asks for one", async () => {
  const ca = readFileSync(tlsPath("ca.pem"));
  const fake = await startCarbon([], { ...serverKeys, ca, requestCert: true, rejectUnauthorized: true });
  const common = { protocol: "tls", tlsCa: tlsPath("ca.pem") } as const;
  const bare = openCarbon([fake.port], common);
  const failed = once(bare.log, "sink.failed");
  bare.sinks[0]!.accept(batchOf(numberedRows("a", 3)));
  await failed;
  assert.equal(bare.sinks[0]!.status().rowsSent, 0);
  bare.sinks[0]!.close();
  const keys = { tlsCert: tlsPath("server.pem"), tlsKey: tlsPath("server.key") };
  const shown = openCarbon([fake.port], { ...common, ...keys }).sinks[0]!;
  shown.accept(batchOf(numberedRows("a", 3)));
  assert.equal(await drained(shown), true, String(shown.status().lastError));
});

test("tls: files that cannot be read are one more failure, not an exception", async () => {
  const { sinks, log } = openCarbon([1], { protocol: "tls", tlsCa: "/nowhere/ca.pem" });
  sinks[0]!.accept(batchOf(numberedRows("a", 3)));
  await once(log, "sink.failed");
  assert.match(sinks[0]!.status().lastError ?? "", /ENOENT/);
  assertAccounted(sinks[0]!, 3);
});

test("connections come from the address that is asked for", async () => {
  const fake = await startCarbon();
  const { sinks } = openCarbon([fake.port], { bindAddress: { host: "127.0.0.7", port: 0 } });
  sinks[0]!.accept(batchOf(numberedRows("a", 3)));
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(fake.remotes, ["127.0.0.7"]);
  const { socket, port } = await startUdp();
  const from = once(socket, "message");
  const udp = openCarbon([port], { protocol: "udp", bindAddress: { host: "127.0.0.8", port: 0 } }).sinks[0]!;
  udp.accept(batchOf(numberedRows("a", 3)));
  const [, remote] = (await from) as [Buffer, AddressInfo];
  assert.equal(remote.address, "127.0.0.8");
  socket.close();
});

test("several connections: as many chunks under way, each with its lines in order", async () => {
  const fake = await startCarbon(Array.from({ length: 4 }, () => ({ kind: "silent" })));
  const { sinks } = openCarbon([fake.port], { connections: 4, ackTimeoutMs: 300, chunkBytes: 4096 });
  const { batches, lines } = intervals(10, 100);
  for (const batch of batches) sinks[0]!.accept(batch);
  await fake.until(({ openCount }) => openCount === 4);
  assert.equal(sinks[0]!.status().queuedRows, 1000);
  assert.equal(await drained(sinks[0]!), true);
  // Each of the four was sent once more, and no other was sent twice.
  assert.deepEqual(fake.lines().sort(), [...lines].sort());
  for (const bytes of fake.acknowledged) {
    const [first = ""] = bytes.toString().split("\n");
    const from = lines.indexOf(first);
    const part = lines.slice(from, from + bytes.toString().split("\n").length - 1);
    assert.equal(bytes.toString(), `${part.join("\n")}\n`);
  }
  assert.equal(sinks[0]!.status().rowsSent, 1000);
  assertAccounted(sinks[0]!, 1000);
});

test("several connections that failed: one alone tries, until it succeeds", async () => {
  const fake = await startCarbon(Array.from({ length: 7 }, () => ({ kind: "silent" })));
  const { sinks } = openCarbon([fake.port], { connections: 4, ackTimeoutMs: 100, chunkBytes: 4096 });
  for (const batch of intervals(10, 100).batches) sinks[0]!.accept(batch);
  await fake.until(({ openCount }) => openCount === 4);
  await fake.until(({ connectionCount }) => connectionCount === 5);
  const startedMs = performance.now();
  await fake.until(({ connectionCount }) => connectionCount === 7);
  // Each of these had to time out before the next was made.
  assert.ok(performance.now() - startedMs > 150, "connections were made together");
  assert.equal(await drained(sinks[0]!), true);
  assertAccounted(sinks[0]!, 1000);
});

test("several connections, failing: they back off as one", async () => {
  const fake = await startCarbon();
  await fake.stop();
  const changes = { connections: 8, retryDelayMs: 10, retryDelayMultiplier: 2, retryDelayMaxMs: 10_000 };
  const { sinks, log } = openCarbon([fake.port], { ...changes, chunkBytes: 4096 });
  const failed = once(log, "sink.failed");
  for (const batch of intervals(12, 100).batches) sinks[0]!.accept(batch);
  await failed;
  const repeatedBefore = sinks[0]!.status().rowsRetried;
  await waitFor("some attempts", () => sinks[0]!.status().rowsRetried >= repeatedBefore + 300);
  // With eight backing off for themselves, the pause would be at its longest by now.
  await fake.restart();
  await waitFor("a recovery", () => sinks[0]!.status().state !== "retrying");
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(fake.lines().sort(), intervals(12, 100).lines.sort());
  assertAccounted(sinks[0]!, 1200);
});

test("a flapping carbon: the log tells of it once a second at most", async () => {
  const script = Array.from({ length: 60 }, (_, index) =>
    index % 2 === 0 ? ({ kind: "reset", afterBytes: 10 } as const) : ({ kind: "ack" } as const),
  );
  const fake = await startCarbon(script);
  const { sinks, log } = openCarbon([fake.port], { retryDelayMs: 1, retryDelayMaxMs: 2 });
  const startedMs = performance.now();
  for (const batch of intervals(30, 10).batches) sinks[0]!.accept(batch);
  assert.equal(await drained(sinks[0]!), true);
  const seconds = Math.ceil((performance.now() - startedMs) / 1000);
  assert.equal(sinks[0]!.status().rowsRetried, 300);
  assert.ok(log.count("sink.failed") <= seconds, `${log.count("sink.failed")} in ${seconds} s`);
  assert.equal(log.count("sink.recovered"), log.count("sink.failed"));
});

test("named sections: their names, their settings, and only those that are asked for", async () => {
  const fake = await startCarbon();
  const east = { ...openCarbon([1]).context.config.carbon, name: "east", address: [at(fake.port), at(1)] };
  const west = { ...east, name: "west", address: [at(fake.port)], protocol: "udp" } as const;
  const { context } = openCarbon([2], { others: [east, west] });
  assert.deepEqual(
    createCarbonSinks(context, "carbon.east").map(({ name }) => name),
    [`carbon.east[127.0.0.1:${fake.port}]`, "carbon.east[127.0.0.1:1]"],
  );
  assert.deepEqual(
    createCarbonSinks(context, "carbon.west").map(({ name }) => name),
    ["carbon.west"],
  );
  assert.deepEqual(createCarbonSinks(context, "carbon.north"), []);
});

test("other settings, the same address: it goes on with what it has", async () => {
  const fake = await startCarbon([{ kind: "silent" }]);
  const { sinks, context } = openCarbon([fake.port], { ackTimeoutMs: 60 });
  const { batches, lines } = intervals(4, 50);
  for (const batch of batches) sinks[0]!.accept(batch);
  await fake.until(({ connectionCount }) => connectionCount === 1);
  const { config } = context;
  const changed = { ...config, carbon: { ...config.carbon, chunkBytes: 4096, connections: 2 } };
  assert.equal(sinks[0]!.configure?.(changed), true);
  assert.equal(await drained(sinks[0]!), true);
  assert.deepEqual(fake.lines().sort(), lines.sort());
  const moved = { ...config, carbon: { ...config.carbon, address: [at(1)] } };
  assert.equal(sinks[0]!.configure?.(moved), false);
  assert.equal(sinks[0]!.configure?.({ ...config, carbon: { ...config.carbon, protocol: "udp" } }), false);
});
