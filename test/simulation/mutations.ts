/** Rules of the protocol, each broken in one place of the compiled code. */

export interface Mutation {
  /** The rule that is broken. */
  readonly name: string;
  /** Compiled file below cluster/. */
  readonly file: string;
  /** Text that is there exactly once, and what comes in its place. */
  readonly find: string;
  readonly replace: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "vote is volatile",
    file: "election/kept-vote.js",
    find: "this.#save(vote, (isSaved) => {",
    replace: "((_, done) => done(true))(vote, (isSaved) => {",
  },
  {
    name: "followers are not sticky",
    file: "election/raft.js",
    find: "const isHeldBack = nowMs < this.#noVoteUntilMs;",
    replace: "const isHeldBack = false;",
  },
  {
    name: "lease counts from the acknowledgement",
    file: "election/lease.js",
    find: "Math.max(this.#ackedMs.get(from) ?? sentMs, sentMs)",
    replace: "this.#sentMs + 600",
  },
];
