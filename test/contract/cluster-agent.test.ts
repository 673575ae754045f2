// Agents and members over real sockets: members that die, that are not there, that leave.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { RunningAgent } from "../../cluster/running/agent.ts";
import { AgentRig } from "../support/agent-rig.ts";
import { EventLog } from "../support/event-log.ts";
import { waitFor } from "../support/wait-for.ts";

/** Waits until sinks have all that was added, and nothing twice. */
async function untilDelivered(rig: AgentRig): Promise<void> {
  const added = [...rig.added].sort();
  await waitFor("all of it at the sinks", () => rig.delivered().length >= added.length);
  assert.deepEqual(rig.delivered().sort(), added);
}

test("an agent's deltas are written with the members', without amendments", async (t) => {
  const rig = await AgentRig.open(t);
  await rig.startAll();
  const agent = await rig.openAgent();
  await waitFor("a leader", () =>
    [...rig.members.values()].some(({ member }) => member.node.view().role === "leader"),
  );
  await waitFor("the clock", () => agent.hasClock);
  const { member } = rig.members.get("n1")!;
  assert.ok(Math.abs(agent.clusterNowMs() - member.clusterNowMs()) < 100);
  await waitFor("some intervals", () => {
    rig.add(agent);
    return rig.delivered().length >= 100;
  });
  // An agent that is silent is not waited for, but this one says what it has closed.
  agent.closeBelow(Math.floor(agent.clusterNowMs() / 1000) + 1);
  await untilDelivered(rig);
  assert.equal(rig.amendments(), 0);
  const { member: name, ackedDeltas, heldDeltas, droppedSamples } = agent.standing();
  assert.ok(rig.members.has(name!));
  assert.deepEqual([ackedDeltas, heldDeltas, droppedSamples], [rig.added.length, 0, 0]);
});

test("members die one after the other in mid-stream, and nothing is lost or counted twice", async (t) => {
  const rig = await AgentRig.open(t);
  await rig.startAll();
  const agent = await rig.openAgent();
  await waitFor("some acknowledged", () => {
    rig.add(agent, 20_000);
    return agent.standing().ackedDeltas >= 20;
  });
  for (let round = 1; round <= 2; round++) {
    const died = agent.standing().member!;
    for (let count = 0; count < 20; count++) rig.add(agent, 50_000);
    await rig.kill(died);
    await waitFor("another member", () => {
      rig.add(agent);
      return agent.standing().failovers >= round && agent.standing().member !== died;
    });
    await waitFor("acknowledgements", () => agent.standing().heldDeltas === 0);
    await rig.start(died);
    const { member } = rig.members.get(died)!;
    await waitFor("its state", () => member.node.view().hasState);
  }
  await untilDelivered(rig);
  assert.equal(agent.standing().droppedSamples, 0);
});

test("an agent begins before its members, and holds what it gets until one is there", async (t) => {
  const rig = await AgentRig.open(t);
  const log = new EventLog();
  const agent = await rig.openAgent("", log);
  for (let count = 0; count < 50; count++) rig.add(agent);
  await waitFor("an attempt at each", () => agent.linkState()?.lastError !== undefined);
  const { member, heldDeltas, heldBytes } = agent.standing();
  assert.deepEqual([member, heldDeltas, heldBytes > 5000], [undefined, 50, true]);
  await rig.startAll();
  await waitFor("a member", () => agent.standing().member !== undefined);
  await waitFor("acknowledgements", () => agent.standing().heldDeltas === 0);
  await untilDelivered(rig);
});

test("what lies on disk outlives an agent that stops, and one that begins again sends it", async (t) => {
  const rig = await AgentRig.open(t);
  const keys = `spool-dir = ${join(rig.folder, "spool")}`;
  const agent = await rig.openAgent(keys);
  for (let count = 0; count < 50; count++) rig.add(agent, 10_000);
  await waitFor("the disk", () => agent.standing().heldDeltas === 0);
  assert.ok(agent.standing().spooledBytes > 500_000);
  for (let count = 0; count < 5; count++) rig.add(agent);
  agent.leave();
  await waitFor("the end", () => agent.isDrained);
  await agent.close();
  await rig.startAll();
  const again = await rig.openAgent(keys);
  assert.ok(again.incarnation > agent.incarnation);
  rig.add(again);
  await waitFor("all of it gone", () => {
    return again.standing().ackedDeltas >= 56 && again.standing().spooledBytes === 0;
  });
  await untilDelivered(rig);
  assert.equal(again.standing().droppedSamples, 0);
});

test("an agent that is stopped while nobody is there tells what is lost", async (t) => {
  const rig = await AgentRig.open(t);
  const log = new EventLog();
  const agent = await rig.openAgent("", log);
  for (let count = 0; count < 3; count++) rig.add(agent);
  agent.leave();
  assert.equal(agent.isDrained, false);
  await agent.close();
  assert.equal(log.last("agent.samples_lost")?.samples, 6);
});

test("agents of a member that leaves go elsewhere, and what it had taken is not lost", async (t) => {
  const rig = await AgentRig.open(t);
  await rig.startAll();
  const agent = await rig.openAgent();
  await waitFor("some acknowledged", () => {
    rig.add(agent);
    return agent.standing().ackedDeltas >= 5;
  });
  const left = agent.standing().member!;
  for (let count = 0; count < 20; count++) rig.add(agent, 20_000);
  const { member } = rig.members.get(left)!;
  member.leave();
  await waitFor("another member", () => ![undefined, left].includes(agent.standing().member));
  await waitFor("its end", () => member.isDrained);
  await rig.kill(left);
  rig.add(agent);
  await waitFor("acknowledgements", () => agent.standing().heldDeltas === 0);
  await untilDelivered(rig);
});

test("members change with a reload", async (t) => {
  const rig = await AgentRig.open(t);
  await rig.startAll();
  const agent = await rig.openAgent();
  await waitFor("a member", () => agent.standing().member !== undefined);
  const before = agent.standing().member!;
  const settings = rig.settings("agent", "mode = agent\nagent-bytes = 2m");
  agent.configure({ ...settings, peers: settings.peers.filter(({ name }) => name !== before) });
  await waitFor("another one", () => ![undefined, before].includes(agent.standing().member));
  assert.equal(agent.standing().failovers, 1);
  assert.equal(agent.command({ action: "lead" }).ok, false);
});

test("an agent without members, or with a short token, does not start", async (t) => {
  const rig = await AgentRig.open(t);
  const settings = rig.settings("agent", "mode = agent");
  const context = { log: new EventLog().log, onTick() {} };
  await assert.rejects(
    RunningAgent.open({ ...settings, peers: [] }, context),
    /cluster\.peers has no member/,
  );
  const access = { token: "short", tls: undefined };
  await assert.rejects(RunningAgent.open({ ...settings, access }, context), /cluster\.token has 5 bytes/);
});
