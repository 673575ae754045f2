/** The plan in force as receivers get it: with what it needs of the outlet, of health and of the caps. */
import type { CapMemory } from "./cap-memory.ts";
import type { ResolvedDestination } from "./destinations/destination.ts";
import type { States } from "./destinations/states.ts";
import type { OutletControl } from "./outlet-control.ts";
import type { Plan } from "./plan.ts";
import type { CommonPlanOrder } from "./receivers.ts";

/** Bytes under way from receivers to one channel of the outlet. */
const BACKLOG_BYTES_MAX = 16 << 20;

/** What an order is made of. */
export interface PlanOrderSource {
  readonly generation: number;
  readonly plan: Plan;
  /** By index of the destination. */
  readonly resolved: readonly ResolvedDestination[];
  readonly outlet: OutletControl;
  readonly states: States;
  readonly capMemory: CapMemory;
}

/**
 * Makes an order for receivers. before: the plan whose known names stay where they are for handoverMs.
 * Throws OperatorError where the machine has not the memory that caps need.
 */
export function makeOrder(source: PlanOrderSource, before?: Plan, handoverMs = 0): CommonPlanOrder {
  const { generation, plan, resolved, outlet, states, capMemory } = source;
  const indexes = before?.destinations.map(({ key }) =>
    plan.destinations.findIndex((destination) => destination.key === key),
  );
  return {
    generation,
    plan: { ...plan, ...capMemory.of(plan) },
    flushIntervalMs: plan.flushIntervalMs,
    outputs: plan.destinations.map((one, index) => outlet.output(one, resolved[index]!)),
    states: states.current(),
    backlogBytesMax: BACKLOG_BYTES_MAX,
    ...(indexes === undefined || handoverMs === 0 || !isJudgingAlike(before!, plan)
      ? {}
      : { handover: { indexes, ms: handoverMs } }),
  };
}

/**
 * Whether both plans judge names alike, wherever they place them. Where they do not, names that stayed would
 * pass by a new rule or route.
 */
export function isJudgingAlike(before: Plan, after: Plan): boolean {
  const [one, other] = [before, after].map(({ rules, routes }) =>
    JSON.stringify([
      rules ?? null,
      routes.map(({ ring, sharePercent, isMoving }) => [ring.name, sharePercent, isMoving]),
    ]),
  );
  return one === other;
}
