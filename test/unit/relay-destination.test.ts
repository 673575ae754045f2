/** From destination arguments to a ring and to addresses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveDestination, resolveListen } from "../../relay/destination.ts";
import { buildRing } from "../../relay/ring.ts";
import { OperatorError } from "../../shared/errors.ts";
import { everyHostLiteral } from "../../shared/every-host.ts";

test("literals are kept, an empty host is this machine, the instance has no effect", async () => {
  const expected: [string, string, number][] = [
    ["192.0.2.7:8125", "192.0.2.7", 8125],
    ["192.0.2.7:8125:a", "192.0.2.7", 8125],
    ["[2001:db8::1]:8125", "2001:db8::1", 8125],
    ["[2001:db8::1]:8125:b", "2001:db8::1", 8125],
    [":8125", "127.0.0.1", 8125],
  ];
  for (const [text, host, port] of expected) {
    assert.deepEqual(await resolveDestination(text), { kind: "udp", host, port });
  }
});

test("names become addresses, IPv4 ones where there are any", async () => {
  assert.deepEqual(await resolveDestination("localhost:1"), { kind: "udp", host: "127.0.0.1", port: 1 });
  const listen = { kind: "udp", host: "localhost", port: 0 } as const;
  assert.deepEqual(await resolveListen(listen), { ...listen, host: "127.0.0.1" });
  const path = { kind: "unixgram", path: "/run/relay.sock" } as const;
  assert.deepEqual(await resolveListen(path), path);
});

test("all interfaces are IPv6 and IPv4, or IPv4 alone where IPv6 cannot be bound", async () => {
  const asked: string[] = [];
  const answer = (isBindable: boolean) => async (literal: string) => {
    asked.push(literal);
    return isBindable;
  };
  assert.equal(await everyHostLiteral(answer(true)), "::");
  assert.equal(await everyHostLiteral(answer(false)), "0.0.0.0");
  assert.deepEqual(asked, ["::", "::"]);
  const address = await resolveListen({ kind: "udp", host: "*", port: 1 });
  assert.deepEqual(address, { kind: "udp", host: await everyHostLiteral(), port: 1 });
});

test("what cannot be found is named", async () => {
  for (const text of ["name.invalid:1", "127.0.0.1:nosuchservice", "127.0.0.1", "127.0.0.1:0"]) {
    await assert.rejects(resolveDestination(text), (error: unknown) => {
      return error instanceof OperatorError && error.message.includes(text);
    });
  }
});

test("a bucket is a position in the list; equal arguments are one destination", () => {
  assert.deepEqual(buildRing(["b:1", "a:1", "b:1", "b:1:x"]), {
    ring: [0, 1, 0, 2],
    destinations: ["b:1", "a:1", "b:1:x"],
  });
});
