/** The shape of each message as JSON; the compiler sees that none, and no field, is forgotten. */
import type { Manifest, Run } from "../manifest.ts";
import type { Deltas, Message, State } from "../message.ts";
import type { DeliveredSlot, Register, Slot } from "../register.ts";
import {
  type Allowance,
  boolean,
  type Fields,
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
import { readManifest } from "./manifest-text.ts";

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
const runs = list(run, RUNS_MAX);
const manifest: Reader<Manifest> = (value, allowance) => {
  return runs(typeof value === "string" ? readManifest(value, RUNS_MAX) : value, allowance);
};
const sinks = list(name, SINKS_MAX);
const slot = { term, revision, manifest, isInDoubt: optional(boolean) };
const register = object<Register>({
  pending: object<Slot>(slot),
  delivered: optional(object<DeliveredSlot>({ ...slot, sinks, isComplete: boolean })),
});
const registers = list(pair(interval, register), INTERVALS_MAX);
const held = list(pair(interval, manifest), INTERVALS_MAX);

type Kind = MessageHead["kind"];

/** Explicit types: a field that may be missing would be left out of an inferred one without a word. */
const shapes: { readonly [K in Kind]: Fields<Extract<MessageHead, { readonly kind: K }>> } = {
  "vote-request": { kind: word("vote-request"), isPre: boolean, term, isForced: boolean },
  vote: { kind: word("vote"), isPre: boolean, term },
  "vote-refused": { kind: word("vote-refused"), term },
  heartbeat: { kind: word("heartbeat"), term, sentMs: finiteNumber },
  "heartbeat-ack": { kind: word("heartbeat-ack"), term, sentMs: finiteNumber },
  beat: { kind: word("beat"), term, floor: interval },
  stale: { kind: word("stale"), term },
  "clock-request": { kind: word("clock-request"), askedMs: finiteNumber },
  "clock-answer": {
    kind: word("clock-answer"),
    askedMs: finiteNumber,
    clockMs: finiteNumber,
    wallMs: optional(finiteNumber),
  },
  deltas: {
    kind: word("deltas"),
    closedBelow: optional(interval),
    incarnation,
    wantsAck: boolean,
    sizes: list(count, FRAMES_MAX),
  },
  "deltas-ack": { kind: word("deltas-ack"), held: manifest },
  query: { kind: word("query"), term },
  "query-answer": {
    kind: word("query-answer"),
    term,
    registers,
    held,
    presentSince: interval,
    forgottenBelow: optional(interval),
  },
  intent: { kind: word("intent"), interval, ...slot },
  "intent-ack": {
    kind: word("intent-ack"),
    term,
    interval,
    revision,
    holdsAll: boolean,
    besides: manifest,
  },
  done: { kind: word("done"), term, interval, revision, manifest, sinks, isComplete: boolean },
  pull: { kind: word("pull"), interval, wanted: manifest },
  digest: { kind: word("digest"), undelivered: held },
  "state-request": { kind: word("state-request"), incarnation },
  state: {
    kind: word("state"),
    incarnation,
    registers,
    held,
    keptBytes: optional(count),
    keptThrough: interval,
    forgottenBelow: optional(interval),
  },
  leaving: { kind: word("leaving"), incarnation },
  "take-over": { kind: word("take-over"), term },
};

const byKind = new Map<unknown, Reader<MessageHead>>(
  Object.entries(shapes).map(([kind, shape]) => [kind, object(shape as Fields<MessageHead>)]),
);

/** Reads what a message's JSON was parsed to. Returns undefined for what is no message. */
export function readMessageHead(value: unknown): MessageHead | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, "kind")) return undefined;
  const allowance: Allowance = { deltas: DELTAS_MAX };
  return byKind.get((value as { readonly kind: unknown }).kind)?.(value, allowance);
}
