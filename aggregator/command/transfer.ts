/** `bioyino transfer`: lets the leader hand leadership over, and waits until somebody else leads. */
import { type Clock, systemClock } from "../../shared/clock.ts";
import { showText } from "../../shared/name-text.ts";
import type { MembersPage } from "../page/cluster-status.ts";
import type { PageAsker } from "./page-asker.ts";
import { type PageOutcome, refusedOutcome } from "./page-outcome.ts";
import { pause } from "./pause.ts";

/** Longer than an election takes, and than a Lease that was given back. */
const PATIENCE_MS = 15_000;
const LOOK_MS = 200;

/** to: whom; undefined for any. Throws OperatorError when nobody answers. */
export async function transferLeadership(
  asker: PageAsker,
  to: string | undefined,
  clock: Clock = systemClock,
): Promise<PageOutcome> {
  const answer = await asker.ask("POST", "/transfer", to === undefined ? {} : { to });
  if (answer.status !== 200) return refusedOutcome(answer);
  const deadlineMs = clock.monotonicMs() + PATIENCE_MS;
  for (;;) {
    const page = await membersOf(asker);
    const { leader, node, term } = page;
    const isThere = leader !== null && (to === undefined ? leader !== node : leader === to);
    if (isThere) return { isDone: true, message: `${showText(leader)} leads, in term ${term}` };
    if (clock.monotonicMs() >= deadlineMs) return { isDone: false, message: describeMiss(page, to) };
    await pause(clock, LOOK_MS);
  }
}

async function membersOf(asker: PageAsker): Promise<Pick<MembersPage, "leader" | "node" | "term">> {
  const { value } = await asker.ask("GET", "/members");
  const { leader, node, term } = Object(value) as Record<string, unknown>;
  return {
    leader: typeof leader === "string" ? leader : null,
    node: String(node),
    term: Number(term),
  };
}

function describeMiss({ leader }: Pick<MembersPage, "leader">, to: string | undefined): string {
  const waited = `after ${PATIENCE_MS / 1000} s`;
  if (leader === null) return `leadership was given up, but ${waited} nobody is known to lead`;
  const wanted = to === undefined ? "still" : `and not ${showText(to)},`;
  return `${showText(leader)} leads ${wanted} ${waited}`;
}
