/** Health by TCP: whether a port takes connections. */
import type { Dialogue } from "./exchange.ts";
import { GOOD } from "./probe.ts";

/** Connects and closes; nothing is said. host: address literal. */
export function tcpDialogue(host: string, port: number): Dialogue {
  return { host, port, request: "", judge: () => GOOD };
}
