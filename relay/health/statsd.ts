/** Health by the management protocol of etsy's statsd: `health` is answered by `health: up`. */
import type { Dialogue } from "./exchange.ts";
import { GOOD, type Verdict } from "./probe.ts";

const UP = "health: up";

/** host: address literal. port: that of the management server, never the one that takes lines. */
export function statsdDialogue(host: string, port: number): Dialogue {
  return { host, port, request: "health\n", judge };
}

function judge(answer: string, isEnd: boolean): Verdict | undefined {
  if (answer.includes(UP)) return GOOD;
  // A line that has ended without it says something else.
  if (!isEnd && !/\S.*\n/.test(answer)) return undefined;
  if (answer.trim() === "") return undefined;
  return { kind: "bad", fault: /health: down/.test(answer) ? "health: down" : "no health in the answer" };
}
