/** Agents: they do not listen, are answered over their own connection, and go to the next node in turn. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Message } from "../../cluster/message.ts";
import { AgentLink } from "../../cluster/transport/agent-link.ts";
import { systemClock } from "../../shared/clock.ts";
import { systemRandom } from "../../shared/random.ts";
import { EventLog } from "../support/event-log.ts";
import { helloOf, newDeltas, peerTls, TestHub, TOKEN } from "../support/peer-rig.ts";
import { waitFor } from "../support/wait-for.ts";

const ACK: Message = { kind: "deltas-ack", held: [{ source: "7.1.1", from: 0, to: 2 }] };

function openAgent(t: TestContext, nodes: readonly TestHub[], given: object = {}) {
  const log = new EventLog();
  const agent = { messages: [] as Message[], changes: [] as string[], refusals: [] as string[], log };
  const link = new AgentLink(
    {
      nodes: nodes.map((node) => node.addressAs("any")),
      hello: helloOf("a1", { role: "agent", members: [] }),
      access: { token: TOKEN },
      backlogBytesMax: 1 << 20,
      heartbeatMs: 100,
      clock: systemClock,
      random: systemRandom,
      log: log.log,
      ...given,
    },
    {
      onConnected: (server) => void agent.changes.push(`+${server}`),
      onLost: (server) => void agent.changes.push(`-${server}`),
      onRefused: (_, reason) => void agent.refusals.push(reason),
      onMessage: (_, message) => void agent.messages.push(message),
    },
  );
  t.after(() => link.close());
  link.open();
  return { ...agent, link };
}

test("an agent is heard and answered, and is no peer", async (t) => {
  const n1 = await TestHub.open(t, "n1");
  n1.answer = ACK;
  const agent = openAgent(t, [n1]);
  await waitFor("the node", () => agent.link.isConnected);
  assert.equal(n1.hub.agentCount, 1);
  const deltas = newDeltas(0, 3, 200_000);
  assert.equal(agent.link.send(deltas), true);
  await waitFor("the answer", () => agent.messages.length === 1);
  assert.deepEqual(agent.messages, [ACK]);
  assert.deepEqual(n1.agentMessages, [{ from: "a1", message: deltas }]);
  assert.deepEqual(n1.messages, []);
  assert.deepEqual(n1.changes, []);
  await agent.link.close();
  await waitFor("its end", () => n1.hub.agentCount === 0);
});

test("an agent goes to the next node when its own has gone", async (t) => {
  const nodes = [await TestHub.open(t, "n1"), await TestHub.open(t, "n2"), await TestHub.open(t, "n3")];
  await nodes[1]!.hub.close();
  const agent = openAgent(t, [nodes[0]!, nodes[2]!]);
  await waitFor("the first", () => agent.changes.length === 1);
  assert.equal(agent.link.send(ACK), true);
  await nodes[0]!.hub.close();
  await waitFor("the next", () => agent.changes.length === 3);
  assert.deepEqual(agent.changes, ["+n1", "-n1", "+n3"]);
  agent.link.send(ACK);
  await waitFor("the message", () => nodes[2]!.agentMessages.length === 1);
});

test("an agent of another interval or token, or of a member's name, is refused", async (t) => {
  const n1 = await TestHub.open(t, "n1");
  const cases: readonly [object, RegExp][] = [
    [
      { hello: helloOf("a1", { role: "agent", members: [], settings: { interval: "1" } }) },
      /interval is "1" here and "10000" there/,
    ],
    [{ hello: helloOf("n2", { role: "agent", members: [] }) }, /two nodes claim the name "n2"/],
    [{ access: { token: "x".repeat(32) } }, /the proof is wrong/],
    [{ access: {} }, /the proof is wrong/],
  ];
  for (const [given, reason] of cases) {
    const agent = openAgent(t, [n1], given);
    await waitFor("the refusal", () => agent.refusals.length > 0);
    assert.match(agent.refusals[0]!, reason);
    assert.equal(agent.log.last("peer.refused")?.level, "error");
    assert.equal(agent.link.send(ACK), false);
    await agent.link.close();
  }
  assert.equal(n1.hub.agentCount, 0);
});

test("an agent shows its certificate, and looks at that of whatever node it reaches", async (t) => {
  const n1 = await TestHub.open(t, "n1", { access: { tls: peerTls("n1") } });
  const false2 = await TestHub.open(t, "n2", { access: { tls: peerTls("n3") } });
  // The certificate n3 serves as the agent's.
  const hello = helloOf("elsewhere.test", { role: "agent", members: [] });
  const agent = openAgent(t, [false2, n1], { hello, access: { tls: peerTls("n3") } });
  await waitFor("the node", () => agent.link.isConnected);
  assert.deepEqual(agent.changes, ["+n1"]);
  assert.match(agent.refusals[0]!, /the certificate is not that of "n2"/);
});
