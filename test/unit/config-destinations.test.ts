/** Relay destinations, taken apart, and their weights. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDestination, stripWeight } from "../../shared/config-addresses.ts";

test("destinations taken apart", () => {
  const host = { kind: "host", protocol: undefined, host: "a", port: 1, instance: "", weight: 1 };
  const path = { kind: "path", protocol: "unixgram", path: "/a", instance: "", weight: 1 };
  const good: Readonly<Record<string, object>> = {
    "a:1": host,
    "a:1:x": { ...host, instance: "x" },
    "a:1:x*y": { ...host, instance: "x*y" },
    "a:1*1": host,
    "a:1:x*1000": { ...host, instance: "x", weight: 1000 },
    "[::1]:1:x*3": { ...host, host: "::1", instance: "x", weight: 3 },
    ":statsd": { ...host, host: "127.0.0.1", port: "statsd" },
    "udp://a:1": { ...host, protocol: "udp" },
    "tcp://[::1]:1*2": { ...host, protocol: "tcp", host: "::1", weight: 2 },
    "tls://a:1:x": { ...host, protocol: "tls", instance: "x" },
    "unixgram:///a": path,
    "unixgram:///a*2": { ...path, weight: 2 },
    "unixgram:///a:b*c": { ...path, path: "/a:b*c" },
  };
  for (const [text, value] of Object.entries(good)) assert.deepEqual(parseDestination(text), { value }, text);
  const bad: Readonly<Record<string, string>> = {
    "a:1*1001": 'has the weight "1001"; choose within 1..1000',
    "a:1*x": 'has the port "1*x"; choose within 1..65535, or a service name',
    "a:1*": 'has the port "1*"; choose within 1..65535, or a service name',
    "unix:///a": 'has the scheme "unix"; choose one of udp, tcp, tls, unixgram',
    "TCP://a:1": 'has the scheme "TCP"; choose one of udp, tcp, tls, unixgram',
    "unixgram://a": "needs an absolute path; write unixgram:///PATH",
    "tcp://a": "has no port; write HOST:PORT or HOST:PORT:INSTANCE, with an IPv6 address in brackets",
  };
  for (const [text, fault] of Object.entries(bad)) assert.deepEqual(parseDestination(text), { fault }, text);
});

test("weights come off", () => {
  assert.deepEqual(stripWeight("a:1"), { entry: "a:1", weight: 1 });
  assert.deepEqual(stripWeight("tcp://a:1:x*12"), { entry: "tcp://a:1:x", weight: 12 });
  assert.deepEqual(stripWeight("a:1:x*y"), { entry: "a:1:x*y", weight: 1 });
});
