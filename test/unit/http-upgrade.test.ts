import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, test } from "node:test";
import { type HttpOptions, type HttpServer, jsonResponse, startHttp } from "../../shared/http.ts";

const open: HttpServer[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});

async function serve(options: HttpOptions): Promise<{ server: HttpServer; logged: string[] }> {
  const logged: string[] = [];
  const routes = [
    {
      method: "GET" as const,
      path: "/who",
      handler: ({ client }: { client: string }) => ({
        ...jsonResponse(200, { client }),
        headers: { "X-A": "b" },
      }),
    },
  ];
  const log = { error: (event: string) => void logged.push(event) };
  const server = await startHttp({ host: "127.0.0.1", port: 0 }, routes, log, options);
  open.push(server);
  return { server, logged };
}

function askUpgrade(server: HttpServer, path: string): Socket {
  const socket = connect(server.port, "127.0.0.1");
  socket.setEncoding("utf8");
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`);
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let text = "";
  for await (const piece of socket) text += piece;
  return text;
}

const ECHO: HttpOptions = {
  upgrades: [
    {
      path: "/echo",
      handler: (_incoming, { query }, socket) => {
        if (query.get("no") !== null) return jsonResponse(401, { error: "no" });
        if (query.get("fault") !== null) throw new Error("a fault");
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        socket.on("data", (piece) => socket.write(piece));
        return undefined;
      },
    },
  ],
};

test("an upgrade is handed to who takes it, with all that follows", async () => {
  const { server } = await serve(ECHO);
  const socket = askUpgrade(server, "/echo");
  const [head] = await once(socket, "data");
  assert.match(String(head), /^HTTP\/1\.1 101 /);
  socket.write("ping");
  assert.equal(String((await once(socket, "data"))[0]), "ping");
  socket.destroy();
});

test("an upgrade that nobody takes, that is refused, or whose taker fails, gets an answer", async () => {
  const { server, logged } = await serve({ ...ECHO, hasJsonErrors: true });
  const refused = await readAll(askUpgrade(server, "/echo?no"));
  assert.match(refused, /^HTTP\/1\.1 401 Unauthorized\r\n.*Content-Type: application\/json/s);
  assert.ok(refused.endsWith('{"error":"no"}\n'));
  assert.match(
    await readAll(askUpgrade(server, "/other")),
    /^HTTP\/1\.1 404 .*\{"error":"no such page"\}\n$/s,
  );
  assert.match(await readAll(askUpgrade(server, "/%zz")), /^HTTP\/1\.1 400 /);
  assert.match(await readAll(askUpgrade(server, "/echo?fault")), /^HTTP\/1\.1 500 /);
  assert.deepEqual(logged, ["management.handler"]);
});

test("an offer to upgrade, as Java's client makes one, is passed over where nobody takes it", async () => {
  const { server } = await serve(ECHO);
  const ask = async (start: string, body = ""): Promise<string> => {
    const socket = connect(server.port, "127.0.0.1").setEncoding("utf8");
    const offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAA\r\n";
    socket.write(`${start} HTTP/1.1\r\nHost: x\r\n${offer}Content-Length: ${body.length}\r\n\r\n${body}`);
    return readAll(socket);
  };
  const page = await ask("GET /who?x");
  assert.match(page, /^HTTP\/1\.1 200 OK\r\n.*\r\nConnection: close\r\n/s);
  assert.ok(page.endsWith('\r\n\r\n{"client":"127.0.0.1"}\n'), page);
  assert.match(await ask("HEAD /who"), /^HTTP\/1\.1 200 OK\r\n[^{]*$/);
  assert.match(await ask("PUT /who"), /^HTTP\/1\.1 405 .*Allow: GET, HEAD\r\n/s);
  assert.match(await ask("POST /who", "{}"), /^HTTP\/1\.1 400 .*without an offer to upgrade/s);
});

test("closing the server ends connections that were taken over", async () => {
  const { server } = await serve(ECHO);
  const socket = askUpgrade(server, "/echo");
  await once(socket, "data");
  const closed = once(socket, "close");
  await server.close();
  await closed;
});

test("faults are JSON where that is wanted; answers carry their own headers and know who asks", async () => {
  const { server } = await serve({ hasJsonErrors: true });
  const url = `http://127.0.0.1:${server.port}`;
  const missing = await fetch(`${url}/nothing`);
  assert.deepEqual([missing.status, await missing.json()], [404, { error: "no such page" }]);
  const wrong = await fetch(`${url}/who`, { method: "POST" });
  assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, "GET, HEAD"]);
  assert.equal(typeof ((await wrong.json()) as { error: unknown }).error, "string");
  const who = await fetch(`${url}/who`);
  assert.equal(who.headers.get("x-a"), "b");
  assert.deepEqual(await who.json(), { client: "127.0.0.1" });
});
