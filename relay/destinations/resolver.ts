/**
 * Keeps the addresses of destinations whose hosts are names. They are found at the start and looked up again
 * in the background; the last good address stays in use for as long as nothing better is known.
 */
import { isIP } from "node:net";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { OperatorError } from "../../shared/errors.ts";
import {
  type HostAddress,
  type HostLookup,
  lookupFault,
  preferredAddress,
} from "../../shared/host-lookup.ts";
import type { Log } from "../../shared/log.ts";
import type { Random } from "../../shared/random.ts";
import { backgroundClock } from "../background-clock.ts";
import { type DefaultProtocol, type ResolvedDestination, resolveDestination } from "./destination.ts";
import { NameLookup } from "./name-lookup.ts";

/** The system's resolver may go through several name servers, each more than once. */
const LOOKUP_TIMEOUT_MS = 15_000;
/** Rounds are up to this part of the interval apart from it, so that relays do not ask in step. */
const JITTER = 0.1;

/** What a resolver needs. */
export interface ResolverOptions {
  /** From the end of one round to the start of the next in milliseconds; 0 for no rounds. */
  readonly resolveIntervalMs: number;
  readonly log: Log;
  readonly random: Random;
  /** Called when a destination is somewhere else. text: as configured. address: a literal. */
  readonly onChange: (text: string, address: string) => void;
  readonly clock?: Clock;
  readonly lookup?: HostLookup;
  /** How long one lookup is waited for, in milliseconds. */
  readonly timeoutMs?: number;
}

/** One destination whose host is a name. */
export interface ResolverState {
  /** As configured. */
  readonly text: string;
  readonly host: string;
  /** The address in use. */
  readonly address: string;
  /** Whether the last lookup failed, so that the address is an old one. */
  readonly isStale: boolean;
  /** Why the last lookup that failed did; empty for none. */
  readonly lastFault: string;
}

/** What was done since the start. */
export interface ResolverTotals {
  readonly lookups: number;
  readonly failures: number;
  /** Destinations whose address changed. */
  readonly moves: number;
}

interface Followed {
  readonly text: string;
  readonly name: string;
  address: string;
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #clock: Clock;
  readonly #names: NameLookup;
  /** By text. */
  readonly #followed = new Map<string, Followed>();
  /** Faults of the names whose last lookup failed, and of those that failed before. */
  readonly #stale = new Set<string>();
  readonly #lastFaults = new Map<string, string>();
  readonly #totals = { lookups: 0, failures: 0, moves: 0 };
  #intervalMs: number;
  #timer: TimerHandle | undefined;
  #isClosed = false;
  #isInRound = false;

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#intervalMs = options.resolveIntervalMs;
    this.#clock = options.clock ?? backgroundClock;
    this.#names = new NameLookup(options.timeoutMs ?? LOOKUP_TIMEOUT_MS, this.#clock, options.lookup);
  }

  get totals(): ResolverTotals {
    return { ...this.#totals };
  }

  /**
   * Finds where destinations point to, all at once, so that a slow name server is waited for once. A name
   * that is followed keeps its address when the answer still has it, and also when there is no answer.
   * Throws OperatorError listing every destination that has no address.
   */
  async resolve(texts: readonly string[], protocol: DefaultProtocol): Promise<ResolvedDestination[]> {
    const faults = new Set<string>();
    const resolved = await Promise.all(
      texts.map(async (text) => {
        try {
          return await this.#resolveOne(text, protocol);
        } catch (error) {
          if (!(error instanceof OperatorError)) throw error;
          faults.add(error.message);
          return undefined;
        }
      }),
    );
    if (faults.size > 0) throw new OperatorError([...faults].join("\n"));
    return resolved.filter((one) => one !== undefined);
  }

  /** Follows the names of these destinations and no others, as they were resolved. */
  follow(destinations: readonly ResolvedDestination[], intervalMs: number = this.#intervalMs): void {
    this.#followed.clear();
    for (const { kind, text, protocol, host, name } of destinations) {
      if (kind !== "host" || protocol === "test" || isIP(name) !== 0) continue;
      this.#followed.set(text, { text, name, address: host });
    }
    const names = new Set([...this.#followed.values()].map(({ name }) => name));
    for (const name of this.#lastFaults.keys()) {
      if (names.has(name)) continue;
      this.#stale.delete(name);
      this.#lastFaults.delete(name);
    }
    this.#intervalMs = intervalMs;
    this.#schedule();
  }

  states(): ResolverState[] {
    return [...this.#followed.values()].map(({ text, name, address }) => ({
      text,
      host: name,
      address,
      isStale: this.#stale.has(name),
      lastFault: this.#lastFaults.get(name) ?? "",
    }));
  }

  /** Ends the rounds; a lookup under way is no longer heeded. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #resolveOne(text: string, protocol: DefaultProtocol): Promise<ResolvedDestination> {
    return resolveDestination(text, protocol, async (host) => {
      const current = this.#followed.get(text)?.address;
      try {
        const addresses = await this.#find(host);
        return current === undefined ? addresses : [keep(addresses, current)];
      } catch (error) {
        if (current === undefined) throw error;
        return [{ address: current, family: isIP(current) }];
      }
    });
  }

  #schedule(): void {
    this.#timer?.cancel();
    if (this.#isClosed || this.#isInRound || this.#intervalMs === 0 || this.#followed.size === 0) return;
    const jitter = this.#options.random.between(1 - JITTER, 1 + JITTER);
    this.#timer = this.#clock.setTimer(this.#intervalMs * jitter, () => void this.#round());
  }

  async #round(): Promise<void> {
    this.#isInRound = true;
    const names = new Set([...this.#followed.values()].map(({ name }) => name));
    await Promise.all([...names].map((name) => this.#look(name)));
    this.#isInRound = false;
    this.#schedule();
  }

  async #look(name: string): Promise<void> {
    let addresses: readonly HostAddress[];
    try {
      addresses = await this.#find(name);
    } catch {
      // Counted and logged by #find; the address in use stays.
      return;
    }
    if (this.#isClosed) return;
    for (const followed of this.#followed.values()) {
      if (followed.name === name) this.#move(followed, keep(addresses, followed.address).address);
    }
  }

  #move(followed: Followed, address: string): void {
    const { text, address: before } = followed;
    if (address === before) return;
    followed.address = address;
    this.#totals.moves += 1;
    this.#options.log.info("relay.destination_moved", { destination: text, from: before, to: address });
    this.#options.onChange(text, address);
  }

  /** Looks a name up, counts it, and tells the log where names begin or cease to fail. */
  async #find(name: string): Promise<readonly HostAddress[]> {
    this.#totals.lookups += 1;
    try {
      const addresses = await this.#names.find(name);
      if (this.#stale.delete(name)) this.#options.log.info("relay.lookup_recovered", { host: name });
      return addresses;
    } catch (error) {
      const fault = lookupFault(error);
      this.#totals.failures += 1;
      this.#lastFaults.set(name, fault);
      if (!this.#stale.has(name) && !this.#isClosed) {
        this.#stale.add(name);
        this.#options.log.warn("relay.lookup_failed", { host: name, fault });
      }
      throw error;
    }
  }
}

/** Stays with the address in use where the answer still has it. */
function keep(addresses: readonly HostAddress[], current: string): HostAddress {
  const same = addresses.find(({ address }) => address === current);
  const address = same?.address ?? preferredAddress(addresses) ?? current;
  return { address, family: isIP(address) };
}
