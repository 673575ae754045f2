/** What the pages are told of the aggregator, and what they may ask of it. */
import type { ClusterCommand, CommandOutcome } from "../../cluster/running/member-command.ts";
import type { SuiteConfig } from "../../shared/config.ts";
import type { ClusterStanding } from "../cluster-messages.ts";
import type { StatsReading } from "../own-stats.ts";
import type { ReloadOutcome } from "../reload.ts";
import type { FlushReport } from "../store.ts";
import type { Totals } from "../totals.ts";
import type { Ask } from "./store-client.ts";

/** One address that lines come in at. */
export interface ListenerState {
  /** Name of its section: `aggregator`, or NAME of [listener.NAME]. */
  readonly name: string;
  /** As bound: `udp://0.0.0.0:8125`. */
  readonly listen: string;
  readonly dialect: string;
  readonly threads: number;
  /** As the system granted it; undefined for streams. */
  readonly receiveBufferBytes?: number;
}

/** The aggregator as the pages see it. */
export interface AggregatorView {
  readonly version: string;
  /** Whether lines are taken and nothing is stopping. */
  isReady(): boolean;
  /** The configuration in force. */
  config(): SuiteConfig;
  totals(): Totals;
  stats(): StatsReading;
  listeners(): readonly ListenerState[];
  /** The last interval that was flushed; undefined before the first. */
  lastFlush(): FlushReport | undefined;
  /** The sender's address, by its hash as the store tells it; undefined where it is not known. */
  senderHost(hash: string): string | undefined;
  readonly ask: Ask;
  reload(): Promise<ReloadOutcome>;
  /** As it was told last; undefined where there is no cluster. */
  cluster(): ClusterStanding | undefined;
  /** What somebody should look at in the cluster, in words. */
  clusterAlarms(): readonly string[];
  /** Tells the cluster something; there must be one. */
  command(command: ClusterCommand): Promise<CommandOutcome>;
  /** Begins to stop, as by SIGTERM; returns at once. From then on it is not ready. */
  drain(): void;
}
