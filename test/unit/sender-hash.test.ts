/** Numbers of senders: the same however an address is written, and spread. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashHost, hashHostBytes } from "../../shared/sender-hash.ts";
import { encodeAddress, hostBytesAt } from "../../shared/sockaddr.ts";

test("a host has one number, as text and as the system writes it", () => {
  const hosts = ["127.0.0.1", "10.255.0.3", "::1", "2001:db8::17", "::ffff:10.0.0.1"];
  for (const host of hosts) {
    const { bytes } = encodeAddress({ kind: "udp", host, port: 8125 });
    const { start, end } = hostBytesAt(bytes, 0);
    assert.equal(hashHostBytes(bytes, start, end), hashHost(host));
    assert.ok(hashHost(host) > 0 && Number.isInteger(hashHost(host)));
  }
  assert.equal(hashHost("::ffff:10.0.0.1"), hashHost("10.0.0.1"));
  assert.equal(hashHost("2001:DB8:0::17"), hashHost("2001:db8::17"));
  assert.notEqual(hashHost("::10.0.0.1"), hashHost("10.0.0.1"));
});

test("what is no address has no number", () => {
  for (const text of ["", "localhost", "/run/a.sock", "10.0.0"]) assert.equal(hashHost(text), 0);
  const { bytes } = encodeAddress({ kind: "unixgram", path: "/run/a.sock" });
  const { start, end } = hostBytesAt(bytes, 0);
  assert.equal(start, end);
});

test("neighbours have numbers of their own", () => {
  const numbers = new Set<number>();
  for (let i = 0; i < 65_536; i++) numbers.add(hashHost(`10.1.${i >> 8}.${i & 255}`));
  // 65,536 numbers out of 2^32 meet less than once in two such networks.
  assert.ok(numbers.size > 65_530, `${numbers.size} numbers`);
});
