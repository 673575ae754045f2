/** All checks, in the order in which they are done. */
import { CARBON_CHECKS } from "./carbon-checks.ts";
import type { Check } from "./check.ts";
import { CLOCK_CHECKS } from "./clock-checks.ts";
import { KILL_CHECKS } from "./kill-checks.ts";
import { LOAD_CHECKS } from "./load-checks.ts";
import { OUTSIDE_CHECKS } from "./outside-checks.ts";
import { PARTITION_CHECKS } from "./partition-checks.ts";
import { PAUSE_CHECKS } from "./pause-checks.ts";
import { REAL_CARBON_CHECKS } from "./real-carbon-check.ts";
import { RESTART_CHECKS } from "./restart-checks.ts";
import { STORM_CHECKS } from "./storm-check.ts";

export const CHECKS: readonly Check[] = [
  ...KILL_CHECKS,
  ...PAUSE_CHECKS,
  ...PARTITION_CHECKS,
  ...RESTART_CHECKS,
  ...CARBON_CHECKS,
  ...REAL_CARBON_CHECKS,
  ...CLOCK_CHECKS,
  ...LOAD_CHECKS,
  ...OUTSIDE_CHECKS,
  ...STORM_CHECKS,
];
