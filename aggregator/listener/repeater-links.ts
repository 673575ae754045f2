/** The repeater's part in the control thread: where datagrams go, and the connections for lines. */
import { isIP } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import type { RepeaterConfig } from "../../shared/config.ts";
import { repeaterAddress } from "../../shared/config-addresses.ts";
import type { Counters } from "../../shared/counters.ts";
import { OperatorError } from "../../shared/errors.ts";
import { type HostLookup, lookupFault, preferredAddress, systemLookup } from "../../shared/host-lookup.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import type { Random } from "../../shared/random.ts";
import type { RemoteAddress } from "../../shared/udp.ts";
import type { IntakeCounter } from "../counters.ts";
import { countLines } from "./line-count.ts";
import { type LinkStatus, RepeatLink } from "./repeat-link.ts";
import type { RepeaterSettings } from "./repeater.ts";

/** What the links need of the program around them. */
export interface RepeaterContext {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
}

export class RepeaterLinks {
  readonly #links: readonly RepeatLink[];

  /** Connects to the tcp addresses. */
  constructor(config: RepeaterConfig, context: RepeaterContext) {
    const { queueBytesMax, connectTimeoutMs } = config;
    // A remote that accepts and closes again and again must not fill the log.
    const log = rateLimited(context.log);
    this.#links = config.address
      .filter(({ protocol }) => protocol === "tcp")
      .map(({ host, port }) => {
        return new RepeatLink({ host, port }, { queueBytesMax, connectTimeoutMs, ...context, log });
      });
  }

  get statuses(): readonly LinkStatus[] {
    return this.#links.map(({ status }) => status);
  }

  /** Takes what an intake posted. counters: of that intake, which learns that its lines were taken. */
  accept(bytes: Uint8Array, counters: Counters<IntakeCounter>): void {
    const piece = { bytes, lines: countLines(bytes) };
    for (const link of this.#links) link.accept(piece);
    counters.add("repeatBytesTaken", bytes.length);
  }

  /** Waits until everything is written, at the longest until deadlineMs of the clock. */
  async drain(deadlineMs: number): Promise<boolean> {
    const drained = await Promise.all(this.#links.map((link) => link.drain(deadlineMs)));
    return drained.every(Boolean);
  }

  close(): void {
    for (const link of this.#links) link.close();
  }
}

/**
 * Finds what the intakes need to know of the repeater; undefined where nothing is repeated.
 * Throws OperatorError naming an address that cannot be resolved.
 */
export async function repeaterSettings(
  { address, queueBytesMax }: RepeaterConfig,
  lookup: HostLookup = systemLookup,
): Promise<RepeaterSettings | undefined> {
  if (address.length === 0) return undefined;
  const datagrams: RemoteAddress[] = [];
  for (const one of address.filter(({ protocol }) => protocol === "udp")) {
    const host =
      isIP(one.host) === 0 ? await resolveName(one.host, repeaterAddress.print(one), lookup) : one.host;
    datagrams.push({ kind: "udp", host, port: one.port });
  }
  return { datagrams, hasLinks: datagrams.length < address.length, queueBytesMax };
}

async function resolveName(name: string, what: string, lookup: HostLookup): Promise<string> {
  let fault = "no address";
  try {
    const host = preferredAddress(await lookup(name));
    if (host !== undefined) return host;
  } catch (error) {
    fault = lookupFault(error);
  }
  throw new OperatorError(`repeater.address ${what}: the name cannot be resolved (${fault}); correct it`);
}
