/** From configured texts to addresses: destinations and what is listened on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DefaultProtocol, resolveDestination } from "../../relay/destinations/destination.ts";
import { OperatorError } from "../../shared/errors.ts";
import { everyHostLiteral } from "../../shared/every-host.ts";
import { resolveListen } from "../../shared/listen.ts";

test("literals are kept, an empty host is this machine, instance and weight have no effect", async () => {
  const expected: [string, string, number][] = [
    ["192.0.2.7:8125", "192.0.2.7", 8125],
    ["192.0.2.7:8125:a", "192.0.2.7", 8125],
    ["192.0.2.7:8125:a*3", "192.0.2.7", 8125],
    ["[2001:db8::1]:8125", "2001:db8::1", 8125],
    ["[2001:db8::1]:8125:b", "2001:db8::1", 8125],
    [":8125", "127.0.0.1", 8125],
  ];
  for (const [text, host, port] of expected) {
    const resolved = { kind: "host", text, protocol: "udp", host, port, name: host };
    assert.deepEqual(await resolveDestination(text, "udp"), resolved);
  }
});

test("the scheme is the protocol, without one the default is; test beats both", async () => {
  const expected: [string, DefaultProtocol, string][] = [
    ["192.0.2.7:1", "udp", "udp"],
    ["192.0.2.7:1", "tcp", "tcp"],
    ["192.0.2.7:1", "tls", "tls"],
    ["udp://192.0.2.7:1", "tcp", "udp"],
    ["tcp://192.0.2.7:1:a*2", "udp", "tcp"],
    ["tls://[::1]:1", "udp", "tls"],
    ["tls://192.0.2.7:1", "test", "test"],
    ["192.0.2.7:1", "test", "test"],
    ["unixgram:///run/a.sock", "tcp", "unixgram"],
    ["unixgram:///run/a.sock", "test", "test"],
  ];
  for (const [text, standard, protocol] of expected) {
    assert.equal((await resolveDestination(text, standard)).protocol, protocol, `${text} ${standard}`);
  }
  assert.deepEqual(await resolveDestination("unixgram:///run/a.sock*2", "udp"), {
    kind: "path",
    text: "unixgram:///run/a.sock*2",
    protocol: "unixgram",
    path: "/run/a.sock",
  });
});

test("names become addresses, IPv4 ones where there are any, and are kept for certificates", async () => {
  const resolved = await resolveDestination("tls://localhost:1", "udp");
  assert.deepEqual([resolved.host, resolved.name], ["127.0.0.1", "localhost"]);
  const addresses = ["2001:db8::1", "192.0.2.1", "192.0.2.2"];
  const lookup = async () => addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  assert.equal((await resolveDestination("some.name:1", "udp", lookup)).host, "192.0.2.1");
  addresses.splice(1);
  assert.equal((await resolveDestination("some.name:1", "udp", lookup)).host, "2001:db8::1");
});

test("a service is looked up for the protocol that is used", async () => {
  assert.equal((await resolveDestination("127.0.0.1:domain", "udp")).port, 53);
  assert.equal((await resolveDestination("tls://127.0.0.1:https", "udp")).port, 443);
  // shell is of TCP alone; its number of UDP has another name.
  assert.equal((await resolveDestination("tcp://127.0.0.1:shell", "udp")).port, 514);
  await assert.rejects(resolveDestination("127.0.0.1:shell", "udp"), /shell\/udp/);
});

test("what cannot be found is named", async () => {
  for (const text of [
    "name.invalid:1",
    "tcp://name.invalid:1",
    "127.0.0.1:nosuchservice",
    "127.0.0.1",
    "127.0.0.1:0",
    "smtp://127.0.0.1:1",
    "unixgram://run/a.sock",
  ]) {
    await assert.rejects(resolveDestination(text, "udp"), (error: unknown) => {
      return error instanceof OperatorError && error.message.includes(text);
    });
  }
  await assert.rejects(
    resolveDestination("empty.name:1", "udp", async () => []),
    (error: unknown) => error instanceof OperatorError && error.message.includes("no address"),
  );
});

test("listen addresses: names become addresses, literals and paths are kept", async () => {
  const listen = { kind: "udp", host: "localhost", port: 0 } as const;
  assert.deepEqual(await resolveListen(listen), { ...listen, host: "127.0.0.1" });
  for (const host of ["0.0.0.0", "::", "192.0.2.7"]) {
    assert.deepEqual(await resolveListen({ ...listen, host }), { ...listen, host });
  }
  const path = { kind: "unixgram", path: "/run/relay.sock" } as const;
  assert.deepEqual(await resolveListen(path), path);
  await assert.rejects(
    resolveListen({ ...listen, host: "name.invalid" }),
    (error: unknown) => error instanceof OperatorError && error.message.includes("udp://name.invalid:0"),
  );
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
