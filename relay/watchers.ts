/** What goes on beside a relay's traffic: health of destinations, their names, other relays, own metrics. */
import type { RelayConfig } from "../shared/config.ts";
import type { Log } from "../shared/log.ts";
import { systemRandom } from "../shared/random.ts";
import type { ResolvedDestination } from "./destinations/destination.ts";
import { Resolver, type ResolverState, type ResolverTotals } from "./destinations/resolver.ts";
import { HealthMonitor, type HealthState } from "./health/monitor.ts";
import { healthOptions, healthTargets } from "./health/targets.ts";
import { OwnStats } from "./page/own-stats.ts";
import { type PeerState, Peers } from "./page/peers.ts";
import type { Fingerprints } from "./page/ring-page.ts";
import type { RelayState } from "./page/status.ts";
import type { Plan } from "./plan.ts";

/** What the watchers ask and tell. */
export interface WatchersContext {
  readonly log: Log;
  /** Health has another opinion of a destination. */
  readonly onHealth: (key: string, isUp: boolean) => void;
  /** Whether the outlet's connection to a destination stands; undefined where that is not known. */
  readonly isConnected: (key: string) => boolean | undefined;
  /** A destination is somewhere else. */
  readonly onMoved: () => void;
  readonly rings: () => Fingerprints;
  readonly state: () => RelayState;
  /** Takes lines of the relay's own. */
  readonly sendOwn: (lines: readonly string[]) => void;
}

export class Watchers {
  readonly #context: WatchersContext;
  readonly #resolver: Resolver;
  readonly #monitor: HealthMonitor;
  readonly #sent = new Map<string, number>();
  #ownStats: OwnStats | undefined;
  #peers: Peers | undefined;

  constructor(config: RelayConfig, context: WatchersContext) {
    const { log } = context;
    this.#context = context;
    this.#resolver = new Resolver({
      resolveIntervalMs: config.resolveIntervalMs,
      log,
      random: systemRandom,
      onChange: () => context.onMoved(),
    });
    this.#monitor = new HealthMonitor(healthOptions(config), {
      log,
      random: systemRandom,
      onChange: (key, isUp) => context.onHealth(key, isUp),
      isConnected: context.isConnected,
    });
  }

  get lookups(): { readonly totals: ResolverTotals; readonly states: readonly ResolverState[] } {
    return { totals: this.#resolver.totals, states: this.#resolver.states() };
  }

  get health(): readonly HealthState[] {
    return this.#monitor.states();
  }

  get peers(): readonly PeerState[] {
    return this.#peers?.states() ?? [];
  }

  /** Finds where the destinations of a plan are. Throws OperatorError listing those without an address. */
  resolve(plan: Plan, config: RelayConfig): Promise<ResolvedDestination[]> {
    // All at once, so that a slow name server is waited for once.
    return this.#resolver.resolve(
      plan.destinations.map(({ text }) => text),
      config.sendproto,
    );
  }

  /** Takes the state of a connection of the outlet. */
  reportConnection(key: string, isUp: boolean): void {
    this.#monitor.reportConnection(key, isUp);
  }

  /** Looks after the destinations of a plan, where they are now. */
  follow(config: RelayConfig, plan: Plan, resolved: readonly ResolvedDestination[]): void {
    this.#resolver.follow(resolved, config.resolveIntervalMs);
    this.#monitor.setTargets(healthTargets(config, plan, resolved), healthOptions(config));
  }

  /** Looks after what else a configuration names: other relays, and the relay's own metrics. */
  configure(config: RelayConfig): void {
    const { log, rings, state, sendOwn } = this.#context;
    this.#peers?.close();
    this.#ownStats?.close();
    const { peers, peersIntervalMs, stats, prefix, flushIntervalMs } = config;
    this.#peers =
      peers.length === 0
        ? undefined
        : new Peers({ peers, peersIntervalMs, ownRings: rings, log, random: systemRandom });
    this.#ownStats =
      stats === "full" ? new OwnStats(prefix, flushIntervalMs, state, sendOwn, this.#sent) : undefined;
  }

  close(): void {
    this.#resolver.close();
    this.#monitor.close();
    this.#peers?.close();
    this.#ownStats?.close();
  }
}
