import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterStanding } from "../../aggregator/cluster-messages.ts";
import type { CommandView } from "../../aggregator/page/command-view.ts";
import { commandConsensus, readConsensus } from "../../aggregator/page/consensus.ts";
import { firstConsensus, Standing } from "../../aggregator/page/standing.ts";
import type { ClusterCommand, CommandOutcome } from "../../cluster/running/member-command.ts";
import { loadConfig } from "../../shared/config.ts";
import { clusterView, memberStanding } from "../support/cluster-standing.ts";

const config = loadConfig(undefined);
const body = (...words: readonly unknown[]) => JSON.stringify({ "consensus-command": words });

const alone: CommandView = {
  cluster: () => undefined,
  config: () => config,
  command: () => Promise.reject(new Error("there is no cluster")),
};

/** A node of a cluster that does what it is told, unless `refusal` says why it does not. */
function member(standing: ClusterStanding, consensus: "internal" | "none" = "internal", refusal?: string) {
  const commands: ClusterCommand[] = [];
  let now = standing;
  const view: CommandView = {
    cluster: () => now,
    config: () => ({ ...config, cluster: { ...config.cluster, consensus } }),
    command: async (command): Promise<CommandOutcome> => {
      commands.push(command);
      if (refusal !== undefined) return { ok: false, message: refusal };
      const role = command.action === "lead" ? "leader" : "follower";
      if (command.action !== "enable") now = memberStanding({ view: clusterView({ role }) });
      return { ok: true, message: "" };
    },
  };
  return { view, commands };
}

function tell(view: CommandView, standing: Standing, ...words: readonly unknown[]) {
  return commandConsensus(readConsensus(body(...words)), view, standing);
}

test("the actions lead to bioyino's states, and leave the leader alone", async () => {
  const standing = new Standing();
  assert.equal(standing.consensus, "disabled");
  for (const [action, state] of [
    ["enable", "enabled"],
    ["pause", "paused"],
    ["resume", "enabled"],
    ["disable", "disabled"],
  ] as const) {
    for (const leader of ["unchanged", "enable"]) {
      assert.deepEqual(await tell(alone, standing, action, leader), { status: 200 });
      assert.equal(standing.consensus, state);
    }
  }
});

test("a node alone stays its leader", async () => {
  const standing = new Standing();
  assert.equal((await tell(alone, standing, "enable", "disable")).status, 409);
  assert.equal(standing.consensus, "disabled");
});

test("a body that is no command changes nothing", async () => {
  const standing = new Standing();
  const bodies = [
    "",
    "{",
    "null",
    "[]",
    '"x"',
    "{}",
    body(),
    body("enable"),
    body("enable", "unchanged", "more"),
    body("Enable", "unchanged"),
    body("constructor", "unchanged"),
    body("enable", "none"),
    body("enable", 1),
    body(["enable"], "unchanged"),
    '{"consensus-command":"enable"}',
    '{"__proto__":["enable","unchanged"]}',
  ];
  for (const text of bodies) {
    const { status, error } = await commandConsensus(readConsensus(text), alone, standing);
    assert.equal(status, 400, text);
    assert.match(error ?? "", /consensus-command/);
    assert.equal(standing.consensus, "disabled");
  }
});

test("the consensus of a member begins enabled; where people choose, there is none", () => {
  const peers = [{ name: "b", host: "127.0.0.1", port: 1 }];
  const withPeers = (consensus: "internal" | "none") => ({
    ...config,
    cluster: { ...config.cluster, peers, consensus },
  });
  assert.equal(firstConsensus(config), "disabled");
  assert.equal(firstConsensus(withPeers("internal")), "enabled");
  assert.equal(firstConsensus(withPeers("none")), "disabled");
});

test("a member stands for election or not, as it is told", async () => {
  const standing = new Standing("enabled");
  const { view, commands } = member(memberStanding());
  for (const action of ["pause", "resume", "disable", "enable"]) {
    assert.deepEqual(await tell(view, standing, action, "unchanged"), { status: 200 });
  }
  assert.deepEqual(
    commands.map(({ action }) => action),
    ["pause", "enable", "disable", "enable"],
  );
  assert.equal(standing.consensus, "enabled");
});

test("a leader gives up before it stops standing; where nobody takes over, nothing changes", async () => {
  const leading = memberStanding({ view: clusterView({ role: "leader" }) });
  const standing = new Standing("enabled");
  const { view, commands } = member(leading);
  assert.deepEqual(await tell(view, standing, "pause", "disable"), { status: 200 });
  assert.deepEqual(commands, [{ action: "follow" }, { action: "pause" }]);
  const refusing = member(leading, "internal", "another member cannot lead now");
  const refused = await tell(refusing.view, new Standing("enabled"), "pause", "disable");
  assert.deepEqual(refused, { status: 409, error: "another member cannot lead now" });
  assert.deepEqual(refusing.commands, [{ action: "follow" }]);
});

test("nobody is made leader by force where members choose", async () => {
  const standing = new Standing("enabled");
  const { view, commands } = member(memberStanding());
  const asked = await tell(view, standing, "enable", "enable");
  assert.equal(asked.status, 409);
  assert.match(asked.error ?? "", /members choose their leader, and node-b leads: ask it/);
  const paused = await tell(view, standing, "pause", "enable");
  assert.match(paused.error ?? "", /may not stand cannot lead/);
  assert.deepEqual([commands, standing.consensus], [[], "enabled"]);
  const leader = member(memberStanding({ view: clusterView({ role: "leader" }) }));
  assert.equal((await tell(leader.view, standing, "enable", "enable")).status, 200, "it leads already");
});

test("where people choose, leadership is given and taken, and there is nothing to enable", async () => {
  const standing = new Standing();
  const { view, commands } = member(memberStanding(), "none");
  assert.deepEqual(await tell(view, standing, "disable", "enable"), { status: 200 });
  assert.deepEqual(await tell(view, standing, "pause", "disable"), { status: 200 });
  assert.deepEqual(commands, [{ action: "lead" }, { action: "follow" }]);
  assert.equal(standing.consensus, "paused");
  const enabled = await tell(view, standing, "enable", "enable");
  assert.deepEqual([enabled.status, commands.length], [409, 2]);
  assert.match(enabled.error ?? "", /cluster\.consensus is none/);
});

test("an agent takes no part", async () => {
  const { view, commands } = member({ ...memberStanding(), role: "agent", view: undefined });
  assert.equal((await tell(view, new Standing(), "enable", "unchanged")).status, 409);
  assert.deepEqual(commands, []);
});
