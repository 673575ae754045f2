/** Who belongs to a cluster, as each of its nodes reads it from one list. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../shared/config.ts";
import { type Membership, membershipOf, nodeNameOf } from "../../shared/membership.ts";

const LIST = "peers = c@h:3 a@h:1 b@h:2\nwitness = w@h:4";

function read(text: string, hostName = "host"): Membership | undefined {
  const config = `[aggregator]\nstate-dir = /s\n[cluster]\n${text}`;
  return membershipOf(parseConfig(config, "x.ini").cluster, hostName);
}

const names = (list: readonly { readonly name: string }[]): string => list.map(({ name }) => name).join(" ");

test("a node that names nobody is in no cluster, and one that names itself in one of its own", () => {
  assert.equal(read("node = a"), undefined);
  const { members, peers } = read("node = a\npeers = a@h:1")!;
  assert.deepEqual([names(members), peers.length], ["a", 0]);
});

test("every node reads the same members from the same list, and connects to the others", () => {
  const seen = ["a", "b", "c"].map((node) => read(`node = ${node}\n${LIST}`)!);
  for (const [index, { name, mode, members, peers }] of seen.entries()) {
    assert.deepEqual([name, mode, names(members)], ["abc"[index], "member", "a b c w"]);
    assert.deepEqual(
      members.filter(({ isWitness }) => isWitness).map((one) => one.name),
      ["w"],
    );
    assert.equal(names(peers), "a b c w".replace(`${name} `, ""));
  }
  const witness = read(`mode = witness\nnode = w\n${LIST}`)!;
  assert.deepEqual(witness.members, seen[0]!.members);
  assert.deepEqual([witness.mode, names(witness.peers)], ["witness", "a b c"]);
});

test("a witness that the list does not have is one all the same", () => {
  const { members } = read("mode = witness\nnode = w\npeers = a@h:1 b@h:2")!;
  assert.deepEqual(members.at(-1), { name: "w", isWitness: true });
});

test("a list without the node itself means the same as one with it", () => {
  const without = read("node = a\npeers = b@h:2 c@h:3");
  assert.deepEqual(without, read("node = a\npeers = a@h:1 b@h:2 c@h:3"));
});

test("an agent is no member and does not connect to the witness", () => {
  const agent = read(`mode = agent\nnode = x\n${LIST}`)!;
  assert.deepEqual([names(agent.members), names(agent.peers)], ["a b c w", "a b c"]);
});

test("without a name of its own a node is called as its machine", () => {
  assert.equal(read(LIST, "b")?.name, "b");
  assert.equal(names(read(LIST, "b")!.peers), "a c w");
  assert.equal(nodeNameOf({ node: "a" }, "b"), "a");
  assert.equal(nodeNameOf({ node: "" }, "b"), "b");
  assert.equal(nodeNameOf({ node: "" }, `é b${"x".repeat(70)}`), `--b${"x".repeat(60)}`);
  assert.equal(nodeNameOf({ node: "" }, ""), "node");
});
