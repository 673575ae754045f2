import assert from "node:assert/strict";
import { test } from "node:test";
import { commandConsensus } from "../../aggregator/page/consensus.ts";
import { Standing } from "../../aggregator/page/standing.ts";

const command = (...words: readonly unknown[]) => JSON.stringify({ "consensus-command": words });

test("the actions lead to bioyino's states, and leave the leader alone", () => {
  const standing = new Standing();
  assert.equal(standing.consensus, "disabled");
  for (const [action, state] of [
    ["enable", "enabled"],
    ["pause", "paused"],
    ["resume", "enabled"],
    ["disable", "disabled"],
  ] as const) {
    for (const leader of ["unchanged", "enable"]) {
      assert.deepEqual(commandConsensus(command(action, leader), standing), { status: 200 });
      assert.equal(standing.consensus, state);
    }
  }
});

test("a node alone stays its leader", () => {
  const standing = new Standing();
  assert.equal(commandConsensus(command("enable", "disable"), standing).status, 409);
  assert.equal(standing.consensus, "disabled");
});

test("a body that is no command changes nothing", () => {
  const standing = new Standing();
  const bodies = [
    "",
    "{",
    "null",
    "[]",
    '"x"',
    "{}",
    command(),
    command("enable"),
    command("enable", "unchanged", "more"),
    command("Enable", "unchanged"),
    command("constructor", "unchanged"),
    command("enable", "none"),
    command("enable", 1),
    command(["enable"], "unchanged"),
    '{"consensus-command":"enable"}',
    '{"__proto__":["enable","unchanged"]}',
  ];
  for (const body of bodies) {
    const { status, error } = commandConsensus(body, standing);
    assert.equal(status, 400, body);
    assert.match(error ?? "", /consensus-command/);
    assert.equal(standing.consensus, "disabled");
  }
});
