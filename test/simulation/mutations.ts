/** Rules of the protocol, each broken in one place of the compiled code. */
import type { Stats } from "./stats.ts";

export interface Mutation {
  /** The rule that is broken. */
  readonly name: string;
  /** Compiled file below cluster/. */
  readonly file: string;
  /** Text that is there exactly once, and what comes in its place. */
  readonly find: string;
  readonly replace: string;
  /** Where no invariant notices: whether figures of as many histories do, beside those of the sound code. */
  readonly isSeen?: (broken: Stats, sound: Stats) => boolean;
  /** Scenario for such figures. */
  readonly scenario?: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "a delta may come twice",
    file: "holdings.js",
    find: "if (entry.has(delta))",
    replace: "if (false)",
  },
  {
    name: "a node without state may lead",
    file: "transfer.js",
    find: "return this.#hasState;",
    replace: "return true;",
  },
  {
    name: "an intent needs no majority",
    file: "interval-leader.js",
    find: "if (!decision.recordedBy.has(settings.name) || peers.countOf(decision.recordedBy) < needed)",
    replace: "if (needed < 0)",
  },
  {
    name: "an intent counts before it is on disk",
    file: "registers.js",
    find: "if (saving === undefined)",
    replace: "if (true)",
  },
  {
    name: "a vote is answered before it is on disk",
    file: "election/kept-vote.js",
    find: "this.#save(vote, (isSaved) => {",
    replace: "((_, done) => done(true))(vote, (isSaved) => {",
  },
  {
    name: "followers of a leader vote for others",
    file: "election/raft.js",
    find: "const isHeldBack = nowMs < this.#noVoteUntilMs;",
    replace: "const isHeldBack = false;",
  },
  {
    name: "a lease counts from the acknowledgement",
    file: "election/lease.js",
    find: "Math.max(this.#ackedMs.get(from) ?? sentMs, sentMs)",
    replace: "this.#sentMs + 600",
  },
  {
    name: "a new leader reads nothing",
    file: "recovery.js",
    find: "return peers.countOf(this.#answered) + 1 >= peers.majority;",
    replace: "return true;",
  },
  {
    name: "a new leader stops reading at a majority",
    file: "recovery.js",
    find: "if (this.#term !== undefined && nowMs - this.#askedMs >= ASK_MS)",
    replace: "if (this.#term !== undefined && !this.isOver(nowMs) && nowMs - this.#askedMs >= ASK_MS)",
  },
  {
    name: "what was delivered may be left out",
    file: "search.js",
    find: "if (delivered !== undefined && delivered.missing > 0) {",
    replace: "if (false) {",
  },
  {
    name: "what may have been written is not looked for",
    file: "search.js",
    find: "if (isUndecided && pending.missing > 0) {",
    replace: "if (false) {",
  },
  {
    name: "rows go out without a lease",
    file: "office.js",
    find: "#lead(leaseUntilMs, nowMs) {",
    replace: "#lead(leaseUntilMs, nowMs) { leaseUntilMs = Number.MAX_SAFE_INTEGER;",
  },
  {
    name: "a register has one slot",
    file: "register.js",
    find: "return delivered === undefined ? { pending } : { pending, delivered };",
    replace:
      "return delivered === undefined || isNewer(pending, delivered) ? { pending } : { pending, delivered };",
  },
  {
    name: "nothing is settled",
    file: "options.js",
    find: "quietMs: 8000",
    replace: "quietMs: 8000000",
  },
  {
    name: "tables are not folded in the manifest's order",
    file: "tables.js",
    find: "if (entry.table?.isSame(manifest) ?? manifest.length === 0)",
    replace: "if ((entry.table?.size ?? 0) === FoldOrder.of(manifest).size)",
  },
  {
    name: "levels are not in the manifest",
    file: "interval-leader.js",
    find: "this.#parts.replication.add(levels, this.#parts.world.clock.monotonicMs());",
    replace: "return [];",
  },
  {
    name: "what a newcomer takes over is taken for newer than it is",
    file: "transfer.js",
    find: "Math.max(tables.keptThrough(), 0)",
    replace: "Math.max(tables.closedThrough, 0)",
  },
  {
    name: "rows of an earlier leadership go out in a later one",
    file: "interval-leader.js",
    find: "floor() {",
    replace: "floor() { return this.#parts.interval();",
  },
  {
    name: "late deltas do not amend",
    file: "interval-leader.js",
    find: "else if (entry.size > decision.size) {",
    replace: "else if (false) {",
  },
  {
    name: "an intent is called held by who lacks some of it",
    file: "follower.js",
    find: "const holdsAll = !peers.isSelfWitness && pending.missing === 0;",
    replace: "const holdsAll = !peers.isSelfWitness;",
  },
  {
    name: "followers keep to themselves what nobody delivered",
    file: "anti-entropy.js",
    find: "if (nowMs - this.#sentMs < TIMES.digestMs)",
    replace: "if (true)",
  },
  {
    name: "the first sink's word is all sinks' word",
    file: "delivery.js",
    find: "world.writer.sinks().every((sink) => ended.has(sink))",
    replace: "world.writer.sinks().some((sink) => ended.has(sink))",
  },
  {
    name: "an agent's delta is safe with one copy",
    file: "foreign.js",
    find: "this.#unsafe.set(keyOf(delta), { heldMs: nowMs, onSafe: [onSafe] });",
    replace: "onSafe();",
  },
  {
    name: "no poll before an election",
    file: "election/raft.js",
    find: "this.#poll();",
    replace: "this.#stand(false);",
    scenario: "isolate-follower",
    isSeen: (broken, sound) => broken.leaderships > 1.3 * sound.leaderships,
  },
  {
    name: "deltas are labelled by the wall clock",
    file: "cluster-clock.js",
    find: "return this.#clock.monotonicMs() + this.#offsetMs;",
    replace: "return this.#clock.wallMs();",
    scenario: "jump-clock",
    isSeen: (broken, sound) => broken.mislabelled > 10 * sound.mislabelled + 1000,
  },
  {
    name: "a node that begins goes by its own clock",
    file: "cluster-clock.js",
    find: "this.#offsetMs = clockMs + halfMs - nowMs;",
    replace: "",
    scenario: "jump-and-kill",
    isSeen: (broken, sound) => broken.mislabelled > 3 * sound.mislabelled + 200,
  },
];
