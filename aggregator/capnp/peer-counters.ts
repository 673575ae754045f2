/** What a listener for Rust peers counts, in shared memory. */

import type { Counters } from "../../shared/counters.ts";
import { DROP_REASONS } from "../../shared/drop-reasons.ts";
import { DROP_REASON_COUNT } from "../../shared/kernel/reasons.ts";
import type { IntakeCounter } from "../counters.ts";
import type { SnapshotWriter } from "./snapshot-writer.ts";

/** Why a connection is closed by us, or counts for nothing. */
export const PEER_FAULTS = ["malformed", "too-large", "cut-off", "timed-out", "crowded"] as const;
export type PeerFault = (typeof PEER_FAULTS)[number];

/** Beside INTAKE_COUNTERS, of which a listener fills those of lines, bytes, snapshots and connections. */
export const PEER_COUNTERS = [
  /** Messages that could be read, by version. */
  "messages.v1",
  "messages.v2",
  /** Messages, or beginnings of them, that ended their connection. */
  ...PEER_FAULTS.map((fault): `faults.${PeerFault}` => `faults.${fault}`),
  /** Messages read, and metrics in them, while this node does not count. */
  "discardedMessages",
  "discardedMetrics",
  /** Samples of timers that are no numbers. */
  "skippedSamples",
] as const;
export type PeerCounter = (typeof PEER_COUNTERS)[number];

/** Counts of one listener since it was opened, in its own memory. */
export class PeerTally {
  bytes = 0;
  /** Metrics: those that are dropped by the codes of kernel/reasons.ts, and accepted ones under code 0. */
  readonly metrics = new Float64Array(DROP_REASON_COUNT);
  readonly peer: Record<PeerCounter, number> = Object.fromEntries(
    PEER_COUNTERS.map((name) => [name, 0]),
  ) as Record<PeerCounter, number>;
  connections = 0;
  connectionsAccepted = 0;
  connectionsRefused = 0;
  connectionsIdle = 0;

  /** Copies all to shared memory. Metrics stand where an intake has lines, and messages for datagrams. */
  publish(writer: SnapshotWriter, intake: Counters<IntakeCounter>, peer: Counters<PeerCounter>): void {
    this.peer.skippedSamples = writer.skippedSamples;
    intake.beginWrite();
    intake.set("datagrams", this.peer["messages.v1"] + this.peer["messages.v2"]);
    intake.set("bytes", this.bytes);
    intake.set(
      "received",
      this.metrics.reduce((sum, count) => sum + count),
    );
    intake.set("accepted", this.metrics[0]!);
    intake.set("samples", writer.samples);
    for (let code = 1; code < DROP_REASON_COUNT; code++) {
      intake.set(`dropped.${DROP_REASONS[code]!}`, this.metrics[code]!);
    }
    intake.set("snapshots", writer.snapshots);
    intake.set("snapshotBytes", writer.snapshotBytes);
    intake.set("lostLines", writer.lostSamples);
    intake.set("connections", this.connections);
    intake.set("connectionsAccepted", this.connectionsAccepted);
    intake.set("connectionsRefused", this.connectionsRefused);
    intake.set("connectionsIdle", this.connectionsIdle);
    intake.endWrite();
    peer.beginWrite();
    for (const name of PEER_COUNTERS) peer.set(name, this.peer[name]);
    peer.endWrite();
  }
}
