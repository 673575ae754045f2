/** What the control thread and the receiver threads of a relay tell each other. */
import type { MessagePort } from "node:worker_threads";
import type { ListenAddress, RemoteAddress } from "../shared/udp.ts";
import type { CounterBuffers } from "./counters.ts";
import type { PackPlan } from "./plan.ts";
import type { TopSnapshot } from "./top/sampler.ts";

/** How packets of one destination leave a receiver thread. */
export interface OutputOrder {
  /** Present where the thread sends by itself. */
  readonly remote?: RemoteAddress;
  /** Present where packets can go through the outlet: the channel, and its shared count of bytes. */
  readonly outlet?: { readonly channel: number; readonly backlog: SharedArrayBuffer };
  /** Whether packets are only counted. */
  readonly isDiscarding: boolean;
}

/**
 * What happens to lines of a destination: served, dropped here, passed over for the next choice, or handed
 * to the outlet, which holds them.
 */
export type DestinationState = "serve" | "drop" | "skip" | "hold";

/** A plan with what it needs at one moment. */
export interface PlanOrder {
  /** Counts the plans of a relay from 1. */
  readonly generation: number;
  readonly plan: PackPlan;
  readonly flushIntervalMs: number;
  /** By index of the destination, as are states, counters and heirs. */
  readonly outputs: readonly OutputOrder[];
  readonly states: readonly DestinationState[];
  readonly counters: CounterBuffers["outputs"];
  /** Bytes under way to one channel of the outlet. */
  readonly backlogBytesMax: number;
  /**
   * Present where known names stay where they are for a time: for each destination of the plan before its
   * index in this one, or -1.
   */
  readonly handover?: { readonly indexes: readonly number[]; readonly ms: number };
}

/** What the control thread tells a receiver thread at its start. */
export interface ReceiverOrder {
  readonly io: "mmsg" | "dgram";
  readonly listen: ListenAddress;
  readonly sharePort: boolean;
  readonly isFirst: boolean;
  /** A socket that the process was started with, in the place of a new one. */
  readonly inheritedFd?: number;
  readonly receiveBufferBytes: number;
  /** Bounds of a stream's lines and connections. */
  readonly stream: {
    readonly lineBytesMax: number;
    readonly idleTimeoutMs: number;
    readonly connectionsMax: number;
  };
  readonly intake: CounterBuffers["intake"];
  readonly first: PlanOrder;
  /** One word: CONTROL_RUN, CONTROL_DRAIN or CONTROL_LEAVE. */
  readonly control: SharedArrayBuffer;
  /** Present where some destination is served by the outlet. */
  readonly outletPort?: MessagePort;
}

/** What the control thread tells a receiver thread that runs. */
export type ReceiverMessage =
  /** Go on by another plan. */
  | { readonly kind: "plan"; readonly order: PlanOrder; readonly outletPort?: MessagePort }
  /** States of the destinations of one generation; of no meaning for others. */
  | {
      readonly kind: "states";
      /** Told back once they are in force. */
      readonly sequence: number;
      readonly generation: number;
      readonly states: readonly DestinationState[];
    }
  /** Lines of the relay's own to be sent, without line feeds. */
  | { readonly kind: "own"; readonly lines: readonly string[] }
  /** Watch names and senders, or stop it. */
  | { readonly kind: "watch"; readonly isOn: boolean };

/** What a receiver thread says once its socket is bound. */
export interface ReceiverInfo {
  readonly address: ListenAddress;
  /** As granted by the system. */
  readonly receiveBufferBytes: number;
}

/** What a receiver thread tells the control thread later. */
export type ReceiverReport =
  /** Works by the plan of that generation; the numbers of the one before are final. */
  | { readonly kind: "swapped"; readonly generation: number }
  /** Goes on by the plan it has, because the new one failed. */
  | { readonly kind: "kept"; readonly generation: number; readonly error: string }
  /** States of that sequence are in force, or of no meaning any more. */
  | { readonly kind: "stated"; readonly sequence: number }
  | { readonly kind: "top"; readonly snapshot: TopSnapshot };
