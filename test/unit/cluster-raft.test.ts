/** The rules of an election one by one: a member under test, and what the others would say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ElectionMessage } from "../../cluster/election/election.ts";
import { RaftElection } from "../../cluster/election/raft.ts";
import type { Vote } from "../../cluster/world.ts";
import { seededRandom } from "../../shared/random.ts";

const TIMES = { heartbeatMs: 200, electionMinMs: 1000, electionMaxMs: 2000, leaseMs: 800 };

/** Member "a" of some; its disk answers at once, or when told. */
class Subject {
  readonly sent: [to: string, message: ElectionMessage][] = [];
  readonly saves: { vote: Vote; done: (isSaved: boolean) => void }[] = [];
  isDiskReady = true;
  readonly election: RaftElection;
  nowMs = 5000;

  constructor(others: readonly string[], saved: Vote = { term: 0, votedFor: undefined }, witness = "") {
    const members = ["a", ...others].map((name) => ({ name, isWitness: name === witness }));
    this.election = new RaftElection(
      { name: "a", members, ...TIMES },
      {
        random: seededRandom(1),
        send: (to, message) => this.sent.push([to, message]),
        saveVote: (vote, done) => {
          if (this.isDiskReady) done(true);
          else this.saves.push({ vote, done });
        },
      },
      saved,
    );
    this.election.setEligible(true);
    this.election.tick(this.nowMs);
  }

  /** Lets time go by, in ticks. */
  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += 50;
      this.election.tick(this.nowMs);
    }
  }

  hear(from: string, message: ElectionMessage): void {
    this.election.receive(from, message, this.nowMs);
  }

  /** What was sent since the last look, in words. */
  said(): string[] {
    return this.sent.splice(0).map(([to, message]) => {
      const isPre = "isPre" in message && message.isPre ? "pre-" : "";
      return `${to}: ${isPre}${message.kind} ${message.term}`;
    });
  }

  /** Is polled, votes itself, and wins with one more vote. */
  win(voter = "b"): void {
    this.pass(2100);
    const term = this.election.leadership().term + 1;
    this.hear(voter, { kind: "vote", isPre: true, term });
    this.hear(voter, { kind: "vote", isPre: false, term });
    assert.equal(this.election.leadership().role, "leader");
    this.said();
  }

  beat(from: string, term: number): void {
    this.hear(from, { kind: "heartbeat", term, sentMs: 77 });
  }

  ask(from: string, term: number, isForced = false): string[] {
    this.said();
    this.hear(from, { kind: "vote-request", isPre: false, term, isForced });
    return this.said();
  }
}

test("a member that hears nobody polls, votes for itself, and leads with a majority's votes", () => {
  const subject = new Subject(["b", "c"]);
  subject.pass(900);
  assert.deepEqual(subject.said(), []);
  subject.pass(1100);
  assert.deepEqual(subject.said().slice(0, 2), ["b: pre-vote-request 1", "c: pre-vote-request 1"]);
  assert.equal(subject.election.leadership().term, 0, "a poll changes no term");
  subject.hear("b", { kind: "vote", isPre: true, term: 1 });
  assert.deepEqual(subject.said(), ["b: vote-request 1", "c: vote-request 1"]);
  subject.hear("nobody", { kind: "vote", isPre: false, term: 1 });
  assert.equal(subject.election.leadership().role, "candidate");
  subject.hear("c", { kind: "vote", isPre: false, term: 1 });
  assert.deepEqual(subject.said(), ["b: heartbeat 1", "c: heartbeat 1"]);
  assert.deepEqual(subject.election.leadership(), { role: "leader", term: 1, leader: "a", leaseUntilMs: 0 });
});

test("nobody is asked, and nobody gets a vote, before it is on disk", () => {
  const candidate = new Subject(["b", "c"]);
  candidate.isDiskReady = false;
  candidate.pass(2000);
  candidate.said();
  candidate.hear("b", { kind: "vote", isPre: true, term: 1 });
  assert.deepEqual(candidate.said(), []);
  candidate.saves.shift()!.done(true);
  assert.deepEqual(candidate.said(), ["b: vote-request 1", "c: vote-request 1"]);

  const voter = new Subject(["b", "c"]);
  assert.deepEqual(voter.ask("b", 4), [], "it may have acknowledged a heartbeat before it was started");
  voter.pass(1000);
  voter.isDiskReady = false;
  assert.deepEqual(voter.ask("b", 4), []);
  assert.deepEqual(voter.ask("b", 4), [], "a repetition is no vote either");
  assert.equal(voter.saves.length, 1);
  assert.equal(voter.election.leadership().term, 0, "a term that a crash takes back is not shown");
  voter.saves.shift()!.done(true);
  assert.deepEqual(voter.said(), ["b: vote 4"]);
  assert.deepEqual(voter.ask("b", 4), ["b: vote 4"]);
  assert.deepEqual(voter.ask("c", 4), ["c: vote-refused 4"]);
});

test("a vote that could not be saved is given to nobody, and saved later", () => {
  const voter = new Subject(["b", "c"]);
  voter.pass(1000);
  voter.isDiskReady = false;
  voter.ask("b", 4);
  voter.saves.shift()!.done(false);
  assert.deepEqual(voter.said(), []);
  assert.deepEqual(voter.ask("c", 4), ["c: vote-refused 4"], "it may be on disk all the same");
  voter.isDiskReady = true;
  voter.pass(1100);
  assert.ok(voter.said().includes("b: vote 4"));
});

test("a heartbeat is acknowledged when its term is on disk, and holds the vote back", () => {
  const voter = new Subject(["b", "c"]);
  voter.pass(1000);
  voter.isDiskReady = false;
  voter.beat("b", 3);
  assert.deepEqual(voter.said(), []);
  voter.saves.shift()!.done(true);
  voter.beat("b", 3);
  assert.deepEqual(voter.said(), ["b: heartbeat-ack 3"]);
  assert.equal(voter.election.leadership().leader, "b");
  voter.pass(950);
  assert.deepEqual(voter.ask("c", 4), []);
  assert.equal(voter.election.leadership().term, 3);
  voter.isDiskReady = true;
  voter.pass(50);
  assert.deepEqual(voter.ask("c", 4), ["c: vote 4"]);
});

test("a forced request does not wait, but a leader with a lease follows none", () => {
  const voter = new Subject(["b", "c"]);
  voter.beat("b", 3);
  assert.deepEqual(voter.ask("c", 4, true), ["c: vote 4"]);

  const leader = new Subject(["b", "c"]);
  leader.win();
  leader.hear("b", { kind: "heartbeat-ack", term: 1, sentMs: leader.nowMs });
  assert.deepEqual(leader.ask("c", 2, true), []);
  assert.equal(leader.election.leadership().role, "leader");
});

test("a member that is asked to take over stands at once, and only for the term that follows", () => {
  const subject = new Subject(["b", "c"]);
  subject.beat("b", 3);
  subject.said();
  subject.election.takeOver(subject.nowMs);
  assert.deepEqual(subject.sent[0]?.[1], { kind: "vote-request", isPre: false, term: 4, isForced: true });

  const late = new Subject(["b", "c"]);
  late.beat("b", 3);
  late.isDiskReady = false;
  late.election.sawTerm(5);
  late.said();
  late.election.takeOver(late.nowMs);
  assert.deepEqual(late.said(), []);
  assert.equal(late.election.leadership().role, "follower");
});

test("the lease counts from the sending of what a majority acknowledged", () => {
  const leader = new Subject(["b", "c", "d", "e"]);
  leader.pass(2100);
  for (const isPre of [true, false]) {
    for (const voter of ["b", "c"]) leader.hear(voter, { kind: "vote", isPre, term: 1 });
  }
  const sentMs = leader.nowMs;
  const ack = (from: string, ms: number, term = 1): void =>
    leader.hear(from, { kind: "heartbeat-ack", term, sentMs: ms });
  leader.pass(300);
  ack("b", sentMs);
  assert.equal(leader.election.leadership().leaseUntilMs, 0);
  ack("c", sentMs, 0);
  assert.equal(leader.election.leadership().leaseUntilMs, 0, "of another term");
  ack("c", sentMs + 10_000);
  assert.equal(leader.election.leadership().leaseUntilMs, 0, "never sent");
  ack("stranger", sentMs);
  assert.equal(leader.election.leadership().leaseUntilMs, 0, "nobody's");
  ack("c", sentMs);
  assert.equal(leader.election.leadership().leaseUntilMs, sentMs + 800);
  ack("c", sentMs + 200);
  assert.equal(leader.election.leadership().leaseUntilMs, sentMs + 800, "one alone is no majority");
});

test("a leader that nobody answers steps down, and a rival's higher term makes it do so at once", () => {
  const leader = new Subject(["b", "c"]);
  leader.win();
  leader.pass(1750);
  assert.equal(leader.election.leadership().role, "leader");
  leader.pass(150);
  assert.notEqual(leader.election.leadership().role, "leader");

  const deposed = new Subject(["b", "c"]);
  deposed.win();
  deposed.hear("c", { kind: "vote-refused", term: 9 });
  assert.deepEqual(deposed.election.leadership(), {
    role: "follower",
    term: 9,
    leader: undefined,
    leaseUntilMs: 0,
  });
});

test("a leader of an old term is told so", () => {
  const subject = new Subject(["b", "c"], { term: 6, votedFor: "c" });
  subject.beat("b", 5);
  assert.deepEqual(subject.said(), ["b: vote-refused 6"]);
  assert.equal(subject.election.leadership().leader, undefined);
});

test("after a pause the lease is not used before a new heartbeat was acknowledged", () => {
  const leader = new Subject(["b", "c"]);
  leader.win();
  const sentMs = leader.nowMs;
  leader.hear("b", { kind: "heartbeat-ack", term: 1, sentMs });
  assert.equal(leader.election.leadership().leaseUntilMs, sentMs + 800);
  leader.nowMs += 450;
  leader.election.tick(leader.nowMs);
  assert.equal(leader.election.leadership().leaseUntilMs, 0);
  assert.deepEqual(leader.said(), ["b: heartbeat 1", "c: heartbeat 1"]);
  leader.hear("b", { kind: "heartbeat-ack", term: 1, sentMs });
  assert.equal(leader.election.leadership().leaseUntilMs, 0);
  leader.hear("b", { kind: "heartbeat-ack", term: 1, sentMs: leader.nowMs });
  assert.equal(leader.election.leadership().leaseUntilMs, leader.nowMs + 800);
});

test("a member that was cut off costs nobody the leader when it is back", () => {
  const cutOff = new Subject(["b", "c"]);
  cutOff.beat("b", 3);
  cutOff.pass(60_000);
  assert.equal(cutOff.election.leadership().term, 3);
  assert.ok(cutOff.said().includes("c: pre-vote-request 4"));
  cutOff.beat("b", 3);
  assert.deepEqual(cutOff.said(), ["b: heartbeat-ack 3"]);

  const other = new Subject(["b", "c"]);
  other.beat("b", 3);
  other.said();
  other.hear("c", { kind: "vote-request", isPre: true, term: 4, isForced: false });
  assert.deepEqual(other.said(), ["c: vote-refused 3"]);
});

test("a member alone elects itself at once, when its term is on disk", () => {
  const alone = new Subject([], { term: 8, votedFor: "a" });
  assert.deepEqual(alone.election.leadership(), {
    role: "leader",
    term: 9,
    leader: "a",
    leaseUntilMs: alone.nowMs + 800,
  });
  alone.pass(5000);
  assert.ok(alone.election.leadership().leaseUntilMs >= alone.nowMs + 600);
  assert.deepEqual(alone.said(), []);
});

test("witnesses, members that may not, and nodes that are no members do not stand", () => {
  const witness = new Subject(["b", "c"], undefined, "a");
  const barred = new Subject(["b", "c"]);
  barred.election.setEligible(false);
  const removed = new Subject(["b", "c"]);
  removed.election.setMembers(["b", "c"]);
  for (const subject of [witness, barred, removed]) {
    subject.pass(10_000);
    subject.election.takeOver(subject.nowMs);
    assert.deepEqual(subject.said(), []);
  }
  assert.deepEqual(witness.ask("b", 2), ["b: vote 2"]);
  assert.deepEqual(removed.ask("b", 2), []);
});

test("a leader resigns when it may not lead any more, and others go first", () => {
  const leader = new Subject(["b", "c"]);
  leader.win();
  leader.election.setEligible(false);
  assert.equal(leader.election.leadership().role, "follower");
  assert.equal(leader.election.leadership().leaseUntilMs, 0);
  leader.election.setEligible(true);
  leader.pass(2900);
  assert.deepEqual(leader.said(), []);
});

test("members that are added or removed count at once", () => {
  const leader = new Subject(["b", "c"]);
  leader.win();
  const sentMs = leader.nowMs;
  leader.hear("b", { kind: "heartbeat-ack", term: 1, sentMs });
  leader.election.setMembers(["a", "b", "c", "d"]);
  assert.equal(leader.election.leadership().leaseUntilMs, 0);
  leader.hear("d", { kind: "heartbeat-ack", term: 1, sentMs });
  assert.equal(leader.election.leadership().leaseUntilMs, sentMs + 800);
  leader.election.setMembers(["a", "c"]);
  assert.equal(leader.election.leadership().leaseUntilMs, 0);
});

test("what makes no sense changes nothing", () => {
  const subject = new Subject(["b", "c"]);
  for (const term of [Number.NaN, -1, 0.5, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER]) {
    subject.beat("b", term);
    subject.ask("b", term);
    subject.election.sawTerm(term);
  }
  subject.beat("a", 7);
  subject.beat("stranger", 7);
  assert.equal(subject.election.leadership().term, 0);
});

test("a member that was stopped says nothing more", async () => {
  const leader = new Subject(["b", "c"]);
  leader.win();
  await leader.election.stop();
  leader.pass(5000);
  assert.deepEqual(leader.ask("b", 5), []);
  assert.equal(leader.election.leadership().role, "follower");
});
