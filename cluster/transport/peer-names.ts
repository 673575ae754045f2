/**
 * Addresses of peers. A resolver that does not answer holds a thread for many seconds, and there are few: the
 * disk needs the same ones for votes. So a name is asked for once at a time, few names are at a time, and
 * while there is no answer the last good one has to do.
 */
import { isIP } from "node:net";
import { type HostAddress, type HostLookup, systemLookup } from "../../shared/host-lookup.ts";

/** Of the four threads that Node has by default. */
const LOOKUPS_MAX = 2;
/** How long an answer may take where there is a former one. */
const PATIENCE_MS = 500;
const NAMES_MAX = 1000;

type Addresses = readonly HostAddress[];

export class PeerNames {
  readonly #ask: HostLookup;
  readonly #asking = new Map<string, Promise<Addresses>>();
  readonly #known = new Map<string, Addresses>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** ask: the machine's resolver by default. */
  constructor(ask: HostLookup = systemLookup) {
    this.#ask = ask;
  }

  /** Rejects as HostLookup does where nothing was ever known of the host. */
  lookup(host: string): Promise<Addresses> {
    const family = isIP(host);
    if (family !== 0) return Promise.resolve([{ address: host, family }]);
    const asking = this.#asking.get(host) ?? this.#begin(host);
    const known = this.#known.get(host);
    if (known === undefined) return asking;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(known), PATIENCE_MS);
      void asking
        .catch(() => known)
        .then((addresses) => {
          clearTimeout(timer);
          resolve(addresses);
        });
    });
  }

  #begin(host: string): Promise<Addresses> {
    const asking = this.#run(host).finally(() => this.#asking.delete(host));
    this.#asking.set(host, asking);
    // Whoever asked may have gone on with what was known.
    asking.catch(() => {});
    return asking;
  }

  async #run(host: string): Promise<Addresses> {
    if (this.#running >= LOOKUPS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      const addresses = await this.#ask(host);
      if (this.#known.size >= NAMES_MAX) this.#known.clear();
      if (addresses.length > 0) this.#known.set(host, addresses);
      return addresses;
    } finally {
      // Its place goes to the next one.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
