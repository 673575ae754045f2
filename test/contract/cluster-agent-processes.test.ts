// An agent as a process, and members that are killed: what carbon has in the end.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { CLUSTER_INTERVAL_MS, ClusterProcesses } from "../support/cluster-processes.ts";
import { sendDatagrams, startAggregator, type TestDaemon } from "../support/daemons.ts";
import { waitFor } from "../support/wait-for.ts";

async function openCluster(t: TestContext): Promise<ClusterProcesses> {
  const rig = await ClusterProcesses.open({ names: ["n1", "n2", "n3"] });
  t.after(() => rig.close());
  return rig;
}

/** Starts an agent of the rig's members. more: keys of [cluster]. */
async function startAgent(rig: ClusterProcesses, more = ""): Promise<TestDaemon> {
  // It listens nowhere.
  const cluster = rig.clusterKeys("agent", `mode = agent\n${more}`).replace(/listen = .*\n/, "");
  return startAggregator(await chooseIo("auto"), {
    aggregator: `interval = ${CLUSTER_INTERVAL_MS}ms\nsinks[] = carbon\nstate-dir = ${rig.stateDir("agent")}`,
    carbon: "address[] = 127.0.0.1:1",
    cluster,
  });
}

async function send(rig: ClusterProcesses, agent: TestDaemon, metric: string, count: number): Promise<void> {
  const datagrams = Array.from({ length: count }, () => `${metric}:1|c\n`);
  await sendDatagrams(agent.ports[0]!, datagrams);
  rig.sent.set(metric, (rig.sent.get(metric) ?? 0) + count);
}

/** The member that takes the agent's snapshots, once there is one other than that. */
async function memberOf(agent: TestDaemon, other?: string): Promise<string> {
  let member: unknown;
  await waitFor("a member", async () => {
    const { cluster } = (await (await agent.get("/status")).json()) as {
      cluster?: { agent?: { member?: unknown } };
    };
    member = cluster?.agent?.member;
    return typeof member === "string" && member !== other;
  });
  return String(member);
}

test("lines of an agent are written once, whichever member is killed", async (t) => {
  const rig = await openCluster(t);
  await rig.startAll();
  await rig.leader();
  const agent = await startAgent(rig);
  const killed = await memberOf(agent);
  await send(rig, agent, "before", 40);
  await rig.untilComplete();
  await send(rig, agent, "meanwhile", 40);
  await rig.kill(killed);
  await send(rig, agent, "behind", 40);
  await memberOf(agent, killed);
  await send(rig, agent, "after", 40);
  await rig.untilComplete();
  await rig.start(killed);
  // It writes nothing itself, and its pages show what it has seen of late.
  await waitFor("its own page", async () => {
    await send(rig, agent, "shown", 1);
    return (await (await agent.get("/series?match=*")).text()).includes("shown");
  });
  const metrics = await agent.metrics();
  assert.equal(metrics.sum("bioyino_sink_rows_sent_total"), 0);
  assert.equal((await agent.stop()).code, 0);
  await send(rig, rig.node(killed), "member", 20);
  await rig.untilComplete();
});

test("an agent that is stopped hands over all it has, and one without members puts it on disk", async (t) => {
  const rig = await openCluster(t);
  const spool = `spool-dir = ${rig.folder}/spool`;
  const alone = await startAgent(rig, spool);
  await send(rig, alone, "alone", 30);
  assert.equal((await alone.stop()).code, 0);
  await rig.startAll();
  await rig.leader();
  const agent = await startAgent(rig, spool);
  await memberOf(agent);
  await send(rig, agent, "last", 30);
  assert.equal((await agent.stop()).code, 0);
  await rig.untilComplete();
});
