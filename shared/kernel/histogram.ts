/**
 * Bins of timers. The host gives rules, each a list of bounds, and says before each timer which rule holds
 * for it. A bin is known by its upper bound; bins of several rules with the same bound are one aggregate.
 *
 *   rule   0 u32 bins   4 u32 0   8 bounds, f64 each, ascending
 */
import { reserve } from "./arena";
import { weightBetween } from "./order";

/** Rules, and bins of one rule; see aggregator/histogram.ts. */
const RULES_MAX: u32 = 64;
const BINS_MAX: u32 = 32;
const RULE_BOUNDS: usize = 8;
const RULE_BYTES: usize = RULE_BOUNDS + usize(BINS_MAX) * 8;

let rules: usize = 0;
/** The rule of the present timer, 0 for none. */
let rule: usize = 0;

/** Reserves the rules. */
export function setupBins(): void {
  rules = reserve(usize(RULES_MAX) * RULE_BYTES);
}

/** Forgets all bins. */
export function forgetBins(): void {
  memory.fill(rules, 0, usize(RULES_MAX) * RULE_BYTES);
  rule = 0;
}

/** Adds a bin to a rule; its bound is above those before. Returns whether there was room. */
export function addBin(index: u32, bound: f64): bool {
  if (index >= RULES_MAX) return false;
  const at = rules + usize(index) * RULE_BYTES;
  const count = load<u32>(at);
  if (count == BINS_MAX) return false;
  store<f64>(at + RULE_BOUNDS + (usize(count) << 3), bound);
  store<u32>(at, count + 1);
  return true;
}

/** Chooses the rule of the timers that are aggregated from now on; below 0 none. */
export function useBins(index: i32): void {
  rule = u32(index) < RULES_MAX ? rules + usize(index) * RULE_BYTES : 0;
}

/** Weight of the samples in the bin of this upper bound, NaN where the timer has no such bin. */
export function binWeight(bound: f64): f64 {
  if (rule == 0) return NaN;
  const count = usize(load<u32>(rule));
  for (let i: usize = 0; i < count; i++) {
    const at = rule + RULE_BOUNDS + (i << 3);
    if (load<f64>(at) != bound) continue;
    return weightBetween(i == 0 ? -Infinity : load<f64>(at - 8), bound);
  }
  return NaN;
}
