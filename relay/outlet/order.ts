/** What the control thread and the outlet thread say to each other; all of it plain data. */
import type { MessagePort } from "node:worker_threads";

/** What happens to lines of a destination that is down. */
export type DownPolicy = "keep" | "drop" | "hold" | "next";

/** One destination that the outlet serves. */
export interface ChannelOrder {
  /** Number that receivers name the channel by. A key that stays keeps it; no other key ever gets it. */
  readonly id: number;
  /** Ring name, blank, destination as configured. Names the spool's files. */
  readonly key: string;
  /** The destination as configured, for the log. */
  readonly text: string;
  readonly protocol: "udp" | "tcp" | "tls" | "unixgram";
  /** Address literal or name; of every protocol but unixgram. */
  readonly host?: string;
  readonly port?: number;
  /** Of unixgram. */
  readonly path?: string;
  /** Name that a TLS certificate must be for and that SNI tells; `host` where it is absent. */
  readonly serverName?: string;
  readonly policy: DownPolicy;
  /** Memory of newOutletCounters(). */
  readonly counters: SharedArrayBuffer;
  /** Memory of newBacklog(). */
  readonly backlog: SharedArrayBuffer;
}

/** Paths of PEM files; they are read at each connection, so that renewed ones are taken up. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Whether the remote's certificate must be valid and for its name. */
  readonly verify: boolean;
}

/** How all channels of the outlet behave. */
export interface OutletOptions {
  /** Bound of the live queue of a channel. */
  readonly queueBytesMax: number;
  readonly queueAgeMs: number;
  readonly connectTimeoutMs: number;
  /**
   * Longest time in which a connection takes nothing of what is written to it. The system asks for more only
   * when a good part of its buffer is free again, so a remote has to read a megabyte or two in this time.
   */
  readonly writeTimeoutMs: number;
  /** First pause before a new connection; see shared/backoff.ts. */
  readonly retryDelayMs: number;
  readonly retryDelayMultiplier: number;
  readonly retryDelayMaxMs: number;
  readonly tls: TlsOptions;
  /** Bound of what one channel holds in memory while its destination is down. */
  readonly holdBytesMax: number;
  /** Longest time that a line is held in memory or on disk. */
  readonly holdAgeMs: number;
  /** Folder of the disk spool; no spool where it is absent. The first one named is kept. */
  readonly spoolDir?: string;
  /** Bound of all spool files together. */
  readonly spoolBytesMax: number;
  /** Of one channel, what was held on top of what comes in. */
  readonly replayLinesPerSecond: number;
  /** How long after the start what a spool had for a datagram destination is kept; 0 where it is absent. */
  readonly replayDelayMs?: number;
  /** Largest packet that held gauges are put together in; 1,400 where it is absent. */
  readonly packetBytesMax?: number;
}

/**
 * Orders of the control thread.
 * channels: the whole wanted set. New ones open, changed addresses connect anew, absent ones send what they
 * have, for at most queueAgeMs, and close. port: one more receiver thread's end, see OutletSender.
 * state: what health says of a destination; every channel begins up. drain: take what receivers have posted,
 * send it, and put by or count the rest after deadlineMs milliseconds; answered by `drained`.
 */
export type OutletMessage =
  | { readonly kind: "channels"; readonly channels: readonly ChannelOrder[]; readonly options: OutletOptions }
  | { readonly kind: "port"; readonly port: MessagePort }
  | { readonly kind: "state"; readonly id: number; readonly isUp: boolean }
  | { readonly kind: "drain"; readonly deadlineMs: number };

/** Answers of the outlet. connection: a TCP or TLS connection was made or lost. */
export type OutletReport =
  | { readonly kind: "connection"; readonly id: number; readonly isUp: boolean }
  | { readonly kind: "drained" };
