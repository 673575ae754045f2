/** Leadership by Consul, against a fake of its HTTP API; the clock is turned by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeConsul } from "../support/fake-consul.ts";
import type { StoreRequest } from "../support/fake-store.ts";
import type { LockContenders } from "../support/lock-contenders.ts";
import { type LockSubject, TTL_MS, testLocks, withContenders } from "../support/lock-scenarios.ts";

const KEY = "bioyino/leader";

const subject = {
  kind: "consul",
  start: (rig: LockContenders) => FakeConsul.start(rig.clock),
  options: (name: string) => ({ name, ttlMs: TTL_MS, requestTimeoutMs: 1000, token: "secret" }),
  isLocking: ({ path }: StoreRequest) => path === "/v1/txn",
  // The session's time to live, the lock delay, and a try.
  failoverMs: TTL_MS + 1000 + 1500,
  handoverMs: 500,
  // Every three seconds a look or a renewal with a look, and a blocking query.
  requestsPerMinute: 75,
} satisfies LockSubject<"consul">;

testLocks(subject);

test("consul: sessions have no checks, and only who has the lock keeps one", () =>
  withContenders(subject, ["a", "b", "c"], async (rig, store) => {
    await rig.pass(60_000);
    assert.equal(store.sessionCount, 1);
    assert.deepEqual(store.checks, []);
  }));

test("consul: where it takes its full time to end sessions, a leader's place is free after twice that", () =>
  withContenders(subject, ["a", "b"], async (rig, store) => {
    store.expiryFactor = 2;
    await rig.until("a leader", () => rig.leader !== undefined, 2000);
    const leader = rig.leader!;
    store.mischief = ({ client }) => (client === leader ? "hang" : undefined);
    const withinMs = 2 * TTL_MS + 2500;
    await rig.until("another", () => rig.leader !== undefined && rig.leader !== leader, withinMs);
  }));

test("consul: a session that was destroyed costs the leadership at once, and a lock delay", () =>
  withContenders(subject, ["a"], async (rig, store) => {
    await rig.until("a leader", () => rig.leader === "a", 2000);
    await rig.pass(1000);
    store.invalidate(store.holder(KEY)!);
    await rig.until("it stops", () => rig.leader === undefined, 200);
    const tookMs = await rig.until("it leads again", () => rig.leader === "a", 2500);
    assert.ok(tookMs >= 500, `${tookMs} ms`);
    assert.equal(rig.reigns.length, 2);
  }));

test("consul: the key deleted, or all forgotten, and terms go up all the same", () =>
  withContenders(subject, ["a", "b"], async (rig, store) => {
    await rig.until("a leader", () => rig.leader !== undefined, 2000);
    await rig.pass(5000);
    store.delete(KEY);
    await rig.until("the next", () => rig.reigns.length === 2, 5000);
    await rig.pass(5000);
    await rig.stop();
    store.delete(KEY);
    rig.add("consul", subject.options("new"));
    await rig.until("who knows nothing", () => rig.leader === "new", 5000);
    assert.equal(rig.reigns.length, 3);
    await rig.pass(5000);
    store.wipe();
    await rig.until("the one after", () => rig.reigns.length === 4, 2 * TTL_MS);
  }));

test("consul: a term that somebody else took between look and lock is not taken again", () =>
  withContenders(subject, [], async (rig, store) => {
    let taken = 0;
    store.mischief = ({ path, body }) => {
      if (path !== "/v1/txn" || taken > 0) return undefined;
      const [, { KV }] = body as [unknown, { KV: { Value: string } }];
      taken = JSON.parse(Buffer.from(KV.Value, "base64").toString()).term;
      store.set(KEY, { leader: "x", term: taken });
      return undefined;
    };
    rig.add("consul", subject.options("a"));
    await rig.until("it leads", () => rig.leader === "a", 3000);
    assert.ok(taken > 0 && rig.reigns[0]!.term > taken);
  }));

test("consul: reads that are not consistent are never believed", () =>
  withContenders(subject, ["a", "b"], async (rig, store) => {
    // The fake answers such reads from before the last write.
    for (let turn = 0; turn < 4; turn++) {
      await rig.until("a leader", () => rig.leader !== undefined, 3 * TTL_MS);
      rig.contenders.get(rig.leader!)!.election.resign();
      await rig.pass(100);
    }
    assert.equal(rig.reigns.length, 4);
    assert.ok(store.requests.length > 0);
  }));

test("consul: a wrong token is told once, with what it needs, and never shown", () =>
  withContenders(subject, ["a"], async (rig, store) => {
    store.token = "another";
    await rig.pass(30_000);
    const { log } = rig.contenders.get("a")!;
    const faults = log.entries.filter(({ event }) => event === "election.store-fault");
    assert.equal(faults.length, 1);
    assert.equal(faults[0]!.fault, "HTTP 403");
    assert.match(String(faults[0]!.remedy), /session:write/);
    assert.ok(!JSON.stringify(log.entries).includes("secret"));
    assert.ok(store.requests.length < 40, `${store.requests.length} requests`);
    store.token = "secret";
    await rig.until("it leads", () => rig.leader === "a", 5000);
  }));
