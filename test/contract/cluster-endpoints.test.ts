/** Servers of a store: which one is asked, over what, and how long; on a clock that is turned by hand. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { EndpointFault, type EndpointOptions, HttpEndpoints } from "../../cluster/election/http-endpoints.ts";
import { OperatorError } from "../../shared/errors.ts";
import { seededRandom } from "../../shared/random.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { tlsPath } from "../support/tcp-sink.ts";

const TIMEOUT_MS = 1000;

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

function endpointsOf(
  endpoints: readonly string[],
  clock = new ManualClock(),
  tls: EndpointOptions["tls"] = {},
) {
  return new HttpEndpoints(
    { endpoints, requestTimeoutMs: TIMEOUT_MS, tls },
    { clock, random: seededRandom(1) },
  );
}

/** Runs a test against a server, at http://127.0.0.1:PORT. */
async function withServer(
  listener: RequestListener,
  body: (endpoint: string, server: Server) => Promise<void>,
): Promise<void> {
  const server = createServer(listener);
  const port = await listen(server);
  try {
    await body(`http://127.0.0.1:${port}`, server);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** Rejects with a fault of these words; returns it. */
async function faultOf(asked: Promise<unknown>, words: RegExp): Promise<EndpointFault> {
  let fault: unknown;
  await asked.catch((error: unknown) => {
    fault = error;
  });
  assert.ok(fault instanceof EndpointFault, "no fault");
  assert.match(fault.message, words);
  assert.notEqual(fault.remedy, "");
  return fault;
}

const LOOK = { method: "GET", path: "/look" } as const;

test("a body goes out and an answer comes back as JSON, below the path of a proxy", () =>
  withServer(
    (request, response) => {
      request.resume();
      response.end(JSON.stringify({ url: request.url, token: request.headers["x-token"] }));
    },
    async (endpoint) => {
      const endpoints = endpointsOf([`${endpoint}/proxy/`]);
      const call = {
        method: "PUT",
        path: "/v1/kv?a=1",
        body: { b: 2 },
        headers: { "X-Token": "t" },
      } as const;
      const answer = await endpoints.request(call);
      assert.deepEqual([answer.status, answer.endpoint], [200, endpoint]);
      assert.deepEqual(answer.body, { url: "/proxy/v1/kv?a=1", token: "t" });
      endpoints.close();
    },
  ));

test("TLS wants an authority that is known", async () => {
  const [ca, cert, key] = (["ca.pem", "server.pem", "server.key"] as const).map((name) =>
    readFileSync(tlsPath(name), "utf8"),
  ) as [string, string, string];
  const server = createTlsServer({ cert, key }, (_, response) => response.end("{}"));
  const endpoint = `https://127.0.0.1:${await listen(server)}`;
  const trusting = endpointsOf([endpoint], undefined, { ca });
  assert.equal((await trusting.request(LOOK)).status, 200);
  const strict = endpointsOf([endpoint]);
  const fault = await faultOf(strict.request(LOOK), /SELF_SIGNED|UNABLE_TO_VERIFY/);
  assert.match(fault.remedy, /authority/);
  const plain = endpointsOf([endpoint.replace("https", "http")]);
  await faultOf(plain.request(LOOK), /ECONNRESET|HPE_/);
  for (const endpoints of [trusting, strict, plain]) endpoints.close();
  server.closeAllConnections();
  server.close();
});

test("an answer that does not come, that is cut, or that is too long is a fault", async () => {
  const clock = new ManualClock();
  const listener: RequestListener = ({ url }, response) => {
    if (url === "/late") setImmediate(() => clock.advance(TIMEOUT_MS));
    if (url === "/cut")
      response.writeHead(200, { "Content-Length": "100" }).write("{", () => response.destroy());
    if (url === "/long") response.end("x".repeat(1024 * 1024));
    if (url === "/odd") response.end("what?");
  };
  await withServer(listener, async (endpoint) => {
    const endpoints = endpointsOf([endpoint], clock);
    const ask = (path: string) => endpoints.request({ method: "GET", path });
    await faultOf(ask("/late"), /^no answer in 1000 ms$/);
    await faultOf(ask("/cut"), /ECONNRESET|aborted/);
    await faultOf(ask("/long"), /too long/);
    assert.equal((await ask("/odd")).body, undefined);
    const hung = faultOf(ask("/hung"), /cancelled/);
    endpoints.cancel();
    await hung;
    endpoints.close();
  });
});

test("a kept connection that the server has closed meanwhile is replaced without a fault", async () => {
  let count = 0;
  const listener: RequestListener = (request, response) => {
    count += 1;
    // The second request over the first connection finds it closed.
    if (count === 2) request.socket.resetAndDestroy();
    else response.end("{}");
  };
  await withServer(listener, async (endpoint) => {
    const endpoints = endpointsOf([endpoint]);
    await endpoints.request(LOOK);
    assert.equal((await endpoints.request(LOOK)).status, 200);
    assert.equal(count, 3);
    endpoints.close();
  });
});

test("whoever answered last is asked next; who failed rests, longer each time", async () => {
  const clock = new ManualClock();
  const asked: string[] = [];
  let isWell = false;
  const listener = (name: string): RequestListener => {
    return (_, response) => {
      asked.push(name);
      response.writeHead(name === "one" || isWell ? 503 : 200).end("{}");
    };
  };
  await withServer(listener("one"), (one) =>
    withServer(listener("two"), async (two) => {
      const endpoints = endpointsOf([one, two], clock);
      await faultOf(endpoints.request(LOOK), /^HTTP 503$/);
      assert.ok(endpoints.hasFresh);
      for (let turn = 0; turn < 3; turn++) {
        clock.advance(60_000);
        await endpoints.request(LOOK);
      }
      assert.deepEqual(asked, ["one", "two", "two", "two"]);
      isWell = true;
      await faultOf(endpoints.request(LOOK), /^HTTP 503$/);
      await faultOf(endpoints.request(LOOK), /^HTTP 503$/);
      assert.ok(!endpoints.hasFresh);
      assert.deepEqual(asked.slice(4), ["two", "one"]);
      clock.advance(5000);
      assert.ok(endpoints.hasFresh);
      endpoints.close();
    }),
  );
});

test("an answer that goes on ends with the line that is enough, or when time is up", async () => {
  const clock = new ManualClock();
  const listener: RequestListener = ({ url }, response) => {
    response.write('{"created":true}\n{"even');
    if (url === "/watch") setImmediate(() => response.write('t":1}\n'));
  };
  await withServer(listener, async (endpoint) => {
    const endpoints = endpointsOf([endpoint], clock);
    const lines: string[] = [];
    const isEnough = (line: string): boolean => {
      lines.push(line);
      return line.includes("event");
    };
    await endpoints.request({ method: "GET", path: "/watch", isEnough });
    assert.deepEqual(lines, ['{"created":true}', '{"event":1}']);
    const begun = (): boolean => {
      setImmediate(() => clock.advance(TIMEOUT_MS));
      return false;
    };
    await endpoints.request({ method: "GET", path: "/quiet", isEnough: begun });
    assert.ok(endpoints.hasFresh);
    endpoints.close();
  });
});

test("endpoints that are no URLs, or have a password in them, are refused without showing it", () => {
  for (const endpoint of ["127.0.0.1:2379", "ftp://a", "http://"]) {
    assert.throws(() => endpointsOf([endpoint]), OperatorError);
  }
  assert.throws(() => endpointsOf([]), OperatorError);
  assert.throws(
    () => endpointsOf(["http://user:word@host:1"]),
    (error: Error) => {
      return (
        error instanceof OperatorError && !error.message.includes("word") && error.message.includes("host")
      );
    },
  );
});
