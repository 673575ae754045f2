/** Whether what a peer says makes sense where it could hurt. What the wire can see, its codec has seen. */
import type { Delta } from "./delta.ts";
import { isTerm } from "./election/kept-vote.ts";
import { DeltaSet, type Manifest, sizeOf } from "./manifest.ts";
import type { Message } from "./message.ts";
import type { Register, Slot } from "./register.ts";

/** Deltas of one interval. */
const DELTAS_MAX = 1_000_000;
const RUNS_MAX = 200_000;
const SOURCE_LENGTH_MAX = 128;
const REVISION_MAX = 2 ** 31;

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isSoundSource(source: string): boolean {
  return source.length > 0 && source.length <= SOURCE_LENGTH_MAX;
}

/** Whether a delta's numbers can be true. */
export function isSoundDelta({ source, sequence, interval, samples }: Delta): boolean {
  return isSoundSource(source) && isCount(sequence) && isCount(interval) && isCount(samples);
}

/** Whether runs are such, are few enough to be visited, and name nothing twice. */
export function isSoundManifest(manifest: Manifest): boolean {
  if (manifest.length > RUNS_MAX) return false;
  const ends = new Map<string, number>();
  let isAscending = true;
  for (const { source, from, to } of manifest) {
    if (!isSoundSource(source) || !isCount(from) || !isCount(to) || to < from) return false;
    if (to - from >= DELTAS_MAX) return false;
    isAscending &&= from > (ends.get(source) ?? -1);
    ends.set(source, to);
  }
  const size = sizeOf(manifest);
  // Most are such that nothing can be in them twice, which is soon seen.
  return size <= DELTAS_MAX && (isAscending || DeltaSet.of(manifest).size === size);
}

function isSoundSlot({ term, revision, manifest }: Slot): boolean {
  const isNumbered = isTerm(term) && isCount(revision) && revision >= 1 && revision <= REVISION_MAX;
  return isNumbered && isSoundManifest(manifest);
}

/** Whether a register can be one. */
export function isSoundRegister({ pending, delivered }: Register): boolean {
  return isSoundSlot(pending) && (delivered === undefined || isSoundSlot(delivered));
}

function areSound<T>(rows: readonly (readonly [number, T])[], isSound: (value: T) => boolean): boolean {
  return rows.every(([interval, value]) => isCount(interval) && isSound(value));
}

/** Whether a message can be acted upon. Deltas are judged one by one. */
export function isSoundMessage(message: Message): boolean {
  switch (message.kind) {
    case "beat":
      return isTerm(message.term) && isCount(message.floor);
    case "stale":
    case "query":
    case "take-over":
      return isTerm(message.term);
    case "clock-request":
      return Number.isFinite(message.askedMs);
    case "clock-answer":
      return Number.isFinite(message.askedMs) && isCount(Math.trunc(message.clockMs));
    case "deltas":
      return message.closedBelow === undefined || isCount(message.closedBelow);
    case "deltas-ack":
      return isSoundManifest(message.held);
    case "query-answer":
      return (
        isTerm(message.term) &&
        isCount(message.forgottenBelow ?? 0) &&
        areSound(message.registers, isSoundRegister) &&
        areSound(message.held, isSoundManifest)
      );
    case "intent":
    case "done":
      return isCount(message.interval) && isSoundSlot(message);
    case "intent-ack":
      return isTerm(message.term) && isSoundManifest(message.besides);
    case "pull":
      return isCount(message.interval) && isSoundManifest(message.wanted);
    case "digest":
      return areSound(message.undelivered, isSoundManifest);
    case "state":
      return (
        isCount(message.forgottenBelow ?? 0) &&
        areSound(message.registers, isSoundRegister) &&
        areSound(message.held, isSoundManifest)
      );
    default:
      return true;
  }
}
