/**
 * The memory in which all receiver threads count names for caps; it outlives reloads that leave caps alone.
 */
import type { PackPlan } from "./plan.ts";
import { makeCapMemory } from "./shaping/cap.ts";

export class CapMemory {
  #caps = "";
  #memory: SharedArrayBuffer | undefined;

  /** What a plan needs of it. Throws OperatorError where the machine has not so much. */
  of({ rules }: PackPlan): Pick<PackPlan, "capMemory"> {
    if (rules === undefined || rules.caps.length === 0) return {};
    const caps = JSON.stringify(rules.caps);
    if (this.#memory === undefined || caps !== this.#caps) this.#memory = makeCapMemory(rules.caps);
    this.#caps = caps;
    return { capMemory: this.#memory };
  }
}
