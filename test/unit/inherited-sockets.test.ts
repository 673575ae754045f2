/** Which sockets a process was started with, and which listen addresses they serve. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { OperatorError } from "../../shared/errors.ts";
import { type InheritedSocket, inheritedSockets, matchInherited } from "../../shared/inherited-sockets.ts";
import type { ListenAddress } from "../../shared/udp.ts";

const udp = (host: string, port: number): ListenAddress => ({ kind: "udp", host, port });
const skip = process.platform !== "linux" && "Linux only";

test("nothing is inherited by another process, without a count, or with a count of none", () => {
  const { pid } = process;
  assert.deepEqual(inheritedSockets({}, pid), []);
  assert.deepEqual(inheritedSockets({ LISTEN_PID: `${pid + 1}`, LISTEN_FDS: "1" }, pid), []);
  assert.deepEqual(inheritedSockets({ LISTEN_PID: `${pid}` }, pid), []);
  assert.deepEqual(inheritedSockets({ LISTEN_PID: `${pid}`, LISTEN_FDS: "0" }, pid), []);
});

test("a count that is none, and descriptors that are no sockets, are refused", { skip }, () => {
  const env = (LISTEN_FDS: string) => ({ LISTEN_PID: `${process.pid}`, LISTEN_FDS });
  for (const text of ["-1", "x", "1025", "99999999999"]) {
    assert.throws(() => inheritedSockets(env(text), process.pid), OperatorError, text);
  }
  // No process has so many descriptors that are sockets.
  assert.throws(
    () => inheritedSockets(env("1024"), process.pid),
    /inherited descriptor \d+.*ListenDatagram=/s,
  );
});

/** The descriptor of a socket of Node, which is known to its handle alone. */
function descriptorOf(socket: object): number {
  const { _handle: handle } = socket as { _handle?: { fd?: number } };
  assert.ok(handle?.fd !== undefined && handle.fd > 2);
  return handle.fd;
}

/** Starts a process with sockets handed down, and has it list them. */
async function listIn(fds: readonly number[]): Promise<InheritedSocket[]> {
  const module = new URL("../../shared/inherited-sockets.js", import.meta.url);
  const script = `
    import { inheritedSockets } from ${JSON.stringify(fileURLToPath(module))};
    const env = { LISTEN_PID: String(process.pid), LISTEN_FDS: "${fds.length}" };
    process.stdout.write(JSON.stringify(inheritedSockets(env, process.pid)));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit", ...fds],
  });
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  return JSON.parse(text) as InheritedSocket[];
}

test("addresses of all kinds of sockets are found", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "inherited sockets-"));
  const sockets: { socket: object; address: ListenAddress; close: () => void }[] = [];
  for (const [type, host] of [
    ["udp4", "127.0.0.1"],
    ["udp4", "0.0.0.0"],
    ["udp6", "::1"],
    ["udp6", "::"],
  ] as const) {
    const socket = createSocket(type);
    socket.bind(0, host);
    await once(socket, "listening");
    const address = udp(host, socket.address().port);
    sockets.push({ socket, address, close: () => socket.close() });
  }
  const path = join(folder, "a b.sock");
  for (const place of [{ host: "127.0.0.1", port: 0 }, { host: "::", port: 0 }, { path }]) {
    const server = createServer();
    server.listen(place);
    await once(server, "listening");
    const bound = server.address();
    assert.ok(bound !== null);
    const address: ListenAddress =
      typeof bound === "string"
        ? { kind: "unix", path }
        : { kind: "tcp", host: bound.address, port: bound.port };
    sockets.push({ socket: server, address, close: () => server.close() });
  }
  const found = await listIn(sockets.map(({ socket }) => descriptorOf(socket)));
  assert.deepEqual(
    found,
    sockets.map(({ address }, i) => ({ fd: 3 + i, address })),
  );
  for (const { close } of sockets) close();
  rmSync(folder, { recursive: true });
});

test("a listen address of TLS takes a TCP socket", () => {
  const listen: ListenAddress[] = [{ kind: "tls", host: "127.0.0.1", port: 1 }];
  const address: ListenAddress = { kind: "tcp", host: "127.0.0.1", port: 1 };
  assert.deepEqual(matchInherited(listen, [{ fd: 3, address }]), [3]);
});

test("each listen address gets the socket that is bound to it", () => {
  const listen: ListenAddress[] = [
    udp("127.0.0.1", 1),
    { kind: "tcp", host: "127.0.0.1", port: 1 },
    udp("2001:DB8:0::1", 2),
    udp("*", 3),
    udp("::", 4),
    udp("*", 5),
    { kind: "unix", path: "/run/a" },
    { kind: "unixgram", path: "/run/a" },
    udp("127.0.0.1", 9),
  ];
  const addresses: ListenAddress[] = [
    { kind: "unixgram", path: "/run/a" },
    udp("0.0.0.0", 3),
    udp("::", 5),
    udp("::", 4),
    { kind: "tcp", host: "127.0.0.1", port: 1 },
    udp("2001:db8::1", 2),
    { kind: "unix", path: "/run/a" },
    udp("127.0.0.1", 1),
  ];
  const inherited = addresses.map((address, i) => ({ fd: 3 + i, address }));
  assert.deepEqual(matchInherited(listen, inherited), [10, 7, 8, 4, 6, 5, 9, 3, undefined]);
  assert.deepEqual(
    matchInherited(listen, []),
    listen.map(() => undefined),
  );
});

test("a socket that serves no listen address is refused with a remedy", () => {
  const refused: [ListenAddress[], ListenAddress, RegExp][] = [
    [
      [udp("0.0.0.0", 1)],
      udp("::", 1),
      /inherited socket 3 is bound to udp:\/\/.*add listen\[\] = udp:\/\/\*:1/,
    ],
    [[udp("::", 1)], udp("0.0.0.0", 1), /add listen\[\] = udp:\/\/0\.0\.0\.0:1/],
    [[udp("127.0.0.1", 1)], udp("127.0.0.1", 2), /udp:\/\/127\.0\.0\.1:2/],
    [[{ kind: "unix", path: "/a" }], { kind: "unixgram", path: "/a" }, /unixgram:\/\/\/a/],
    [[], udp("127.0.0.1", 2), /there is none/],
  ];
  for (const [listen, address, pattern] of refused) {
    assert.throws(
      () => matchInherited(listen, [{ fd: 3, address }]),
      (error) => error instanceof OperatorError && pattern.test(error.message),
    );
  }
  const twice = [3, 4].map((fd) => ({ fd, address: udp("127.0.0.1", 1) }));
  assert.throws(() => matchInherited([udp("127.0.0.1", 1)], twice), /inherited socket 4/);
});
