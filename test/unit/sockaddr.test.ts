/** Addresses as text and as the system has them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorError } from "../../shared/errors.ts";
import { canonicalHost, decodeHost, describeAddress, encodeAddress } from "../../shared/sockaddr.ts";
import type { ListenAddress } from "../../shared/udp.ts";

test("addresses are written as they are configured", () => {
  const texts: [ListenAddress, string][] = [
    [{ kind: "udp", host: "10.0.0.1", port: 8125 }, "udp://10.0.0.1:8125"],
    [{ kind: "tcp", host: "::1", port: 8125 }, "tcp://[::1]:8125"],
    [{ kind: "unix", path: "/run/a.sock" }, "unix:///run/a.sock"],
    [{ kind: "unixgram", path: "/run/a.sock" }, "unixgram:///run/a.sock"],
  ];
  for (const [address, text] of texts) assert.equal(describeAddress(address), text);
});

test("what is encoded is decoded in its usual form", () => {
  for (const kind of ["udp", "tcp"] as const) {
    for (const [host, usual] of [
      ["127.0.0.1", "127.0.0.1"],
      ["255.254.3.0", "255.254.3.0"],
      ["::", "::"],
      ["::1", "::1"],
      ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
      ["fe80::1%lo", "fe80::1"],
      ["::ffff:10.1.2.3", "10.1.2.3"],
      ["::ffff:a01:203", "10.1.2.3"],
    ] as const) {
      const { bytes } = encodeAddress({ kind, host, port: 1 });
      assert.equal(decodeHost(bytes), usual);
      assert.equal(canonicalHost(host), usual);
    }
  }
  assert.equal(canonicalHost("localhost"), "localhost");
  assert.equal(decodeHost(encodeAddress({ kind: "unixgram", path: "/a" }).bytes), "");
});

test("a path that does not fit is refused, of either kind", () => {
  for (const kind of ["unix", "unixgram"] as const) {
    for (const path of ["", `/${"a".repeat(107)}`]) {
      assert.throws(() => encodeAddress({ kind, path }), OperatorError);
    }
    assert.equal(encodeAddress({ kind, path: `/${"a".repeat(106)}` }).bytes.length, 110);
  }
});
