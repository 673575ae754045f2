/** All counts of an aggregator at one moment, added up from its threads and sinks. */
import type { Counters } from "../shared/counters.ts";
import { DROP_REASONS } from "../shared/drop-reasons.ts";
import type { PeerCounter } from "./capnp/peer-counters.ts";
import type { ClusterStanding } from "./cluster-messages.ts";
import type { IntakeCounter, StoreCounter } from "./counters.ts";
import type { SinkStatus } from "./sink/sink.ts";

/** One intake under the name that its metrics carry. */
export interface NamedIntake {
  readonly name: string;
  readonly counters: Counters<IntakeCounter>;
}

export interface Totals {
  /** By intake: sockets, and `self` for the aggregator's own metrics. */
  readonly intakes: readonly { readonly name: string; readonly counts: Record<IntakeCounter, number> }[];
  readonly store: Record<StoreCounter, number>;
  readonly sinks: readonly SinkStatus[];
  /** Absent where there is no cluster. */
  readonly cluster?: ClusterStanding;
  /** Absent where no nodes of the Rust bioyino come in. */
  readonly rustPeers?: Record<PeerCounter, number>;
}

export function readTotals(
  intakes: readonly NamedIntake[],
  store: Counters<StoreCounter>,
  sinks: readonly SinkStatus[],
  cluster?: ClusterStanding,
  rustPeers?: Counters<PeerCounter>,
): Totals {
  return {
    intakes: intakes.map(({ name, counters }) => ({ name, counts: counters.read() })),
    store: store.read(),
    sinks,
    ...(cluster !== undefined && { cluster }),
    ...(rustPeers !== undefined && { rustPeers: rustPeers.read() }),
  };
}

/** Adds one counter up over all intakes. */
export function sumIntakes(totals: Totals, counter: IntakeCounter): number {
  return totals.intakes.reduce((sum, { counts }) => sum + counts[counter], 0);
}

/** Name of the intake for the aggregator's own metrics. */
export const SELF_INTAKE = "self";
/** How the name of the intake for nodes of the Rust bioyino begins. */
export const RUST_PEERS_SCHEME = "bioyino://";

/** Adds one counter up over the intakes that have a socket. */
export function sumSockets(totals: Totals, counter: IntakeCounter): number {
  return totals.intakes.reduce(
    (sum, { name, counts }) => (name === SELF_INTAKE ? sum : sum + counts[counter]),
    0,
  );
}

/** Adds one counter up over the intakes that nodes of the Rust bioyino come in at. */
export function sumRustPeers({ intakes }: Totals, counter: IntakeCounter): number {
  return intakes.reduce(
    (sum, { name, counts }) => (name.startsWith(RUST_PEERS_SCHEME) ? sum + counts[counter] : sum),
    0,
  );
}

/** Lines dropped at intake, whatever the reason. */
export function droppedLines(counts: Record<IntakeCounter, number>): number {
  return DROP_REASONS.reduce((sum, reason) => sum + counts[`dropped.${reason}`], 0);
}

/** Values of accepted lines that neither reached the store, or the cluster, nor were lost on the way. */
export function linesInFlight(totals: Totals): number {
  return sumIntakes(totals, "samples") - sumIntakes(totals, "lostLines") - sumIntakes(totals, "samplesTaken");
}
