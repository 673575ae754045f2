import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { afterEach, test } from "node:test";
import { OperatorError } from "../../shared/errors.ts";
import {
  HTTP_BODY_BYTES_MAX,
  type HttpRoute,
  type HttpServer,
  jsonResponse,
  startHttp,
  textResponse,
} from "../../shared/http.ts";
import { standardRoutes } from "../../shared/standard-routes.ts";

const open: HttpServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** Starts a server on any free port, closed after the test; errors logged are kept. */
async function serve(
  routes: HttpRoute[],
  host = "127.0.0.1",
): Promise<{ server: HttpServer; logged: string[] }> {
  const logged: string[] = [];
  const server = await startHttp({ host, port: 0 }, routes, { error: (event) => logged.push(event) });
  open.push(server);
  return { server, logged };
}

/** Sends a request with its path as it stands, without the tidying that fetch does. */
async function ask(
  server: HttpServer,
  method: string,
  path: string,
  body?: Buffer | string,
): Promise<Answer> {
  const host = server.address.slice(0, server.address.lastIndexOf(":")).replace(/[[\]]/g, "");
  const request = httpRequest({ host, port: server.port, method, path, agent: false });
  request.end(body);
  const [response] = await once(request, "response");
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

/** Writes raw bytes and returns all that comes back until the server closes. */
async function raw(server: HttpServer, bytes: string): Promise<string> {
  const socket = connect(server.port, "127.0.0.1");
  socket.write(bytes);
  let text = "";
  for await (const chunk of socket) text += chunk;
  return text;
}

const echo: HttpRoute = {
  method: "POST",
  path: "/echo",
  readsBody: true,
  handler: ({ body, query }) => jsonResponse(200, { bytes: body?.length, query: [...query] }),
};
const hello: HttpRoute = { method: "GET", path: "/hello", handler: () => textResponse(200, "hello") };
const broken: HttpRoute = {
  method: "GET",
  path: "/broken",
  handler: () => {
    throw new Error("secret detail");
  },
};

test("a known path is answered, with headers that forbid caching and name no server", async () => {
  const { server } = await serve([hello]);
  const answer = await ask(server, "GET", "/hello?a=1");
  assert.equal(answer.status, 200);
  assert.equal(answer.text, "hello\n");
  assert.equal(answer.headers["cache-control"], "no-store");
  assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
  assert.equal(answer.headers.server, undefined);
  assert.equal(answer.headers["x-powered-by"], undefined);
});

test("HEAD is GET without a body", async () => {
  const { server } = await serve([hello]);
  const answer = await ask(server, "HEAD", "/hello");
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-length"], "6");
  assert.equal(answer.text, "");
});

test("an unknown path is 404, another method is 405 with Allow", async () => {
  const { server } = await serve([hello, echo]);
  for (const path of ["/", "/hello/", "/hell", "//hello", "/HELLO"]) {
    assert.equal((await ask(server, "GET", path)).status, 404, path);
  }
  const answer = await ask(server, "DELETE", "/hello");
  assert.equal(answer.status, 405);
  assert.equal(answer.headers.allow, "GET, HEAD");
  assert.equal((await ask(server, "GET", "/echo")).headers.allow, "POST");
});

test("a target that cannot be read is 400", async () => {
  const { server } = await serve([hello]);
  assert.equal((await ask(server, "GET", "/%zz")).status, 400);
  assert.match(
    await raw(server, "GET http://a/hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    /^HTTP\/1.1 400 /,
  );
  assert.match(await raw(server, "\0\0garbage\r\n\r\n"), /^HTTP\/1.1 400 /);
});

test("a body comes whole where it is wanted, with the query", async () => {
  const { server } = await serve([echo]);
  const answer = await ask(server, "POST", "/echo?a=1&b=x%20y", Buffer.alloc(HTTP_BODY_BYTES_MAX));
  assert.deepEqual(JSON.parse(answer.text), {
    bytes: HTTP_BODY_BYTES_MAX,
    query: [
      ["a", "1"],
      ["b", "x y"],
    ],
  });
  assert.equal(answer.headers["content-type"], "application/json; charset=utf-8");
});

test("a body too large is 413, announced or not, and its connection is closed", async () => {
  const { server } = await serve([echo]);
  const head = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  const announced = await raw(server, `${head}Content-Length: ${HTTP_BODY_BYTES_MAX + 1}\r\n\r\n`);
  assert.match(announced, /^HTTP\/1.1 413 .*Connection: close/s);
  const chunk = `10001\r\n${"x".repeat(0x10001)}\r\n`;
  const chunked = await raw(server, `${head}Transfer-Encoding: chunked\r\n\r\n${chunk}`);
  assert.match(chunked, /^HTTP\/1.1 413 .*Connection: close/s);
});

test("what a handler throws is logged, not shown", async () => {
  const { server, logged } = await serve([broken]);
  const answer = await ask(server, "GET", "/broken");
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.text, /secret/);
  assert.deepEqual(logged, ["management.handler"]);
});

test("the standard routes tell liveness from readiness", async () => {
  let ready = false;
  const { server } = await serve(
    standardRoutes({ isReady: () => ({ ready, detail: { peers: 2 } }), metrics: () => "a 1\n" }),
  );
  assert.equal((await ask(server, "GET", "/healthz")).text, "ok\n");
  assert.equal((await ask(server, "GET", "/healthcheck")).status, 200);
  const before = await ask(server, "GET", "/readyz");
  assert.equal(before.status, 503);
  assert.deepEqual(JSON.parse(before.text), { ready: false, peers: 2 });
  ready = true;
  assert.equal((await ask(server, "GET", "/readyz")).status, 200);
  const metrics = await ask(server, "GET", "/metrics");
  assert.equal(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(metrics.text, "a 1\n");
});

test("a port in use is an operator's error that names the address", async () => {
  const { server } = await serve([hello]);
  await assert.rejects(
    startHttp({ host: "127.0.0.1", port: server.port }, [], { error: () => {} }),
    (error) =>
      error instanceof OperatorError && error.message.includes(server.address) && /free/.test(error.message),
  );
});

test("an IPv6 literal is served and shown in brackets", async (context) => {
  try {
    const { server } = await serve([hello], "::1");
    assert.equal(server.address, `[::1]:${server.port}`);
    assert.equal((await ask(server, "GET", "/hello")).status, 200);
  } catch (error) {
    if (!(error instanceof OperatorError && error.message.includes("EADDRNOTAVAIL"))) throw error;
    context.diagnostic("this machine has no IPv6 loopback, so nothing was checked");
  }
});

test("close ends idle connections and lets a request under way finish", async () => {
  let release = (): void => {};
  let entered = (): void => {};
  const isUnderWay = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const slow: HttpRoute = {
    method: "GET",
    path: "/slow",
    handler: async () => {
      entered();
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return textResponse(200, "done");
    },
  };
  const { server } = await serve([slow]);
  const idle = connect(server.port, "127.0.0.1");
  await once(idle, "connect");
  const answer = ask(server, "GET", "/slow");
  await isUnderWay;
  const closed = server.close();
  release();
  assert.equal((await answer).text, "done\n");
  idle.destroy();
  await closed;
});
