import assert from "node:assert/strict";
import { test } from "node:test";
import { isLoopback, refuseAccess } from "../../shared/management-access.ts";

const LOCAL = { token: "", isLocal: true };

function statusOf(method: string, headers: Record<string, string>, rule = LOCAL): number | undefined {
  return refuseAccess({ method, headers: { host: "127.0.0.1:8137", ...headers } }, rule)?.status;
}

test("without a token this machine may ask, and nobody else", () => {
  assert.equal(statusOf("GET", {}), undefined);
  assert.equal(statusOf("POST", {}), undefined);
  assert.equal(statusOf("GET", {}, { token: "", isLocal: false }), 403);
  assert.equal(statusOf("DELETE", {}, { token: "", isLocal: false }), 403);
});

test("without a token a browser's page may not ask, neither openly nor by a name that points here", () => {
  assert.equal(statusOf("POST", { origin: "http://evil.example" }), 403);
  assert.equal(statusOf("GET", { origin: "null" }), 403);
  assert.equal(statusOf("GET", { host: "evil.example" }), 403);
  assert.equal(statusOf("GET", { host: "127.0.0.1.evil.example:80" }), 403);
  for (const host of ["localhost:8137", "[::1]:8137", "127.9.9.9", "[::1]"]) {
    assert.equal(statusOf("GET", { host }), undefined, host);
  }
});

test("with a token it alone counts, wherever the request comes from", () => {
  const rule = { token: "s3cret", isLocal: false };
  assert.equal(statusOf("GET", { authorization: "Bearer s3cret", origin: "http://ours" }, rule), undefined);
  assert.equal(statusOf("GET", { authorization: "bearer s3cret" }, rule), undefined);
  for (const authorization of ["Bearer s3cre", "Bearer s3cretX", "Bearer ", "Basic s3cret", "s3cret", ""]) {
    assert.equal(statusOf("GET", { authorization }, { ...rule, isLocal: true }), 401, authorization);
  }
  assert.equal(statusOf("GET", {}, rule), 401);
});

test("loopback hosts are told from those that only look like them", () => {
  for (const host of ["localhost", "::1", "127.0.0.1", "::ffff:127.0.0.1"]) assert.ok(isLoopback(host), host);
  for (const host of ["", "10.0.0.1", "127.0.0.1.example", "::2", "localhost.example", "128.0.0.1"]) {
    assert.ok(!isLoopback(host), host);
  }
});
