/** Lookups of host names that can hang: bounded in time, and never two at once for one name. */
import { isIP } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { type HostAddress, type HostLookup, systemLookup } from "../../shared/host-lookup.ts";

/** A lookup that found nothing; code says why, as that of a system error does. */
export class LookupError extends Error {
  readonly code: string;

  /** code: such as ENOTFOUND or ETIMEOUT. */
  constructor(host: string, code: string) {
    super(`the name ${host} cannot be resolved (${code})`);
    this.code = code;
  }
}

/**
 * Asks for names. One that is being asked for already is not asked for again: whoever comes later waits for
 * the same answer, also when those before have given up.
 */
export class NameLookup {
  readonly #lookup: HostLookup;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #pending = new Map<string, Promise<readonly HostAddress[]>>();

  /** timeoutMs: how long find() waits. */
  constructor(timeoutMs: number, clock: Clock, lookup: HostLookup = systemLookup) {
    this.#lookup = lookup;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /** Names that have no answer yet. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /**
   * Returns the addresses of a name, at least one; of a literal the literal.
   * Rejects when there are none, or no answer in time.
   */
  find(host: string): Promise<readonly HostAddress[]> {
    const family = isIP(host);
    if (family !== 0) return Promise.resolve([{ address: host, family }]);
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(this.#timeoutMs, () => reject(new LookupError(host, "ETIMEOUT")));
      this.#ask(host)
        .finally(() => timer.cancel())
        .then((found) => {
          const addresses = found.filter(({ address }) => isIP(address) !== 0);
          if (addresses.length > 0) resolve(addresses);
          else reject(new LookupError(host, "ENODATA"));
        }, reject);
    });
  }

  #ask(host: string): Promise<readonly HostAddress[]> {
    let answer = this.#pending.get(host);
    if (answer === undefined) {
      // Within a promise, so that a lookup that throws is one that rejects.
      answer = Promise.resolve()
        .then(() => this.#lookup(host))
        .finally(() => this.#pending.delete(host));
      this.#pending.set(host, answer);
    }
    return answer;
  }
}
