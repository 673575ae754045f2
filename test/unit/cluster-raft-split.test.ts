/** Two members that may both write: one leads while they hear each other, and each while they do not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SplitElection } from "../../cluster/election/split.ts";
import { seededRandom } from "../../shared/random.ts";

const MEMBERS = ["a", "b"].map((name) => ({ name, isWitness: false }));
const TIMES = { heartbeatMs: 200, electionMinMs: 1000, electionMaxMs: 2000, leaseMs: 800 };

/** Both members, and a line between them that a test can cut. */
function pair(seed: number) {
  const line = { isCut: false };
  const terms: number[] = [];
  const random = seededRandom(seed);
  let nowMs = 0;
  const elections = MEMBERS.map(({ name }, index): SplitElection => {
    const send = (_to: string, message: Parameters<SplitElection["receive"]>[1]): void => {
      if (!line.isCut) elections[1 - index]!.receive(name, message, nowMs);
    };
    const saveVote = (_vote: object, done: (isSaved: boolean) => void) => done(true);
    return new SplitElection(
      { name, members: MEMBERS, ...TIMES },
      { random, send, saveVote },
      { term: 0, votedFor: undefined },
    );
  });
  for (const election of elections) election.setEligible(true);
  const run = (ms: number, gone?: number) => {
    for (const end = nowMs + ms; nowMs < end; nowMs += 50) {
      elections.forEach((election, index) => {
        if (index !== gone) election.tick(nowMs);
      });
      const leading = elections
        .map((election) => election.leadership())
        .filter(({ role }) => role === "leader");
      terms.push(...leading.map(({ term }) => term));
      assert.equal(new Set(leading.map(({ term }) => term)).size, leading.length, "no term has two leaders");
    }
  };
  const leaders = () => elections.filter((election) => election.leadership().role === "leader").length;
  return { elections, line, run, leaders };
}

test("one of two leads, both while they are cut off, and one afterwards", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { elections, line, run, leaders } = pair(seed);
    run(5000);
    assert.equal(leaders(), 1, `seed ${seed}`);
    const leader = elections.findIndex((election) => election.leadership().role === "leader");
    assert.equal(elections[1 - leader]!.leadership().leader, MEMBERS[leader]!.name);
    line.isCut = true;
    run(5000);
    assert.equal(leaders(), 2, `seed ${seed} while cut off`);
    line.isCut = false;
    run(1000);
    assert.equal(leaders(), 1, `seed ${seed} behind the cut`);
  }
});

test("the other one takes the place of one that is gone, and of one that resigns", () => {
  const { elections, run } = pair(7);
  run(5000);
  const first = elections.findIndex((election) => election.leadership().role === "leader");
  elections[first]!.resign();
  run(3000);
  assert.equal(elections[1 - first]!.leadership().role, "leader");
  run(5000, 1 - first);
  assert.equal(elections[first]!.leadership().role, "leader");
});

test("a member that may not lead does not", () => {
  const { elections, run, leaders } = pair(3);
  for (const election of elections) election.setEligible(false);
  run(10_000);
  assert.equal(leaders(), 0);
});
