/** How a command went that takes more than one page. */
import type { PageAnswer } from "../../shared/management-client.ts";

export interface PageOutcome {
  readonly isDone: boolean;
  /** For people. */
  readonly message: string;
  /** Where the aggregator has refused: its answer. */
  readonly answer?: PageAnswer;
}

/** An answer that refuses. */
export function refusedOutcome(answer: PageAnswer): PageOutcome {
  return { isDone: false, message: "", answer };
}
