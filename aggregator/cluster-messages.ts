/** What the control thread and the cluster's thread tell each other. */
import type { MessagePort } from "node:worker_threads";
import type { ClusterCommand, CommandOutcome } from "../cluster/running/member-command.ts";
import type { MemberSettings } from "../cluster/running/member-settings.ts";
import type { AgentStanding, ClusterView } from "../cluster/view.ts";

export type { AgentStanding } from "../cluster/view.ts";

export interface ClusterThreadData {
  readonly settings: MemberSettings;
  readonly lateWindowMs: number;
  /** See ClusterWords. */
  readonly words: SharedArrayBuffer;
}

/** What it reports when it is open. */
export interface ClusterInfo {
  readonly incarnation: bigint;
  /** Port at which peers come in; undefined for an agent. */
  readonly port: number | undefined;
}

export type ToCluster =
  /** The store, and the counters of the intake for own metrics, which comes by the same port. */
  | {
      readonly kind: "store";
      readonly port: MessagePort;
      readonly storeCounters: SharedArrayBuffer;
      readonly selfCounters: SharedArrayBuffer;
    }
  /** An intake: its snapshots come through the port, then null when it has ended. */
  | {
      readonly kind: "origin";
      readonly origin: number;
      readonly port: MessagePort;
      readonly counters: SharedArrayBuffer;
    }
  /** Everything that has to be there is: take part. */
  | { readonly kind: "begin" }
  /** Names of the sinks, now and after each reload. */
  | { readonly kind: "sinks"; readonly names: readonly string[] }
  /** A sink is done with the rows of an order. */
  | {
      readonly kind: "settled";
      readonly order: number;
      readonly sink: string;
      readonly isDelivered: boolean;
    }
  | { readonly kind: "command"; readonly id: number; readonly command: ClusterCommand }
  /** What a reload has changed. */
  | { readonly kind: "settings"; readonly settings: MemberSettings }
  /** Hand over and leave; all intakes have been told to end. */
  | { readonly kind: "leave" }
  /** Nothing more is to come. */
  | { readonly kind: "end" };

export type FromCluster =
  | { readonly kind: "view"; readonly view: ClusterStanding }
  | { readonly kind: "outcome"; readonly id: number; readonly outcome: CommandOutcome }
  | {
      readonly kind: "log";
      readonly level: "error" | "warn" | "info" | "debug";
      readonly event: string;
      readonly fields: Record<string, unknown>;
    }
  /** The cluster's clock is known. */
  | { readonly kind: "clock" }
  /** The lease is over: nothing may be written now, also of what is on its way. */
  | { readonly kind: "revoke" }
  /** Something may be written again. */
  | { readonly kind: "resume" }
  /** Rows of intervals from `floor` on are stale, of all orders up to that one: they are written anew. */
  | { readonly kind: "yield"; readonly floor: number; readonly throughOrder: number }
  /** floor: others have all from that interval on, and write it; undefined where all is written. */
  | { readonly kind: "left"; readonly floor: number | undefined }
  | { readonly kind: "ended" };

/** Its standing as pages show it. */
export interface ClusterStanding {
  readonly role: "member" | "agent";
  /** Undefined for an agent, and before the first. */
  readonly view: ClusterView | undefined;
  /** Of an agent. */
  readonly agent: AgentStanding | undefined;
  /** Connections to the others, and from them. */
  readonly links: readonly LinkStanding[];
  /** Tables that were not what an order had been made for. */
  readonly incompleteTables: number;
}

/** One peer as the transport sees it. */
export interface LinkStanding {
  readonly name: string;
  readonly isOutgoingUp: boolean;
  readonly isIncomingUp: boolean;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly reconnects: number;
  /** Why it was refused, or failed, last; undefined while all is well. */
  readonly fault: string | undefined;
  /** Why one of both will not work with the other before somebody mends it; undefined where they do. */
  readonly refusal: string | undefined;
  /** What should not stay as it is between two that work together; undefined where there is nothing. */
  readonly warning: string | undefined;
}
