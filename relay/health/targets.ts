/** What of a plan is watched, and how, by the `health` keys of the configuration. */
import type { RelayConfig } from "../../shared/config.ts";
import { MAIN_RING } from "../../shared/config-relay.ts";
import type { ResolvedDestination } from "../destinations/destination.ts";
import type { Plan } from "../plan.ts";
import type { HealthOptions } from "./monitor.ts";
import type { HealthTarget } from "./probe.ts";

/**
 * Returns how destinations are watched. Only where names move to others must some be left: what is held or
 * dropped costs the others nothing.
 */
export function healthOptions(config: RelayConfig): HealthOptions {
  const rings = [{ name: MAIN_RING, onDead: config.onDead }, ...config.routes];
  const others = rings.filter(({ onDead }) => onDead !== "next");
  return {
    healthyMinOf: Object.fromEntries(others.map(({ name }) => [name, 0])),
    check: config.health,
    intervalMs: config.healthIntervalMs,
    timeoutMs: config.healthTimeoutMs,
    rise: config.healthRise,
    fall: config.healthFall,
    returnDelayMs: config.healthReturnDelayMs,
    healthyMin: config.healthyMin,
  };
}

/**
 * Returns the destinations that are watched: those of rings that act on what is found, or all where a check
 * is named.
 */
export function healthTargets(
  config: RelayConfig,
  plan: Plan,
  resolved: readonly ResolvedDestination[],
): HealthTarget[] {
  const isAsked = config.health.kind !== "auto" && config.health.kind !== "none";
  return plan.destinations.flatMap(({ key, ring, onDead }, index): HealthTarget[] => {
    const to = resolved[index]!;
    if ((onDead === "keep" && !isAsked) || to.protocol === "test") return [];
    if (to.kind === "path") return [{ key, ring, protocol: "unixgram", path: to.path }];
    const { host, port, name, protocol } = to;
    return [{ key, ring, protocol, host, port, name }];
  });
}
