/** `bioyino drain`: lets a node hand over and end, and waits for that where it is wanted. */
import { connect } from "node:net";
import { type Clock, systemClock } from "../../shared/clock.ts";
import { parseHostPort } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import { reachable } from "../../shared/management-client.ts";
import type { PageAsker } from "./page-asker.ts";
import { type PageOutcome, refusedOutcome } from "./page-outcome.ts";
import { pause } from "./pause.ts";

const LOOK_MS = 200;
const CONNECT_MS = 2000;

/**
 * Tells the node. waitMs: how long to wait for its end; undefined for not at all. Throws OperatorError when
 * nobody answers at first.
 */
export async function drain(
  asker: PageAsker,
  waitMs: number | undefined,
  clock: Clock = systemClock,
): Promise<PageOutcome> {
  const { address } = asker;
  const answer = await asker.ask("POST", "/drain");
  if (answer.status !== 202) return refusedOutcome(answer);
  if (waitMs === undefined) return { isDone: true, message: `${address} hands over, and ends` };
  const startMs = clock.monotonicMs();
  for (;;) {
    const state = await look(asker);
    const pastMs = clock.monotonicMs() - startMs;
    const after = `after ${(pastMs / 1000).toFixed(1)} s`;
    if (state === "gone") return { isDone: true, message: `${address} is gone ${after}` };
    // A node that drains is never ready again.
    if (state === "ready") return { isDone: true, message: `${address} was started anew ${after}` };
    if (pastMs >= waitMs) return { isDone: false, message: `${address} is still there ${after}` };
    await pause(clock, LOOK_MS);
  }
}

async function look(asker: PageAsker): Promise<"ready" | "draining" | "gone"> {
  try {
    const { value } = await asker.ask("GET", "/readyz");
    return Object(value).ready === true ? "ready" : "draining";
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    // It may be too busy to answer, or close a connection; only a port that is closed tells.
    return (await isClosed(asker.address)) ? "gone" : "draining";
  }
}

/** Whether nobody listens there. */
function isClosed(address: string): Promise<boolean> {
  const parsed = parseHostPort(reachable(address), 1);
  if (!("value" in parsed)) return Promise.resolve(false);
  const { host, port } = parsed.value;
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: CONNECT_MS });
    const end = (isRefused: boolean): void => {
      socket.destroy();
      resolve(isRefused);
    };
    socket.on("connect", () => end(false));
    socket.on("timeout", () => end(false));
    socket.on("error", ({ code }: NodeJS.ErrnoException) => end(code === "ECONNREFUSED"));
  });
}
