/** The plan of a configuration, with what its files say now, for those who only want to look at it. */
import type { RelayConfig } from "../shared/config.ts";
import { MAIN_RING } from "../shared/config-relay.ts";
import { readDestinations } from "./destinations/destinations-file.ts";
import { makePlan, type Plan } from "./plan.ts";
import { checkExpectedRings } from "./reload.ts";

/** Makes a plan. Throws OperatorError listing what is wrong with a file, a ring, or its fingerprint. */
export async function planOf(config: RelayConfig): Promise<Plan> {
  const sources = [{ name: MAIN_RING, destinationsFile: config.destinationsFile }, ...config.routes];
  const lists = new Map<string, readonly string[]>();
  for (const { name, destinationsFile } of sources) {
    if (destinationsFile !== "") lists.set(name, await readDestinations(destinationsFile));
  }
  const plan = makePlan(config, lists);
  checkExpectedRings(config, plan);
  return plan;
}
