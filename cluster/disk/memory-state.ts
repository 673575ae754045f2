/** The state of a node that has no folder for it. */
import { randomBytes } from "node:crypto";
import { incarnationOf, startsByClock } from "./node-identity.ts";
import type { NodeState } from "./node-state.ts";

/**
 * Opens a state that does not outlive the process: `isEmpty` at each start. Leaders that people or other
 * stores choose can do with it. An internal election is not safe with it, since such a node votes twice after
 * a restart; so the configuration refuses that.
 */
export function openMemoryState(): NodeState {
  return {
    saved: { vote: { term: 0, votedFor: undefined }, registers: [], isEmpty: true },
    node: randomBytes(8).readBigUInt64LE(),
    incarnation: incarnationOf(startsByClock()),
    saveVote: (_vote, done) => queueMicrotask(() => done(true)),
    saveRegister: (_interval, _register, done) => queueMicrotask(() => done(true)),
    dropRegisters: () => {},
    status: () => ({ isLasting: false, failedWrites: 0, isBehind: false, isDamaged: false }),
    close: () => Promise.resolve(),
  };
}
