/** Leaders that people choose. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StaticElection } from "../../cluster/election/static.ts";
import type { Vote } from "../../cluster/world.ts";

const MEMBERS = ["c", "a", "b"].map((name) => ({ name, isWitness: name === "c" }));

/** A member, and what it has on disk. */
function member(name: string, startsAsLeader = false, saved: Vote = { term: 0, votedFor: undefined }) {
  const disk = { vote: saved, isReady: true };
  const options = { name, members: MEMBERS, startsAsLeader };
  const election = new StaticElection(
    options,
    (vote, done) => {
      if (disk.isReady) disk.vote = vote;
      done(disk.isReady);
    },
    saved,
  );
  return { election, disk };
}

test("who starts as leader leads when it may, in a term above all that were seen", () => {
  const { election, disk } = member("a", true);
  election.sawTerm(5000);
  election.tick(0);
  assert.equal(election.leadership().role, "follower");
  election.setEligible(true);
  const { role, term, leader, leaseUntilMs } = election.leadership();
  assert.deepEqual([role, leader, leaseUntilMs], ["leader", "a", Number.POSITIVE_INFINITY]);
  assert.ok(term > 5000);
  assert.deepEqual(disk.vote, { term, votedFor: "a" });
});

test("two that are chosen have different terms, and the lower one gives up", () => {
  const members = [member("a").election, member("b").election];
  for (const election of members) {
    election.setEligible(true);
    election.setLeader(true);
  }
  const [a, b] = members.map((election) => election.leadership().term) as [number, number];
  assert.ok(b > a);
  members[1]!.sawTerm(a);
  members[0]!.sawTerm(b);
  assert.deepEqual(
    members.map((election) => election.leadership().role),
    ["follower", "leader"],
  );
  members[0]!.setLeader(true);
  assert.ok(members[0]!.leadership().term > b, "whoever is chosen later has the higher term");
});

test("a term is not used twice, over restarts and after giving up", () => {
  const first = member("a", true);
  first.election.setEligible(true);
  const { term } = first.election.leadership();
  first.election.setLeader(false);
  first.election.setLeader(true);
  const again = first.election.leadership().term;
  const second = member("a", true, first.disk.vote);
  second.election.setEligible(true);
  assert.ok(again > term && second.election.leadership().term > again);
});

test("nobody leads in a term that is not on disk; it is tried again", () => {
  const { election, disk } = member("a", true);
  disk.isReady = false;
  election.setEligible(true);
  election.tick(0);
  assert.deepEqual([election.leadership().role, election.leadership().term], ["follower", 0]);
  disk.isReady = true;
  election.tick(1000);
  assert.equal(election.leadership().role, "leader");
});

test("whoever may not lead does not, and resigning lasts until somebody is chosen again", () => {
  const witness = member("c", true).election;
  witness.setEligible(true);
  assert.equal(witness.leadership().role, "follower");
  const { election } = member("a", true);
  election.setEligible(true);
  election.setEligible(false);
  assert.equal(election.leadership().leaseUntilMs, 0);
  election.setEligible(true);
  assert.equal(election.leadership().role, "leader");
  election.resign();
  election.tick(10_000);
  assert.equal(election.leadership().role, "follower");
  election.takeOver(10_000);
  assert.equal(election.leadership().role, "leader");
  election.setMembers(["b", "c"]);
  assert.equal(election.leadership().role, "follower");
});
