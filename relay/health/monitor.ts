/**
 * Watches destinations and says which of them are up.
 *
 *   probe -> verdict -> standing (rise, fall, return delay) -> ring (least number up) -> onChange
 *
 * Everything starts up: a relay that was just started knows nothing against anybody.
 */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { Random } from "../../shared/random.ts";
import { backgroundClock } from "../background-clock.ts";
import type { HealthCheck, HealthTarget, ProbeContext } from "./probe.ts";
import { Watch } from "./watch.ts";

/** How destinations are watched; the `health` keys of the configuration. */
export interface HealthOptions {
  readonly check: HealthCheck;
  /** From one check of a destination to its next, in milliseconds. */
  readonly intervalMs: number;
  /** Longest time of one check, in milliseconds. */
  readonly timeoutMs: number;
  /** Good checks in a row that bring a destination back. */
  readonly rise: number;
  /** Bad checks in a row that take a destination down. */
  readonly fall: number;
  /** How long a destination must then stay good before it is up, in milliseconds. */
  readonly returnDelayMs: number;
  /** So many destinations of each ring stay up, whatever the checks say. */
  readonly healthyMin: number;
  /** The same for single rings, by name. */
  readonly healthyMinOf?: Readonly<Record<string, number>>;
}

/** What a monitor needs besides its options. */
export interface HealthContext {
  readonly log: Log;
  readonly random: Random;
  /** Called at each change; the state is in force when it is. */
  readonly onChange: (key: string, isUp: boolean, reason: string) => void;
  readonly clock?: Clock;
  /** What is known of an outlet's connection before the first report; see reportConnection(). */
  readonly isConnected?: (key: string) => boolean | undefined;
}

/** One destination as the monitor sees it. */
export interface HealthState {
  readonly key: string;
  readonly isUp: boolean;
  /** Checks say it is down, but too few others of its ring are up. */
  readonly isForcedUp: boolean;
  /** How often that began. */
  readonly forcedUps: number;
  /** Wall clock since when isUp has this value. */
  readonly sinceMs: number;
  readonly checks: number;
  readonly failures: number;
  /** What the last check that was not good said, such as ECONNREFUSED; empty for none. */
  readonly lastFault: string;
}

const REASON_WELL = "checks are good again";
const REASON_UNWATCHED = "it is no longer watched";
const REASON_FEW = "too few others of its ring are up";

export class HealthMonitor {
  readonly #context: HealthContext;
  readonly #probeContext: Omit<ProbeContext, "timeoutMs">;
  readonly #watches = new Map<string, Watch>();
  /** What the outlet said of connections, of targets only. */
  readonly #connections = new Map<string, boolean>();
  #options: HealthOptions;

  constructor(options: HealthOptions, context: HealthContext) {
    this.#options = options;
    this.#context = context;
    this.#probeContext = {
      clock: context.clock ?? backgroundClock,
      connection: (key) => this.#connections.get(key) ?? context.isConnected?.(key),
    };
  }

  /**
   * Watches these targets and no others; one that is watched no longer is up. Of a key that was watched
   * before the state stays, though its address may be another. options: by default those so far.
   */
  setTargets(targets: readonly HealthTarget[], options: HealthOptions = this.#options): void {
    const hasNewOptions = !isDeepStrictEqual(options, this.#options);
    this.#options = options;
    const wanted = new Map(targets.map((target) => [target.key, target]));
    for (const [key, watch] of this.#watches) {
      if (wanted.has(key)) continue;
      watch.close();
      this.#watches.delete(key);
      this.#connections.delete(key);
      // Nothing could ever bring it back, if it is still a destination.
      if (!watch.isUp) this.#context.onChange(key, true, REASON_UNWATCHED);
    }
    for (const [key, target] of wanted) {
      const before = this.#watches.get(key);
      if (before !== undefined && !hasNewOptions && isSameTarget(before.target, target)) continue;
      before?.close();
      this.#watches.set(key, this.#watch(target, before));
    }
    for (const ring of new Set(targets.map((target) => target.ring))) this.#settle(ring);
  }

  /** Takes the state of an outlet's connection; of keys that are no targets nothing is kept. */
  reportConnection(key: string, isUp: boolean): void {
    if (this.#watches.has(key)) this.#connections.set(key, isUp);
  }

  /** Whether lines shall go to a destination; one that is not watched is up. */
  isUp(key: string): boolean {
    return this.#watches.get(key)?.isUp ?? true;
  }

  states(): HealthState[] {
    return [...this.#watches.values()].map((watch) => ({
      key: watch.target.key,
      isUp: watch.isUp,
      isForcedUp: watch.isForcedUp,
      forcedUps: watch.forcedUps,
      sinceMs: watch.sinceMs,
      checks: watch.checks,
      failures: watch.failures,
      lastFault: watch.lastFault,
    }));
  }

  /** Ends all checks. */
  close(): void {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
    this.#connections.clear();
  }

  #watch(target: HealthTarget, before: Watch | undefined): Watch {
    const options = { ...this.#options, random: this.#context.random };
    const context = { ...this.#probeContext, timeoutMs: this.#options.timeoutMs };
    return new Watch(target, options, context, ({ target: { ring } }) => this.#settle(ring), before);
  }

  /**
   * Decides who of a ring is up: all that are well, and as many others as the least number asks for. Those
   * that lines go to anyhow are kept first, so that no names move without need.
   */
  #settle(ring: string): void {
    const members = [...this.#watches.values()].filter(({ target }) => target.ring === ring);
    const ill = members.filter(({ standing }) => !standing.isWell);
    const least = this.#options.healthyMinOf?.[ring] ?? this.#options.healthyMin;
    const missing = Math.max(0, least - (members.length - ill.length));
    const forced = ill.sort((left, right) => preference(right) - preference(left)).slice(0, missing);
    const rest = members.filter((watch) => !forced.includes(watch));
    // Those that come up first: between two calls of onChange there are never too few.
    for (const watch of forced) this.#decide(watch, true);
    for (const watch of rest.filter(({ standing }) => standing.isWell)) this.#decide(watch, false);
    for (const watch of rest.filter(({ standing }) => !standing.isWell)) this.#decide(watch, false);
  }

  #decide(watch: Watch, isForcedUp: boolean): void {
    const { key } = watch.target;
    const reason = isForcedUp ? REASON_FEW : watch.standing.isWell ? REASON_WELL : watch.lastFault;
    if (isForcedUp && !watch.isForcedUp) {
      watch.forcedUps += 1;
      this.#context.log.warn("relay.destination_forced_up", { destination: key, fault: watch.lastFault });
    }
    watch.isForcedUp = isForcedUp;
    const isUp = watch.standing.isWell || isForcedUp;
    if (isUp === watch.isUp) return;
    watch.isUp = isUp;
    watch.sinceMs = this.#probeContext.clock.nowMs();
    if (isUp) this.#context.log.info("relay.destination_up", { destination: key, reason });
    else this.#context.log.warn("relay.destination_down", { destination: key, reason });
    this.#context.onChange(key, isUp, reason);
  }
}

/** The larger, the sooner it is forced up. Array.sort keeps the order of equals. */
function preference(watch: Watch): number {
  return watch.isForcedUp ? 2 : watch.isUp ? 1 : 0;
}

function isSameTarget(left: HealthTarget, right: HealthTarget): boolean {
  const fields = ["ring", "protocol", "host", "port", "name", "path"] as const;
  return fields.every((field) => left[field] === right[field]);
}
