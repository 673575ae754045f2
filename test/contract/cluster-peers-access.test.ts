/** Who may talk to a node: tokens, proofs and certificates, right and wrong. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { speakHello } from "../../cluster/transport/hello.ts";
import { ACCESS_HEADERS, type PeerAccess } from "../../cluster/transport/peer-access.ts";
import { OperatorError } from "../../shared/errors.ts";
import {
  ask,
  askChallenge,
  FakeClient,
  FakeServer,
  type FakeServerOptions,
  upgradeHeaders,
} from "../support/fake-peer.ts";
import { helloOf, introduce, newDeltas, peerTls, TestHub, TOKEN } from "../support/peer-rig.ts";
import { waitFor } from "../support/wait-for.ts";

const OTHER_TOKEN = TOKEN.replace("0", "x");

async function openPair(t: TestContext, first: PeerAccess, second: PeerAccess): Promise<TestHub[]> {
  const n1 = await TestHub.open(t, "n1", { access: first });
  const n2 = await TestHub.open(t, "n2", { access: second });
  introduce({ n1, n2 });
  return [n1, n2];
}

test("nodes with different tokens hear nothing of each other, and no token is told", async (t) => {
  const hubs = await openPair(t, { token: TOKEN }, { token: OTHER_TOKEN });
  const [n1, n2] = hubs;
  await waitFor("both refusals", () => n1!.refusals.length > 0 && n2!.refusals.length > 0);
  assert.match(
    n1!.refusals[0]!,
    /^n2: "n2" refuses: the proof is wrong; do both nodes have the same token\? \(401\)/,
  );
  assert.deepEqual([...n1!.changes, ...n2!.changes], []);
  const told = JSON.stringify(hubs.map(({ log, refusals }) => [log.entries, refusals]));
  assert.ok(told.includes("peer.unauthorized"));
  for (const token of [TOKEN, OTHER_TOKEN]) assert.ok(!told.includes(token));
});

test("a node without a token is as strange as one that asks for none", async (t) => {
  const n1 = await TestHub.open(t, "n1");
  const n2 = await TestHub.open(t, "n2", { access: {} });
  introduce({ n1, n2 });
  await waitFor("both refusals", () => n1.refusals.length > 0 && n2.refusals.length > 0);
  assert.match(n1.refusals[0]!, /"n2" does not show that it knows the token/);
  assert.match(n2.refusals[0]!, /"n1" refuses: the proof is wrong/);
});

test("on loopback nodes need no token", async (t) => {
  const [n1] = await openPair(t, {}, {});
  await waitFor("both ways", () => n1!.isJoined("n2"));
});

test("an upgrade is good once, for its client and its server", async (t) => {
  const { hub } = await TestHub.open(t, "n1", { peers: [{ name: "n2", host: "127.0.0.1", port: 1 }] });
  const refusalOf = async (headers: Record<string, string>): Promise<string> => {
    const client = new FakeClient(t, hub.port, headers);
    await waitFor("a refusal", () => client.refusal !== undefined);
    return `${client.refusal!.status} ${client.refusal!.body}`;
  };
  const headers = await upgradeHeaders(hub.port);
  const first = new FakeClient(t, hub.port, headers);
  await waitFor("the first", () => first.heard.length === 1);
  assert.match(await refusalOf(headers), /^401 the challenge is not open/);
  const forged = "0.00000000000000000000000000000000.".padEnd(99, "0");
  assert.match(await refusalOf(await upgradeHeaders(hub.port, { challenge: forged })), /^401 the challenge/);
  const renamed = { ...(await upgradeHeaders(hub.port)), [ACCESS_HEADERS.client]: "n3" };
  assert.match(await refusalOf(renamed), /^401 the proof is wrong/);
  const elsewhere = await upgradeHeaders(hub.port, { server: "n3" });
  assert.match(await refusalOf(elsewhere), /^403 this is "n1" and not "n3"/);
  assert.match(await refusalOf({ ...elsewhere, [ACCESS_HEADERS.server]: "n1" }), /^401 the proof is wrong/);
  assert.match(await refusalOf({}), /^401 the request does not say who asks/);
  const page = { ...(await upgradeHeaders(hub.port)), origin: "http://evil.test" };
  assert.match(await refusalOf(page), /^403 web pages have no business here/);
  assert.equal(hub.unauthorized, 7);
});

test("what a client says first must be what it has proved", async (t) => {
  const n1 = await TestHub.open(t, "n1", { peers: [{ name: "n2", host: "127.0.0.1", port: 1 }] });
  const client = new FakeClient(t, n1.hub.port, await upgradeHeaders(n1.hub.port));
  await waitFor("the upgrade", () => client.heard.length === 1);
  client.webSocket.send(speakHello(helloOf("n2", { incarnation: "another" })).packet);
  await waitFor("the end", () => client.closed !== undefined);
  assert.deepEqual(client.closed, { code: 4001, reason: 'what "n2" says of itself is not what it proved' });
});

test("the port has one page, and none for web pages", async (t) => {
  const { hub } = await TestHub.open(t, "n1");
  assert.match(await askChallenge(hub.port), /^[0-9a-z]+\.[0-9a-f]{32}\.[0-9a-f]{64}$/);
  assert.equal((await ask(hub.port, "/peer/challenge", { origin: "http://evil.test" })).status, 403);
  assert.equal((await ask(hub.port, "/metrics")).status, 404);
  assert.equal((await ask(hub.port, "/peer")).status, 404);
});

const fakes: Readonly<Record<string, FakeServerOptions["prove"]>> = {
  "no proof": () => undefined,
  "a proof of its own": () => "0".repeat(64),
  "the client's own proof": (_, request) => String(request.headers[ACCESS_HEADERS.proof]),
};
for (const [what, prove] of Object.entries(fakes)) {
  test(`a server that shows ${what} hears nothing`, async (t) => {
    const fake = await FakeServer.open(t, { prove: prove! });
    const n1 = await TestHub.open(t, "n1", { peers: [fake.address] });
    await waitFor("the refusal", () => n1.refusals.length === 1);
    n1.hub.send("n2", { kind: "beat", term: 1, floor: 1 });
    await waitFor("another attempt", () => fake.connections >= 4);
    assert.deepEqual(n1.refusals, ['n2: "n2" does not show that it knows the token']);
    assert.equal(fake.heard.length, 0);
    assert.deepEqual(n1.changes, []);
  });
}

test("beyond loopback nobody listens without a token, and none is short", async () => {
  const rejects = async (given: object, message: RegExp): Promise<void> => {
    await assert.rejects(new TestHub("n1", given).hub.open(), (error: Error) => {
      assert.ok(error instanceof OperatorError, error.message);
      assert.match(error.message, message);
      return true;
    });
  };
  for (const host of ["0.0.0.0", "*", "::", "somewhere.test"]) {
    await rejects({ listen: { host, port: 0 }, access: {} }, /beyond loopback/);
  }
  await rejects({ access: { token: TOKEN.slice(1) } }, /cluster\.token has 31 bytes; expected at least 32/);
});

test("a node that cannot listen says why", async (t) => {
  const { hub } = await TestHub.open(t, "n1");
  const listen = { host: "127.0.0.1", port: hub.port };
  await assert.rejects(new TestHub("n2", { listen }).hub.open(), /EADDRINUSE.*choose a free one/);
  const tls = { ...peerTls("n1"), key: "none" };
  await assert.rejects(new TestHub("n2", { access: { tls } }).hub.open(), /cannot be used/);
});

test("certificates do in the place of a token, or besides one", async (t) => {
  for (const token of [{}, { token: TOKEN }]) {
    const [n1, n2] = await openPair(t, { tls: peerTls("n1"), ...token }, { tls: peerTls("n2"), ...token });
    await waitFor("both ways", () => n1!.isJoined("n2") && n2!.isJoined("n1"));
    n1!.hub.send("n2", { kind: "beat", term: 1, floor: 1 });
    await waitFor("the message", () => n2!.messages.length === 1);
  }
});

test("many deltas at once go through TLS as well", async (t) => {
  const n1 = await TestHub.open(t, "n1", { access: { tls: peerTls("n1") }, backlogBytesMax: 256 << 20 });
  const n2 = await TestHub.open(t, "n2", { access: { tls: peerTls("n2") } });
  introduce({ n1, n2 });
  await waitFor("the way", () => n1.hub.isConnected("n2"));
  for (let bundle = 0; bundle < 100; bundle++) n1.hub.send("n2", newDeltas(bundle * 256, 256, 4000));
  await waitFor("all of them", () => n2.messages.length === 100);
  assert.deepEqual(n1.changes, ["+n2"]);
});

test("a node may have its name as the common name", async (t) => {
  const n1 = await TestHub.open(t, "n1", { access: { tls: peerTls("n1") } });
  const n3 = await TestHub.open(t, "n3", { access: { tls: peerTls("n3") } });
  introduce({ n1, n3 });
  await waitFor("both ways", () => n1.isJoined("n3"));
});

const certificates = {
  "n2-stranger": /self.signed|unknown.ca|certificate/i,
  "n2-expired": /certificate has expired/i,
  n3: /the certificate is not that of "n2"/,
} as const;
for (const [name, reason] of Object.entries(certificates)) {
  test(`the certificate ${name} does not make its owner n2`, async (t) => {
    const wrong = { ...peerTls(name as keyof typeof certificates), ca: peerTls("n1").ca };
    const [n1, n2] = await openPair(t, { tls: peerTls("n1") }, { tls: wrong });
    await waitFor("the refusal", () => n1!.refusals.length > 0);
    assert.match(n1!.refusals[0]!, reason);
    const theirs = () => n2!.stateOf("n1").outgoing.lastError ?? "";
    await waitFor("the other way", () => /certificate/.test(theirs()) && n1!.hub.unauthorized > 0);
    assert.deepEqual([...n1!.changes, ...n2!.changes], []);
  });
}

test("without TLS, or without a certificate, nobody gets to a server that asks for one", async (t) => {
  const n1 = await TestHub.open(t, "n1", { access: { token: TOKEN, tls: peerTls("n1") } });
  const plain = await TestHub.open(t, "n2", { peers: [n1.addressAs("n1")] });
  await waitFor("a fault", () => plain.stateOf("n1").outgoing.lastError !== undefined);
  await waitFor("the count", () => n1.hub.unauthorized > 0);
  assert.deepEqual(plain.changes, []);
});

/** Connects so many, which begin a request and never end it. Returns how many are left. */
function crowd(t: TestContext, { hub }: TestHub, count: number): () => number {
  let left = count;
  for (let index = 0; index < count; index++) {
    const socket = connect(hub.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("close", () => {
      left -= 1;
    });
    socket.write("GET /peer/challenge HTTP/1.1\r\nHost: x\r\nX: ");
    t.after(() => socket.destroy());
  }
  return () => left;
}

test("strangers that say nothing are cut in time", async (t) => {
  const n1 = await TestHub.open(t, "n1", { handshakeTimeoutMs: 300 });
  const startedMs = performance.now();
  const left = crowd(t, n1, 100);
  await waitFor("their end", () => left() === 0);
  assert.ok(performance.now() - startedMs < 3000);
});

test("however many strangers there are, a peer comes in", async (t) => {
  const n1 = await TestHub.open(t, "n1", { handshakeTimeoutMs: 60_000 });
  const left = crowd(t, n1, 400);
  const n2 = await TestHub.open(t, "n2");
  introduce({ n1, n2 });
  await waitFor("both ways", () => n1.isJoined("n2"));
  await waitFor("no more than some of them", () => left() <= 256);
  assert.ok(left() > 200);
});
