/**
 * The lock in etcd, over its JSON gateway (3.3 and later). Two keys:
 *
 *   KEY        the leader's name, bound to a lease of etcd; it vanishes with the lease
 *   KEY/term   the last term that anybody led in; it stays
 *
 * One transaction takes both: KEY must not be there, and KEY/term must be as it was read. The term is one
 * above the highest of KEY/term, the revision of etcd at the time of reading, and what this node knows; so it
 * goes up even where somebody deletes the keys, or etcd begins anew from nothing.
 *
 * A dead leader's lock goes with its lease, after ttlMs, and whoever waits is told by a watch; without the
 * watch it is a third of ttlMs later. etcd counts leases on the clock of its own leader, and begins again
 * when that changes: later than promised, never earlier. Deleting KEY by hand makes two leaders for up to a
 * third of ttlMs, until the first one looks; the registers keep them apart by their terms.
 */
import type { Clock } from "../../shared/clock.ts";
import {
  countOf,
  type EndpointFault,
  type HttpAnswer,
  type HttpEndpoints,
  listOf,
  recordOf,
} from "./http-endpoints.ts";
import {
  type ExternalContext,
  type ExternalOptions,
  type HeldLock,
  type LockStore,
  leaderName,
  type OtherLock,
  type Standing,
} from "./lock-store.ts";

export interface EtcdOptions extends ExternalOptions {
  /** By default DEFAULT_KEY. Clusters that share an etcd need one each. */
  readonly key?: string;
  readonly username?: string;
  readonly password?: string;
}

const DEFAULT_KEY = "/bioyino/leader";
/** Where the gateway is: since 3.4, and in 3.3. */
const PREFIXES = ["/v3", "/v3beta"];
/** A watch that says nothing is begun anew after this, since it may hang. */
const WATCH_MS = 60_000;
/** gRPC codes. */
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;

/** A lease of etcd that this node was granted. */
interface Lease {
  readonly id: string;
  readonly expiresMs: number;
}

/** What both keys said. */
interface Sight {
  readonly leader: string | undefined;
  /** Lease that the leader's key is bound to; undefined where there is no leader. */
  readonly lease: string | undefined;
  readonly term: number;
  /** Revision that changed KEY/term last; "0" where it is not there. */
  readonly termRevision: string;
  readonly revision: number;
}

export class EtcdStore implements LockStore {
  readonly kind = "etcd";
  readonly ttlMinMs = 0;
  readonly #options: EtcdOptions;
  readonly #endpoints: HttpEndpoints;
  readonly #clock: Clock;
  readonly #key: string;
  readonly #termKey: string;
  #prefix = 0;
  #token: string | undefined;
  #lease: Lease | undefined;
  /** Revision of the last look, behind which a watch begins. */
  #revision = 0;

  constructor(options: EtcdOptions, endpoints: HttpEndpoints, { clock }: Pick<ExternalContext, "clock">) {
    this.#options = options;
    this.#endpoints = endpoints;
    this.#clock = clock;
    const key = options.key ?? DEFAULT_KEY;
    this.#key = base64(key);
    this.#termKey = base64(`${key}/term`);
  }

  async look(): Promise<OtherLock> {
    return otherLock(await this.#look());
  }

  async acquire(floor: number): Promise<Standing> {
    const sight = await this.#look();
    if (sight.lease !== undefined) {
      // The answer to an earlier attempt was lost: the lease counts from when it was granted.
      if (this.#lease !== undefined && sight.lease === this.#lease.id) return this.#held(sight.term);
      return otherLock(sight);
    }
    const lease = await this.#grant();
    const term = Math.max(sight.term, sight.revision, floor) + 1;
    const answer = await this.#ask("/kv/txn", {
      compare: [
        { target: "CREATE", result: "EQUAL", key: this.#key, create_revision: "0" },
        { target: "MOD", result: "EQUAL", key: this.#termKey, mod_revision: sight.termRevision },
      ],
      success: [
        { request_put: { key: this.#key, value: base64(this.#options.name), lease: lease.id } },
        { request_put: { key: this.#termKey, value: base64(String(term)) } },
      ],
      failure: this.#ranges(),
    });
    if (codeOf(answer) === NOT_FOUND) this.#lease = undefined;
    const body = this.#bodyOf(answer);
    return body.succeeded === true ? this.#held(term) : otherLock(this.#sightOf(body));
  }

  /** Keeps the lease alive, and looks whether the key is still bound to it. */
  async renew(): Promise<Standing> {
    if (this.#lease === undefined) return this.look();
    const { id } = this.#lease;
    const answer = await this.#ask("/lease/keepalive", { ID: id });
    const ttlMs = 1000 * countOf(recordOf(this.#bodyOf(answer).result).TTL);
    // etcd says by a time to live of nothing that the lease is over.
    if (ttlMs === 0) this.#lease = undefined;
    else this.#lease = { id, expiresMs: answer.sentMs + Math.min(ttlMs, this.#options.ttlMs) };
    const sight = await this.#look();
    return ttlMs > 0 && sight.lease === id ? this.#held(sight.term) : otherLock(sight);
  }

  /** Revokes the lease, and the key goes with it. */
  async release(): Promise<void> {
    if (this.#lease === undefined) return;
    const answer = await this.#ask("/lease/revoke", { ID: this.#lease.id });
    if (codeOf(answer) !== NOT_FOUND) this.#bodyOf(answer);
    this.#lease = undefined;
  }

  /** Watches the key of the leader from the last look on. */
  async change(): Promise<boolean> {
    let hasChanged = false;
    const watch = { create_request: { key: this.#key, start_revision: String(this.#revision + 1) } };
    await this.#endpoints.request({
      ...this.#call("/watch", watch),
      timeoutMs: WATCH_MS,
      isEnough: (line) => {
        hasChanged = /"events":\s*\[/.test(line);
        return hasChanged || /"canceled":\s*true/.test(line);
      },
    });
    return hasChanged;
  }

  #held(term: number): HeldLock {
    return { isHeld: true, term, expiresMs: this.#lease!.expiresMs };
  }

  /** Returns a lease that is fresh enough, in place of one that is not. */
  async #grant(): Promise<Lease> {
    const { ttlMs } = this.#options;
    if (this.#lease !== undefined) {
      if (this.#lease.expiresMs - this.#clock.monotonicMs() > ttlMs / 2) return this.#lease;
      await this.release();
    }
    const answer = await this.#ask("/lease/grant", { TTL: String(Math.ceil(ttlMs / 1000)) });
    const { ID: id, TTL } = this.#bodyOf(answer);
    const grantedMs = 1000 * countOf(TTL);
    if (typeof id !== "string" || grantedMs === 0) throw this.#refusal(answer);
    this.#lease = { id, expiresMs: answer.sentMs + Math.min(grantedMs, ttlMs) };
    return this.#lease;
  }

  async #look(): Promise<Sight> {
    const answer = await this.#ask("/kv/txn", { success: this.#ranges() });
    return this.#sightOf(this.#bodyOf(answer));
  }

  #ranges(): readonly unknown[] {
    return [{ request_range: { key: this.#key } }, { request_range: { key: this.#termKey } }];
  }

  #sightOf(body: Readonly<Record<string, unknown>>): Sight {
    const [leader, term] = listOf(body.responses).map((response) => {
      const [pair] = listOf(recordOf(recordOf(response).response_range).kvs);
      return pair === undefined ? undefined : recordOf(pair);
    });
    const revision = countOf(recordOf(body.header).revision);
    this.#revision = Math.max(this.#revision, revision);
    return {
      leader: leaderName(text(leader?.value)),
      lease: leader === undefined ? undefined : String(leader.lease ?? "0"),
      term: countOf(text(term?.value)),
      termRevision: String(countOf(term?.mod_revision)),
      revision,
    };
  }

  /** Asks with a token where there is a user; a token that etcd does not know any more is replaced, once. */
  async #ask(path: string, body: unknown): Promise<HttpAnswer> {
    const { username } = this.#options;
    if (username !== undefined && this.#token === undefined) await this.#authenticate(username);
    let answer = await this.#endpoints.request(this.#call(path, body));
    if (answer.status === 404 && codeOf(answer) === 0) {
      // No gateway there: an older etcd has it elsewhere.
      this.#prefix = (this.#prefix + 1) % PREFIXES.length;
      answer = await this.#endpoints.request(this.#call(path, body));
    }
    if (username !== undefined && isTokenFault(answer)) {
      await this.#authenticate(username);
      answer = await this.#endpoints.request(this.#call(path, body));
    }
    return answer;
  }

  async #authenticate(name: string): Promise<void> {
    this.#token = undefined;
    const body = { name, password: this.#options.password ?? "" };
    const answer = await this.#endpoints.request(this.#call("/auth/authenticate", body));
    const { token } = recordOf(answer.body);
    if (answer.status !== 200 || typeof token !== "string") {
      throw this.#endpoints.refusal(answer, "check username and password, and whether etcd has users");
    }
    this.#token = token;
  }

  #call(path: string, body: unknown) {
    const headers: Record<string, string> = this.#token === undefined ? {} : { Authorization: this.#token };
    return { method: "POST", path: `${PREFIXES[this.#prefix]}${path}`, body, headers } as const;
  }

  /** Fields of a good answer; throws EndpointFault for another. */
  #bodyOf(answer: HttpAnswer): Readonly<Record<string, unknown>> {
    const body = recordOf(answer.body);
    const isGood = answer.status === 200 && (body.header !== undefined || body.result !== undefined);
    if (!isGood) throw this.#refusal(answer);
    return body;
  }

  #refusal(answer: HttpAnswer): EndpointFault {
    if (codeOf(answer) === PERMISSION_DENIED) {
      return this.#endpoints.refusal(answer, "allow the user to read and write the key and key/term");
    }
    const isUser = answer.status === 400 || answer.status === 401;
    const remedy = isUser ? "set username and password" : "see whether that is an etcd of 3.3 or later";
    return this.#endpoints.refusal(answer, remedy);
  }
}

function otherLock({ leader, term }: Sight): OtherLock {
  return { isHeld: false, leader, term };
}

function codeOf({ body }: HttpAnswer): number {
  return countOf(recordOf(body).code);
}

function isTokenFault(answer: HttpAnswer): boolean {
  const said = String(recordOf(answer.body).error ?? "");
  return (
    answer.status === 401 || /invalid auth token|revision of auth store is old|user name is empty/.test(said)
  );
}

function base64(plain: string): string {
  return Buffer.from(plain, "utf8").toString("base64");
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : undefined;
}
