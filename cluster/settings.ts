/** The options of a node, of which some change while it runs. All parts look at the same ones. */
import type { NodeOptions } from "./options.ts";
import type { ClusterCounts } from "./view.ts";

/** What a reload may change. */
export type NodeTimes = Pick<
  NodeOptions,
  "settleMs" | "retainIntervals" | "holdBytesMax" | "backlogBytesMax"
>;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export type Settings = Readonly<Omit<NodeOptions, keyof NodeTimes | "members">> & Mutable<NodeTimes>;

/** Returns counts before anything has happened. */
export function noCounts(): ClusterCounts {
  return {
    elections: 0,
    leaderships: 0,
    intervalsWritten: 0,
    amendments: 0,
    settles: 0,
    takeovers: 0,
    degraded: 0,
    inDoubt: 0,
    deltasReceived: 0,
    deltasRepeated: 0,
    samplesReceived: 0,
    samplesSent: 0,
    deltaBytesSent: 0,
    backlogDropped: 0,
    lateSamples: 0,
    unmergeableSamples: 0,
    forgottenSamples: 0,
    unsavedWrites: 0,
    rivalsSeen: 0,
    staleMessages: 0,
  };
}
