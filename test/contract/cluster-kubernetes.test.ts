/** Leadership by a Lease of Kubernetes, against a fake of its API; the clock is turned by hand. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inCluster } from "../../cluster/election/kubernetes.ts";
import { OperatorError } from "../../shared/errors.ts";
import { FakeKubernetes, type LeaseObject } from "../support/fake-kubernetes.ts";
import type { StoreRequest } from "../support/fake-store.ts";
import type { LockContenders } from "../support/lock-contenders.ts";
import { type LockSubject, TTL_MS, testLocks, withContenders } from "../support/lock-scenarios.ts";

const NAMESPACE = "metrics";
const LEASE = "bioyino-leader";
const PACE_MS = TTL_MS / 3;

const subject = {
  kind: "kubernetes",
  start: (rig: LockContenders) => FakeKubernetes.start(rig.clock),
  options: (name: string) => ({ name, ttlMs: TTL_MS, requestTimeoutMs: 1000, namespace: NAMESPACE }),
  isLocking: ({ body }: StoreRequest) =>
    (body as LeaseObject | undefined)?.spec.holderIdentity?.startsWith("a_") === true,
  // The lease as of when it was seen to be renewed last, and a look.
  failoverMs: TTL_MS + 2 * PACE_MS,
  handoverMs: PACE_MS + 500,
  // Every three seconds a look, and for the leader a write.
  requestsPerMinute: 50,
} satisfies LockSubject<"kubernetes">;

testLocks(subject);

test("kubernetes: the object says what kubectl and others expect", () =>
  withContenders(subject, ["a"], async (rig, store) => {
    await rig.until("it leads", () => rig.leader === "a", 2000);
    const { metadata, spec } = store.lease(NAMESPACE, LEASE)!;
    const { term } = rig.reigns[0]!;
    assert.match(spec.holderIdentity!, /^a_[0-9a-f]{8}$/);
    assert.equal(spec.leaseDurationSeconds, TTL_MS / 1000);
    assert.equal(spec.leaseTransitions, term);
    assert.deepEqual(metadata.annotations, { "bioyino/term": String(term) });
    await rig.pass(PACE_MS + 100);
    const renewed = store.lease(NAMESPACE, LEASE)!.spec;
    assert.equal(renewed.acquireTime, spec.acquireTime);
    assert.ok(renewed.renewTime! > spec.renewTime!);
    await rig.contenders.get("a")!.election.stop();
    const released = store.lease(NAMESPACE, LEASE)!.spec;
    assert.equal(released.holderIdentity, "");
    assert.equal(released.leaseTransitions, term);
  }));

test("kubernetes: wall clocks that are hours apart make no difference", () =>
  withContenders(subject, [], async (rig, store) => {
    rig.add("kubernetes", subject.options("early"), { wallAheadMs: -3_600_000 });
    rig.add("kubernetes", subject.options("late"), { wallAheadMs: 3_600_000 });
    await rig.until("a leader", () => rig.leader !== undefined, 2000);
    const leader = rig.leader!;
    await rig.pass(60_000);
    assert.equal(rig.reigns.length, 1);
    store.mischief = ({ client }) => (client === leader ? "hang" : undefined);
    const isOther = () => rig.leader !== undefined && rig.leader !== leader;
    await rig.until("the other", isOther, subject.failoverMs);
  }));

test("kubernetes: a write of somebody else between look and renewal does not cost the lease", () =>
  withContenders(subject, ["a"], async (rig, store) => {
    await rig.until("it leads", () => rig.leader === "a", 2000);
    let edits = 0;
    store.mischief = ({ method }) => {
      if (method === "PUT" && edits++ % 2 === 0) {
        store.edit(NAMESPACE, LEASE, (lease) => ({
          ...lease,
          metadata: { ...lease.metadata, labels: { edited: String(edits) } },
        }));
      }
      return undefined;
    };
    await rig.pass(60_000);
    assert.equal(rig.reigns.length, 1);
    assert.ok(edits > 20);
    assert.ok(store.lease(NAMESPACE, LEASE)!.metadata.labels?.edited, "what others wrote stays");
    const { log } = rig.contenders.get("a")!;
    assert.equal(log.last("election.store-fault"), undefined);
  }));

test("kubernetes: the object deleted, and terms go up all the same", () =>
  withContenders(subject, ["a", "b"], async (rig, store) => {
    await rig.until("a leader", () => rig.leader !== undefined, 2000);
    await rig.pass(PACE_MS + 500);
    const { term } = rig.reigns[0]!;
    // Without a look nobody knows; so the leader of before has to be out first.
    rig.contenders.get(rig.leader!)!.election.resign();
    store.delete(NAMESPACE, LEASE);
    await rig.until("the next", () => rig.reigns.length === 2, TTL_MS);
    assert.ok(rig.reigns[1]!.term > term);
  }));

test("kubernetes: a node that knows nothing makes the object anew, and is told of higher terms", () =>
  withContenders(subject, ["a"], async (rig, store) => {
    await rig.until("a leader", () => rig.leader === "a", 2000);
    const { election } = rig.contenders.get("a")!;
    election.sawTerm(50);
    await rig.until("a term above", () => rig.leader === "a" && election.leadership().term > 50, 2000);
    await election.stop();
    store.delete(NAMESPACE, LEASE);
    rig.contenders.clear();
    rig.reigns.length = 0;
    rig.add("kubernetes", subject.options("b"));
    await rig.until("b leads", () => rig.leader === "b", 2000);
    const late = rig.contenders.get("b")!.election;
    assert.equal(late.leadership().term, 1);
    late.sawTerm(51);
    await rig.until("b leads above", () => rig.leader === "b" && late.leadership().term > 51, 2000);
  }));

test("kubernetes: what it may not do is told once, with the verbs that it needs", () =>
  withContenders(subject, ["a"], async (rig, store) => {
    store.forbidden.add("create");
    await rig.pass(30_000);
    const { log } = rig.contenders.get("a")!;
    const faults = log.entries.filter(({ event }) => event === "election.store-fault");
    assert.equal(faults.length, 1);
    assert.match(String(faults[0]!.fault), /^HTTP 403: leases.* is forbidden/);
    assert.match(String(faults[0]!.remedy), /get, create and update/);
    assert.ok(store.requests.length < 60, `${store.requests.length} requests`);
  }));

test("kubernetes: the service account's token is read again when it is replaced", async () => {
  const folder = await mkdtemp(join(tmpdir(), "account-"));
  const tokenFile = join(folder, "token");
  await writeFile(tokenFile, "first\n");
  try {
    await withContenders(subject, [], async (rig, store) => {
      store.token = "first";
      rig.add("kubernetes", { ...subject.options("a"), tokenFile });
      await rig.until("it leads", () => rig.leader === "a", 2000);
      store.token = "second";
      await writeFile(tokenFile, "second\n");
      await rig.pass(30_000);
      assert.equal(rig.reigns.length, 1);
      await rm(tokenFile);
      await rig.until("it stops", () => rig.leader === undefined, TTL_MS);
      const { log } = rig.contenders.get("a")!;
      assert.equal(log.last("election.store-fault")?.fault, "ENOENT");
      await writeFile(tokenFile, "second\n");
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("kubernetes: in a pod nothing has to be configured; elsewhere it says what is missing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "account-"));
  try {
    await writeFile(join(folder, "namespace"), NAMESPACE);
    await writeFile(join(folder, "ca.crt"), "PEM");
    const bare = { name: "a", endpoints: [], ttlMs: TTL_MS, requestTimeoutMs: 1000 };
    const environment = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" };
    assert.deepEqual(inCluster(bare, environment, folder), {
      ...bare,
      endpoints: ["https://[fd00::1]:6443"],
      namespace: NAMESPACE,
      tokenFile: join(folder, "token"),
      tls: { ca: "PEM" },
    });
    assert.throws(() => inCluster(bare, {}, folder), OperatorError);
    await rm(join(folder, "ca.crt"));
    assert.throws(() => inCluster(bare, environment, folder), /ENOENT.*mount the service account/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
