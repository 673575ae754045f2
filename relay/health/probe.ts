/** What every health check has in common: whom it looks at, and what it finds. */
import type { Clock } from "../../shared/clock.ts";

/** A destination whose health is watched. */
export interface HealthTarget {
  /** Ring name + blank + destination text; one of a kind. */
  readonly key: string;
  /** Name of the ring that it belongs to. */
  readonly ring: string;
  readonly protocol: "udp" | "tcp" | "tls" | "unixgram";
  /** Address literal without brackets; absent for unixgram. */
  readonly host?: string;
  /** 1..65535; absent for unixgram. */
  readonly port?: number;
  /** Host as configured, for the Host field of HTTP; the address by default. */
  readonly name?: string;
  /** Path of the socket of a unixgram destination. */
  readonly path?: string;
}

/** How health is looked at, as configured. */
export interface HealthCheck {
  readonly kind: "auto" | "none" | "refusal" | "tcp" | "http" | "statsd";
  /** Port to ask where it is not the destination's own. */
  readonly port?: number;
  /** What HTTP asks for; `/` by default. */
  readonly path?: string;
}

/**
 * What one check found. unknown: nothing was learned of the destination, for instance because this process
 * has no descriptor left; it counts neither as good nor as bad.
 */
export type Verdict =
  | { readonly kind: "good" }
  | { readonly kind: "bad"; readonly fault: string }
  | { readonly kind: "unknown"; readonly fault: string };

export const GOOD: Verdict = { kind: "good" };

/** What a probe needs of the world. */
export interface ProbeContext {
  readonly clock: Clock;
  /** Longest time of one check in milliseconds. */
  readonly timeoutMs: number;
  /** What the outlet said last of a destination's connection, undefined before it said anything. */
  connection(key: string): boolean | undefined;
}

/** Looks at one destination again and again. */
export interface Probe {
  /**
   * Starts one check; not called again before it reported. report: called once, unless the probe is closed
   * meanwhile.
   */
  check(report: (verdict: Verdict) => void): void;
  /** Gives up a check under way and lets go of everything. */
  close(): void;
}

/** Faults of this machine: blaming a destination for them would take all destinations down at once. */
const OWN_FAULTS = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EAGAIN", "EACCES", "EPERM"];

/** Sorts an error of a socket or file by whose fault it is. */
export function verdictOf(error: Error): Verdict {
  const fault = (error as NodeJS.ErrnoException).code ?? error.message;
  return { kind: OWN_FAULTS.includes(fault) ? "unknown" : "bad", fault };
}
