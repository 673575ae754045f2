/** What the parts of a node share. */
import type { Alarms } from "./alarms.ts";
import type { ClusterClock } from "./cluster-clock.ts";
import type { Delta } from "./delta.ts";
import type { Holding, Holdings } from "./holdings.ts";
import type { Message } from "./message.ts";
import type { Peers } from "./peers.ts";
import type { Pulls } from "./pulls.ts";
import type { Registers } from "./registers.ts";
import type { Replication } from "./replication.ts";
import type { Settings } from "./settings.ts";
import type { Tables } from "./tables.ts";
import type { ClusterCounts } from "./view.ts";
import type { World } from "./world.ts";

export interface NodeParts {
  readonly settings: Settings;
  readonly world: World;
  readonly counts: ClusterCounts;
  readonly alarms: Alarms;
  readonly peers: Peers;
  readonly clock: ClusterClock;
  readonly holdings: Holdings;
  readonly registers: Registers;
  readonly tables: Tables;
  readonly pulls: Pulls;
  readonly replication: Replication;
  /** The interval that the cluster clock is in. */
  interval(): number;
  /** Sends a message to all other members. */
  broadcast(message: Message): void;
  /** Holds a delta, and folds it where that is of use. */
  hold(delta: Delta, isOwn: boolean): Holding;
}
