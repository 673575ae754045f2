/** Plans for kernels that are driven by hand, as short as the options that a test is about. */
import { Packer, type PackerOptions } from "../../relay/packer.ts";
import { makePlan, type Plan } from "../../relay/plan.ts";
import type { RelayConfig } from "../../shared/config.ts";
import { parseConfig } from "../../shared/config.ts";

/** Options of a plan; those that are absent have their defaults. */
export type PlanOptions = Partial<RelayConfig> & { readonly entries: readonly string[] };

/** The configuration with all defaults. */
export const defaults: RelayConfig = parseConfig("", "defaults").relay;

/** Makes a plan of some destinations. */
export function planWith({ entries, ...options }: PlanOptions): Plan {
  return makePlan({ ...defaults, ...options, destinations: entries });
}

/** Loads a kernel for such a plan. */
export function loadPacker(options: PlanOptions, more: Partial<PackerOptions> = {}): Promise<Packer> {
  return Packer.load(planWith(options), { addressOf: () => 0n, ...more });
}
