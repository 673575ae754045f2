/** Streams of lines over TLS: handshakes that succeed, fail or never end, and certificates of clients. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { OperatorError } from "../../shared/errors.ts";
import { CONTROL_DRAIN, openReceiver, type StreamLimits, type TlsFiles } from "../../shared/udp.ts";
import { newBatch, newControl, textsOf } from "../support/receive-batch.ts";
import { StreamSubject } from "../support/stream-subject.ts";
import { tlsPath } from "../support/tcp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const listen = { kind: "tls", host: "127.0.0.1", port: 0 } as const;
const files: TlsFiles = { certPath: tlsPath("server.pem"), keyPath: tlsPath("server.key"), clientCaPath: "" };
const ca = readFileSync(tlsPath("ca.pem"));
/** The server's certificate serves as a client's just as well. */
const clientCertificate = { cert: readFileSync(files.certPath), key: readFileSync(files.keyPath) };
const folder = mkdtempSync(join(tmpdir(), "stream-tls-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

const start = (tls: Partial<TlsFiles> = {}, stream: Partial<StreamLimits> = {}): Promise<StreamSubject> =>
  StreamSubject.start(listen, stream, { tls: { ...files, ...tls } });

function dial({ receiver: { address } }: StreamSubject, options: ConnectionOptions = {}): TLSSocket {
  assert.ok(address.kind === "tls" && address.port > 0);
  const client = connect({ host: "127.0.0.1", port: address.port, ca, ...options });
  client.on("error", () => {});
  return client;
}

/** Resolves when a socket is closed, also in error. */
const closing = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once("close", () => resolve()));

test("lines come over TLS, also in small pieces, and the rest of a connection at its end", async () => {
  const subject = await start();
  const client = dial(subject);
  await once(client, "secureConnect");
  assert.ok(client.authorized);
  for (const piece of ["a:1", "|c\nb:2", "|c\n", "c:3|c"]) client.write(piece);
  client.end();
  await waitFor("all lines", () => subject.text === "a:1|c\nb:2|c\nc:3|c");
  await waitFor("the end", () => subject.tally.connections === 0);
  assert.equal(subject.tally.accepted, 1);
  assert.equal(subject.tally.handshakesFailed, 0);
  await subject.close();
});

test("a client without TLS, or of too old a TLS, is closed and counted", async () => {
  const subject = await start();
  const plain = await subject.connect();
  plain.resume().write("a:1|c\n".repeat(100));
  await closing(plain);
  const old = dial(subject, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" });
  await closing(old);
  await waitFor("both", () => subject.tally.handshakesFailed === 2);
  assert.equal(subject.tally.accepted, 0);
  assert.equal(subject.text, "");
  await subject.close();
});

test("clients must show a certificate where one is asked for", async () => {
  const subject = await start({ clientCaPath: tlsPath("ca.pem") });
  const stranger = dial(subject);
  stranger.resume().write("stranger:1|c\n");
  await closing(stranger);
  await waitFor("a refusal", () => subject.tally.handshakesFailed === 1);
  const known = dial(subject, clientCertificate);
  known.end("known:1|c\n");
  await waitFor("the line", () => subject.text === "known:1|c\n");
  assert.equal(subject.tally.accepted, 1);
  await subject.close();
});

test("a client cannot have the server shake hands again and again", async () => {
  const subject = await start();
  const client = dial(subject, { maxVersion: "TLSv1.2" });
  await once(client, "secureConnect");
  client.resume().write("a:1|c\n");
  await waitFor("the line", () => subject.text === "a:1|c\n");
  const outcome = await new Promise((resolve) => {
    client.once("error", () => resolve("refused"));
    client.renegotiate({}, (error) => resolve(error === null ? "shaken" : "refused"));
  });
  assert.equal(outcome, "refused");
  client.destroy();
  await subject.close();
});

test("a client that never finishes its handshake is closed in time and makes room", async () => {
  const subject = await start({ handshakeTimeoutMs: 300 }, { connectionsMax: 1 });
  const silent = await subject.connect();
  const refused = dial(subject);
  await closing(refused);
  assert.equal(subject.tally.refused, 1);
  silent.resume();
  await closing(silent);
  assert.equal(subject.tally.handshakesFailed, 1);
  const client = dial(subject);
  client.end("a:1|c\n");
  await waitFor("the line", () => subject.text === "a:1|c\n");
  await subject.close();
});

test("handshakes do not hold up a stop", async () => {
  const subject = await start();
  const silent = await subject.connect();
  const client = dial(subject);
  client.resume().write("a:1|c\n");
  await waitFor("the line", () => subject.text === "a:1|c\n");
  const closed = [closing(silent.resume()), closing(client)];
  await subject.close();
  await Promise.all(closed);
  await assert.rejects(subject.connect(), /ECONNREFUSED/);
});

test("clients wait while nobody reads", async () => {
  const receiver = await openReceiver("dgram", listen, {
    receiveBufferBytes: 0,
    sharePort: false,
    tls: files,
  });
  assert.ok(receiver.address.kind === "tls");
  const client = connect({ host: "127.0.0.1", port: receiver.address.port, ca });
  const chunk = Buffer.from("0123456789abcde\n".repeat(65_536));
  for (let i = 0; i < 32; i++) client.write(chunk);
  await waitFor("a connection", () => receiver.streamTally?.connections === 1);
  let turns = 0;
  await waitFor("time for reading", () => ++turns > 10);
  assert.ok(client.writableLength > 16 * chunk.length);
  const batch = await newBatch("dgram");
  const control = newControl();
  let bytes = 0;
  const onBatch = (received: number): boolean => {
    for (const text of textsOf(batch, received)) bytes += text.length;
    if (bytes === 32 * chunk.length) Atomics.store(control, 0, CONTROL_DRAIN);
    return true;
  };
  await receiver.run(batch, { onBatch }, control);
  assert.equal(bytes, 32 * chunk.length);
  client.destroy();
  receiver.close();
});

test("files that TLS cannot use are refused by name", async () => {
  const noise = join(folder, "noise.pem");
  writeFileSync(noise, "no certificate\n");
  const cases: readonly (readonly [Partial<TlsFiles> | undefined, RegExp])[] = [
    [undefined, /set tls-cert and tls-key/],
    [{ certPath: "" }, /set tls-cert and tls-key/],
    [{ certPath: join(folder, "missing.pem") }, /tls-cert .*missing.pem cannot be read \(ENOENT\)/],
    [{ certPath: noise }, /tls-cert .*noise.pem holds no certificate/],
    [{ certPath: tlsPath("ca.pem") }, /tls-key .*server.key cannot be used with tls-cert .*ca.pem/],
    [{ keyPath: noise }, /tls-key .*noise.pem cannot be used/],
    [{ clientCaPath: noise }, /tls-client-ca .*noise.pem holds no certificate/],
  ];
  for (const [change, message] of cases) {
    const tls = change === undefined ? undefined : { ...files, ...change };
    const opened = openReceiver("dgram", listen, { receiveBufferBytes: 0, sharePort: false, tls });
    await assert.rejects(opened, (error) => error instanceof OperatorError && message.test(error.message));
  }
});
