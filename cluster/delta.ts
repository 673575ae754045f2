/**
 * A delta: one snapshot frame as the cluster sees it. Whatever is in its bytes is the kernels' business; here
 * it has an identity, an interval and a number of samples.
 */
import { readLabel, type SnapshotLabel } from "../shared/wire.ts";

/** Which delta it is: the same again is a repetition. */
export interface DeltaId {
  /** Node, intake and run of its process: see sourceOf(). */
  readonly source: string;
  /** Counts the source's deltas from 0, over all intervals. */
  readonly sequence: number;
}

export interface Delta extends DeltaId {
  /** Index k of the interval [k * intervalMs, (k + 1) * intervalMs) that all its samples fall in. */
  readonly interval: number;
  /** Samples in it. */
  readonly samples: number;
  /** The whole frame of shared/wire.ts; nobody changes it any more. */
  readonly bytes: Uint8Array;
}

/** Returns the source of a labelled snapshot: `node.origin.incarnation`, all in hex. */
export function sourceOf(label: Pick<SnapshotLabel, "node" | "origin" | "incarnation">): string {
  return `${label.node.toString(16)}.${label.origin.toString(16)}.${label.incarnation.toString(16)}`;
}

/** Reads a frame's label. Returns undefined for anything that is not a whole frame of this version. */
export function deltaOf(bytes: Uint8Array): Delta | undefined {
  const label = readLabel(bytes);
  return label === undefined ? undefined : labelledDelta(label, bytes);
}

/** The delta of a frame whose label has been read. */
export function labelledDelta(label: SnapshotLabel, bytes: Uint8Array): Delta {
  const { interval, sequence, lines: samples } = label;
  return { source: sourceOf(label), sequence, interval, samples, bytes };
}
