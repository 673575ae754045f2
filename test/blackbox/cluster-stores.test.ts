// Members whose leader a store outside chooses: etcd as it is, Consul and Kubernetes as fakes.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../shared/clock.ts";
import { ClusterProcesses } from "../support/cluster-processes.ts";
import { FakeConsul } from "../support/fake-consul.ts";
import { FakeKubernetes } from "../support/fake-kubernetes.ts";
import { RealEtcd, withoutEtcd } from "../support/real-etcd.ts";
import { waitFor } from "../support/wait-for.ts";

const NAMES = ["a", "b", "c"];

/** Runs a test with three members; keys: those of the store's section. */
async function withStore(
  engine: "etcd" | "consul" | "kubernetes",
  keys: string,
  run: (rig: ClusterProcesses) => Promise<void>,
): Promise<void> {
  const rig = await ClusterProcesses.open({
    names: NAMES,
    cluster: `consensus = ${engine}`,
    sections: { [engine]: keys },
  });
  try {
    await rig.startAll();
    await run(rig);
  } finally {
    await rig.close();
  }
}

async function untilNobodyLeads(rig: ClusterProcesses): Promise<void> {
  await waitFor("nobody to lead", async () => {
    const states = await Promise.all(rig.names.map((name) => rig.status(name)));
    return states.every((state) => !state["leader-status"]);
  });
}

test("etcd chooses; while it is away the leader ends with its key, and lines wait", {
  skip: withoutEtcd,
}, async () => {
  const etcd = await RealEtcd.start();
  const keys = `endpoints[] = ${etcd.endpoint}\nttl = 2s\nrequest-timeout = 500ms`;
  try {
    await withStore("etcd", keys, async (rig) => {
      const first = await rig.leader();
      for (const name of NAMES) await rig.send(name, "early", 20);
      await rig.untilComplete();
      await rig.kill(first);
      const [other = ""] = rig.names;
      await rig.send(other, "late", 20);
      await rig.untilComplete();
      const second = await rig.leader();
      assert.notEqual(second, first);

      await etcd.kill();
      await rig.send(other, "still", 20);
      await untilNobodyLeads(rig);
      await rig.send(other, "dark", 20);
      await rig.node(other).until("the lines in the dark", (metrics) => {
        return metrics.sum("bioyino_samples_total") >= 40 && metrics.sum("bioyino_cluster_leader") === 0;
      });
      assert.equal(rig.sum("dark"), 0, "nobody may write");
      assert.ok(
        rig.names.some((name) => rig.node(name).events("election.store-fault").length > 0),
        "the log tells that etcd does not answer",
      );
      await etcd.run();
      await rig.untilComplete();
    });
  } finally {
    await etcd.stop();
  }
});

test("Consul chooses; leadership goes with the session, and a stop frees the lock at once", async () => {
  const consul = await FakeConsul.start(systemClock);
  consul.token = "a-token-of-consul";
  const key = "service/test/leader";
  const keys = `endpoints[] = ${consul.root}\nkey = ${key}\ntoken = ${consul.token}`;
  try {
    await withStore("consul", keys, async (rig) => {
      const first = await rig.leader();
      await rig.send(first, "hits", 20);
      await rig.untilComplete();
      assert.equal(await rig.stop(first), 0);
      const [other = ""] = rig.names;
      await rig.send(other, "hits", 20);
      const second = await rig.leader();
      await rig.untilComplete();
      await rig.kill(second);
      consul.invalidate(consul.holder(key)!);
      const [last = ""] = rig.names;
      // Two of three are a majority only with one of those that are gone.
      await rig.start(first);
      await rig.send(last, "hits", 20);
      await rig.untilComplete();
      assert.notEqual(await rig.leader(), second);
    });
  } finally {
    await consul.stop();
  }
});

test("a Lease of Kubernetes chooses; the token's file is read anew for each request", async () => {
  const kubernetes = await FakeKubernetes.start(systemClock);
  kubernetes.token = "first";
  const rig = await ClusterProcesses.open({
    names: NAMES,
    cluster: "consensus = kubernetes",
  });
  const tokenFile = join(rig.folder, "token");
  writeFileSync(tokenFile, "first");
  const sections = {
    kubernetes: [
      `endpoints[] = ${kubernetes.root}`,
      "namespace = stats\nlease = test\nlease-duration = 2s\nrequest-timeout = 500ms",
      `token-file = ${tokenFile}`,
    ].join("\n"),
  };
  try {
    await Promise.all(NAMES.map((name) => rig.start(name, { sections })));
    const first = await rig.leader();
    assert.match(kubernetes.lease("stats", "test")?.spec.holderIdentity ?? "", new RegExp(`^${first}_`));
    writeFileSync(tokenFile, "second");
    kubernetes.token = "second";
    for (const name of NAMES) await rig.send(name, "hits", 20);
    await rig.untilComplete();
    await rig.kill(first);
    const [other = ""] = rig.names;
    await rig.send(other, "hits", 20);
    await rig.untilComplete();
    assert.match(
      kubernetes.lease("stats", "test")?.spec.holderIdentity ?? "",
      new RegExp(`^${await rig.leader()}_`),
    );
  } finally {
    await rig.close();
    await kubernetes.stop();
  }
});
