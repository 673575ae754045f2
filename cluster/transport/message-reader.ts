/** The shape of each message as JSON; the compiler sees that none, and no field, is forgotten. */
import type { ElectionMessage } from "../election/election.ts";
import type { Manifest, Run } from "../manifest.ts";
import type { Deltas, Message, State } from "../message.ts";
import type { DeliveredSlot, Register, Slot } from "../register.ts";
import {
  type Allowance,
  boolean,
  finiteNumber,
  integer,
  list,
  object,
  optional,
  pair,
  type Reader,
  text,
  word,
} from "./field-reader.ts";

/** Deltas that all manifests of one message may name. */
const DELTAS_MAX = 4_000_000;
const RUNS_MAX = 1_000_000;
const INTERVALS_MAX = 100_000;
const SINKS_MAX = 1000;
const FRAMES_MAX = 100_000;
const TEXT_LENGTH_MAX = 256;

/** A `deltas` without its frames, which stand behind it. */
export type DeltasHead = Omit<Deltas, "deltas"> & {
  /** Bytes of each frame. */
  readonly sizes: readonly number[];
};
/** A `state` without what it keeps, which stands behind it. */
export type StateHead = Omit<State, "kept"> & {
  /** Bytes of what is kept; absent where there is nothing. */
  readonly keptBytes?: number;
};

/** Messages as their JSON has them. */
export type MessageHead = Exclude<Message, Deltas | State> | DeltasHead | StateHead;

const count = integer(0);
const term = count;
// An interval before the first, or none, may be below 0.
const interval = integer(Number.MIN_SAFE_INTEGER);
const revision = count;
const name = text(TEXT_LENGTH_MAX);
const incarnation = text(TEXT_LENGTH_MAX);

const anyRun = object<Run>({ source: name, from: count, to: count });
const run: Reader<Run> = (value, allowance) => {
  const read = anyRun(value, allowance);
  if (read === undefined || read.to < read.from) return undefined;
  allowance.deltas -= read.to - read.from + 1;
  return allowance.deltas >= 0 ? read : undefined;
};
const manifest: Reader<Manifest> = list(run, RUNS_MAX);
const sinks = list(name, SINKS_MAX);
const slot = { term, revision, manifest };
const register = object<Register>({
  pending: object<Slot>(slot),
  delivered: optional(object<DeliveredSlot>({ ...slot, sinks, isComplete: boolean })),
});
const registers = list(pair(interval, register), INTERVALS_MAX);
const held = list(pair(interval, manifest), INTERVALS_MAX);

type Kind = MessageHead["kind"];
type HeadReaders = { readonly [K in Kind]: Reader<Extract<MessageHead, { readonly kind: K }>> };
type ElectionReaders = {
  readonly [K in ElectionMessage["kind"]]: Reader<Extract<ElectionMessage, { readonly kind: K }>>;
};

const electionReaders: ElectionReaders = {
  "vote-request": object({ kind: word("vote-request"), isPre: boolean, term, isForced: boolean }),
  vote: object({ kind: word("vote"), isPre: boolean, term }),
  "vote-refused": object({ kind: word("vote-refused"), term }),
  heartbeat: object({ kind: word("heartbeat"), term, sentMs: finiteNumber }),
  "heartbeat-ack": object({ kind: word("heartbeat-ack"), term, sentMs: finiteNumber }),
};

const readers: HeadReaders = {
  ...electionReaders,
  beat: object({ kind: word("beat"), term, floor: interval }),
  stale: object({ kind: word("stale"), term }),
  "clock-request": object({ kind: word("clock-request"), askedMs: finiteNumber }),
  "clock-answer": object({ kind: word("clock-answer"), askedMs: finiteNumber, clockMs: finiteNumber }),
  deltas: object<DeltasHead>({
    kind: word("deltas"),
    closedBelow: optional(interval),
    incarnation,
    wantsAck: boolean,
    sizes: list(count, FRAMES_MAX),
  }),
  "deltas-ack": object({ kind: word("deltas-ack"), held: manifest }),
  query: object({ kind: word("query"), term }),
  "query-answer": object({ kind: word("query-answer"), term, registers, held, presentSince: interval }),
  intent: object({ kind: word("intent"), term, interval, revision, manifest }),
  "intent-ack": object({
    kind: word("intent-ack"),
    term,
    interval,
    revision,
    holdsAll: boolean,
    besides: manifest,
  }),
  done: object({ kind: word("done"), term, interval, revision, manifest, sinks, isComplete: boolean }),
  pull: object({ kind: word("pull"), interval, wanted: manifest }),
  digest: object({ kind: word("digest"), undelivered: held }),
  "state-request": object({ kind: word("state-request"), incarnation }),
  state: object<StateHead>({
    kind: word("state"),
    incarnation,
    registers,
    held,
    keptBytes: optional(count),
    keptThrough: interval,
  }),
  leaving: object({ kind: word("leaving"), incarnation }),
  "take-over": object({ kind: word("take-over"), term }),
};

const byKind = new Map<unknown, Reader<MessageHead>>(Object.entries(readers));

/** Reads what a message's JSON was parsed to. Returns undefined for what is no message. */
export function readMessageHead(value: unknown): MessageHead | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, "kind")) return undefined;
  const allowance: Allowance = { deltas: DELTAS_MAX };
  return byKind.get((value as { readonly kind: unknown }).kind)?.(value, allowance);
}
