/** What is looked at before a relay goes on by another configuration. */
import type { RelayConfig } from "../shared/config.ts";
import { MAIN_RING, RELAY } from "../shared/config-relay.ts";
import type { Option } from "../shared/config-rows.ts";
import { EXIT_CONFIG, OperatorError } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import { movedShare } from "./command/diff.ts";
import { makeNames } from "./command/name-source.ts";
import { type Plan, servingRoutes } from "./plan.ts";

/** How a reload went. */
export interface ReloadOutcome {
  readonly ok: boolean;
  /** Share of names that go elsewhere, 0..1, by ring. */
  readonly moved: Readonly<Record<string, number>>;
  /** For people: what was done, or why nothing was. */
  readonly message: string;
}

/** Names that shares are estimated by: good for half a percent. */
const NAMES_COUNT = 20_000;

/** Throws OperatorError when a ring is not the one that the configuration expects. */
export function checkExpectedRings(config: RelayConfig, plan: Plan): void {
  const expected = new Map([
    [MAIN_RING, config.expectRing],
    ...config.routes.map(({ name, expectRing }) => [name, expectRing] as const),
  ]);
  const faults = servingRoutes(plan).flatMap(({ ring: { name, fingerprint } }) => {
    const wanted = expected.get(name) ?? "";
    if (wanted === "" || wanted === fingerprint) return [];
    const key = name === MAIN_RING ? "relay.expect-ring" : `route.${name}.expect-ring`;
    return [`${key} is ${wanted}, but the ring is ${fingerprint}; correct the destinations, or the key`];
  });
  if (faults.length > 0) throw new OperatorError(faults.join("\n"), EXIT_CONFIG);
}

/** Tells of rings that name a destination twice, which may be a slip. */
export function warnOfDuplicates(plan: Plan, log: Log): void {
  for (const { ring, buckets, hasRepeats } of plan.routes) {
    const destinations = ring.destinations.length;
    if (!hasRepeats) continue;
    log.warn("relay.duplicate_destinations", { ring: ring.name, buckets: buckets.length, destinations });
  }
}

/**
 * Returns the share of names that each ring of both plans sends elsewhere. maxPercent: the largest that is
 * allowed. Throws OperatorError when it is exceeded.
 */
export async function reviewMoves(
  before: Plan,
  after: Plan,
  maxPercent: number,
): Promise<Record<string, number>> {
  if (placementOf(before) === placementOf(after))
    return Object.fromEntries(servingRoutes(after).map(({ ring }) => [ring.name, 0]));
  // Kernels, rules and all else that places names are only needed now.
  const { makePlacer } = await import("./command/placer.ts");
  const moved = await movedShare(await makePlacer(before), await makePlacer(after), makeNames(NAMES_COUNT));
  for (const [ring, share] of Object.entries(moved)) {
    if (share * 100 <= maxPercent) continue;
    throw new OperatorError(
      `ring ${ring} would send ${(share * 100).toFixed(1)} % of names elsewhere; ` +
        `reload-moved-max is ${maxPercent} %: force it, or raise that`,
    );
  }
  return moved;
}

/** What of a plan decides where names go; what is put around them does too, as they are hashed with it. */
function placementOf(plan: Plan): string {
  const routes = servingRoutes(plan).map(({ ring, sharePercent, isMoving, prefix, suffix }) => {
    return [ring.name, ring.fingerprint, sharePercent, isMoving, prefix, suffix];
  });
  return JSON.stringify([routes, plan.rules ?? null]);
}

/** Keys of [relay] that differ and only take effect at the next start. */
export function keysThatNeedRestart(before: RelayConfig, after: RelayConfig): string[] {
  const values = (config: RelayConfig) => new Map<string, unknown>(Object.entries(config));
  const [old, current] = [values(before), values(after)];
  return Object.entries<Option>(RELAY)
    .filter(([, { isReloadable }]) => !isReloadable)
    .filter(([, { property }]) => JSON.stringify(old.get(property)) !== JSON.stringify(current.get(property)))
    .map(([key]) => key);
}
