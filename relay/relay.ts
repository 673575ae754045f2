/** The relay as a whole: started by the executable, and by tests. */
import type { LogConfig, RelayConfig } from "../shared/config.ts";
import type { Log } from "../shared/log.ts";
import type { ListenAddress } from "../shared/udp.ts";
import { RelayControl } from "./control.ts";
import type { Fingerprints } from "./page/ring-page.ts";
import type { ListenerTotals } from "./receivers.ts";
import type { ReloadOutcome } from "./reload.ts";

/** A relay at work. */
export interface Relay {
  readonly io: "mmsg" | "dgram";
  /** As bound. */
  readonly listenAddresses: readonly ListenAddress[];
  /** HOST:PORT of the management pages, undefined where they are switched off. */
  readonly management: string | undefined;
  readonly threadCount: number;
  /** Receive buffer of the first socket in bytes, as granted. */
  readonly receiveBufferBytes: number;
  /** Whether sockets were handed down by whoever started the process. */
  readonly isInheriting: boolean;
  /** Resolves when a thread ends by itself, which it never should. */
  readonly failed: Promise<Error>;
  /** Fingerprints of the rings by name. */
  rings(): Fingerprints;
  totals(): readonly ListenerTotals[];
  /** Reads the configuration again and goes on by it. Never throws: what is wrong is in the outcome. */
  reload(isForced: boolean): Promise<ReloadOutcome>;
  /**
   * Goes unready, waits for the drain delay, takes what the sockets still hold, sends everything and ends the
   * threads. Waits no longer than the drain timeout. Resolves with whether all threads ended in time; may be
   * called again.
   */
  stop(): Promise<boolean>;
}

/** What a start may bring. */
export interface RelayStartOptions {
  /** Go on without management pages where their address cannot be had. */
  readonly isManagementOptional?: boolean;
  /** Reads the configuration anew for a reload. Throws OperatorError listing all faults. */
  readonly readConfig?: () => RelayConfig;
  /** How threads that have a log of their own write it; the defaults where absent. */
  readonly logConfig?: LogConfig;
}

/**
 * Starts a relay.
 * Throws OperatorError naming the destination, listen address or management address that does not work; no
 * thread is left running then.
 */
export async function startRelay(
  config: RelayConfig,
  log: Log,
  options: RelayStartOptions = {},
): Promise<Relay> {
  const relay = new RelayControl(config, log, options);
  try {
    return await relay.start();
  } catch (error) {
    await relay.stop();
    throw error;
  }
}
