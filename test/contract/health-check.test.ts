/** What each health check finds, at real sockets. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeProbe } from "../../relay/health/check.ts";
import type { HealthCheck, HealthTarget, Probe, Verdict } from "../../relay/health/probe.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const TIMEOUT_MS = 1000;
const folder = mkdtempSync(join(tmpdir(), "health-"));
const closing: (() => void)[] = [() => rmSync(folder, { recursive: true })];
// Probes keep no process alive, so something else has to while only they are waited for.
before(() => listen(() => {}));
after(() => {
  for (const close of closing) close();
});

/** Listens on a free port; each connection is handed to `serve`. */
async function listen(
  serve: (socket: Socket) => void,
  host = "127.0.0.1",
): Promise<{ port: number; server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  });
  server.listen(0, host);
  await once(server, "listening");
  closing.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

/** A port of TCP and UDP that nobody listens on. */
async function freePort(): Promise<number> {
  const { port, server } = await listen(() => {});
  server.close();
  await once(server, "close");
  return port;
}

function udpTarget(port: number, host = "127.0.0.1"): HealthTarget {
  return { key: `main ${host}:${port}`, ring: "main", protocol: "udp", host, port };
}

function probe(target: HealthTarget, check: HealthCheck, connection?: boolean) {
  const clock = new ManualClock();
  const made = makeProbe(target, check, { clock, timeoutMs: TIMEOUT_MS, connection: () => connection });
  assert.ok(made);
  closing.push(() => made.close());
  return { probe: made, clock };
}

function verdictOf(made: Probe): Promise<Verdict> {
  return new Promise((resolve) => made.check(resolve));
}

/** One check that answers by itself, before its timeout. */
function ask(target: HealthTarget, check: HealthCheck, connection?: boolean): Promise<Verdict> {
  return verdictOf(probe(target, check, connection).probe);
}

test("refusal: silence is good, and only a line feed is sent", async () => {
  for (const host of ["127.0.0.1", "::1"]) {
    const sink = await UdpSink.open(host);
    const port = Number(sink.destination.split(":").at(-1));
    const { probe: made, clock } = probe(udpTarget(port, host), { kind: "refusal" });
    for (let round = 1; round <= 3; round++) {
      const verdict = verdictOf(made);
      await waitFor("the line feed", () => sink.packets.length === round);
      clock.advance(TIMEOUT_MS);
      assert.deepEqual(await verdict, { kind: "good" });
    }
    assert.deepEqual(sink.packets, ["\n", "\n", "\n"]);
    await sink.close();
  }
});

test("refusal: a port without a listener is bad, until somebody listens", async () => {
  const sink = await UdpSink.open();
  const port = Number(sink.destination.split(":").at(-1));
  await sink.close();
  const { probe: made, clock } = probe(udpTarget(port), { kind: "refusal" });
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await verdictOf(made), { kind: "bad", fault: "ECONNREFUSED" });
  }
  const revived = createSocket("udp4").bind(port, "127.0.0.1");
  closing.push(() => revived.close());
  await once(revived, "listening");
  const heard = once(revived, "message");
  const verdict = verdictOf(made);
  await heard;
  clock.advance(TIMEOUT_MS);
  assert.deepEqual(await verdict, { kind: "good" });
});

test("refusal: a refusal that comes after the timeout is told by the next check", async () => {
  const port = await freePort();
  const { probe: made, clock } = probe(udpTarget(port), { kind: "refusal" });
  const first = verdictOf(made);
  clock.advance(TIMEOUT_MS);
  assert.deepEqual(await first, { kind: "good" });
  let second: Verdict | undefined;
  made.check((verdict) => {
    second = verdict;
  });
  await waitFor("the refusal", () => second !== undefined);
  assert.deepEqual(second, { kind: "bad", fault: "ECONNREFUSED" });
});

test("tcp: whoever takes connections is good, at the check's port or the destination's", async () => {
  let connections = 0;
  const { port } = await listen(() => {
    connections += 1;
  });
  assert.deepEqual(await ask(udpTarget(port), { kind: "tcp" }), { kind: "good" });
  assert.deepEqual(await ask(udpTarget(1), { kind: "tcp", port }), { kind: "good" });
  assert.deepEqual(await ask({ ...udpTarget(port), protocol: "tls" }, { kind: "refusal" }), { kind: "good" });
  await waitFor("three connections", () => connections === 3);
  const refused = await ask(udpTarget(await freePort()), { kind: "tcp" });
  assert.deepEqual(refused, { kind: "bad", fault: "ECONNREFUSED" });
});

test("http: 2xx is good, all else is bad; one request, with the configured name", async () => {
  const answers: [string, Verdict][] = [
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", { kind: "good" }],
    ["HTTP/1.0 204\r\n\r\n", { kind: "good" }],
    ["HTTP/1.1 299 Fine\n", { kind: "good" }],
    ["HTTP/1.1 302 Found\r\n\r\n", { kind: "bad", fault: "HTTP 302" }],
    ["HTTP/1.1 503 Service Unavailable\r\n\r\n", { kind: "bad", fault: "HTTP 503" }],
    ["SSH-2.0-OpenSSH\r\n", { kind: "bad", fault: "no HTTP" }],
    ["x".repeat(100_000), { kind: "bad", fault: "no HTTP" }],
    ["HTTP/1.1 200", { kind: "bad", fault: "no HTTP" }],
    ["", { kind: "bad", fault: "no answer" }],
  ];
  for (const [answer, expected] of answers) {
    let request = "";
    const { port } = await listen((socket) => {
      socket.on("data", (piece) => {
        request += piece;
        socket.end(answer);
      });
    });
    const target = { ...udpTarget(8125), name: "stats.example" };
    const check = { kind: "http", port, path: "/ready?a b\r\nX: y" } as const;
    assert.deepEqual(await ask(target, check), expected, answer.slice(0, 40));
    const lines = request.split("\r\n");
    assert.equal(lines[0], "GET /ready?a%20b%0D%0AX:%20y HTTP/1.1");
    assert.equal(lines[1], `Host: stats.example:${port}`);
    assert.equal(request.indexOf("\r\n\r\n"), request.length - 4);
  }
});

test("statsd: `health: up` is good, in however many pieces; all else is bad", async () => {
  const answers: [string[], Verdict][] = [
    [["health: up\n"], { kind: "good" }],
    [["hea", "lth: u", "p"], { kind: "good" }],
    [["\n", "health: up\n\n"], { kind: "good" }],
    [["health: ", "down\n"], { kind: "bad", fault: "health: down" }],
    [["ERROR\n"], { kind: "bad", fault: "no health in the answer" }],
    [[""], { kind: "bad", fault: "no answer" }],
    [["x".repeat(100_000)], { kind: "bad", fault: "no health in the answer" }],
  ];
  for (const [pieces, expected] of answers) {
    let request = "";
    const { port } = await listen((socket) => {
      socket.setNoDelay(true);
      socket.on("data", (piece) => {
        request += piece;
        const rest = [...pieces];
        const next = (): void => {
          const text = rest.shift();
          if (text === undefined) socket.end();
          else socket.write(text, () => setImmediate(next));
        };
        next();
      });
    });
    assert.deepEqual(await ask(udpTarget(8125), { kind: "statsd", port }), expected, pieces.join("|"));
    assert.equal(request, "health\n");
  }
});

test("whoever takes a connection and says nothing is bad at the timeout, and let go", async () => {
  for (const kind of ["http", "statsd"] as const) {
    let open = 0;
    const { port } = await listen((socket) => {
      open += 1;
      socket.resume();
      socket.on("close", () => {
        open -= 1;
      });
    });
    const { probe: made, clock } = probe(udpTarget(8125), { kind, port });
    const verdict = verdictOf(made);
    await waitFor("the connection", () => open === 1);
    clock.advance(TIMEOUT_MS);
    assert.deepEqual(await verdict, { kind: "bad", fault: "timeout" });
    await waitFor("its end", () => open === 0);
  }
});

test("a closed probe reports nothing", async () => {
  const { port } = await listen((socket) => socket.resume());
  for (const check of [{ kind: "http", port }, { kind: "refusal" }] as const) {
    const { probe: made, clock } = probe(udpTarget(port), check);
    let reports = 0;
    made.check(() => {
      reports += 1;
    });
    made.close();
    clock.advance(TIMEOUT_MS);
    assert.deepEqual(await ask(udpTarget(port), { kind: "tcp" }), { kind: "good" });
    assert.equal(reports, 0);
  }
});

test("auto: refusal for UDP, the outlet's connection for TCP and TLS", async () => {
  const port = await freePort();
  assert.deepEqual(await ask(udpTarget(port), { kind: "auto" }), { kind: "bad", fault: "ECONNREFUSED" });
  for (const protocol of ["tcp", "tls"] as const) {
    const target = { ...udpTarget(port), protocol };
    assert.equal((await ask(target, { kind: "auto" })).kind, "unknown");
    assert.deepEqual(await ask(target, { kind: "auto" }, true), { kind: "good" });
    assert.deepEqual(await ask(target, { kind: "auto" }, false), { kind: "bad", fault: "not connected" });
  }
});

test("a unix path is good while it is a socket, whatever the check", async () => {
  const path = join(folder, "some.sock");
  const target: HealthTarget = { key: "main unixgram", ring: "main", protocol: "unixgram", path };
  for (const kind of ["auto", "refusal", "tcp", "http", "statsd"] as const) {
    assert.deepEqual(await ask(target, { kind, port: 1 }), { kind: "bad", fault: "ENOENT" });
  }
  const server = createServer().listen(path);
  await once(server, "listening");
  assert.deepEqual(await ask(target, { kind: "auto" }), { kind: "good" });
  server.close();
  await once(server, "close");
  writeFileSync(path, "");
  assert.deepEqual(await ask(target, { kind: "auto" }), { kind: "bad", fault: "no socket" });
});

test("none: nobody is looked at", () => {
  const context = { clock: new ManualClock(), timeoutMs: TIMEOUT_MS, connection: () => undefined };
  assert.equal(makeProbe(udpTarget(1), { kind: "none" }, context), undefined);
});
