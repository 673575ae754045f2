/**
 * The lock in Consul: a key that a session of this node locks. The key's value is
 * {"leader":NAME,"term":N}; it stays when the lock goes, for the next term.
 *
 * A transaction takes the lock only where the key is as it was read, so that no term is used twice. The term
 * is one above the highest of the last, the key's index at the time of reading, and what this node knows.
 *
 * The session lives by its time to live alone. With a health check, as Consul has by default, it ends
 * when the agent's node seems to fail, which may be before this node's lease is over. Consul never ends a
 * session before its time to live, and may take twice that; so a dead leader's place is free after one to
 * two times ttlMs and the lock delay. The lock delay stands in for what the lease does already, and for
 * the registers: a second of it is for clocks that run apart, not Consul's 15. Sessions that people
 * destroy end at once: then the old leader and a new one may be there together until the old one looks,
 * told apart by their terms.
 */
import type { Clock } from "../../shared/clock.ts";
import {
  countOf,
  type EndpointFault,
  type HttpAnswer,
  type HttpCall,
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

export interface ConsulOptions extends ExternalOptions {
  /** By default DEFAULT_KEY. Clusters that share a Consul need one each. */
  readonly key?: string;
  /** For X-Consul-Token; it needs key:write and session:write. */
  readonly token?: string;
}

const DEFAULT_KEY = "bioyino/leader";
/** Consul's own bound. */
const TTL_MIN_MS = 10_000;
const LOCK_DELAY = "1s";
/** A blocking query is answered by then at the latest; Consul adds up to a sixteenth. */
const WAIT_SHARE = 0.25;

interface Session {
  readonly id: string;
  readonly expiresMs: number;
}

/** What the key said. */
interface Sight {
  readonly session: string | undefined;
  readonly leader: string | undefined;
  readonly term: number;
  /** For blocking queries, and below every index to come. */
  readonly index: number;
  readonly modifyIndex: number | undefined;
}

export class ConsulStore implements LockStore {
  readonly kind = "consul";
  readonly ttlMinMs = TTL_MIN_MS;
  readonly #options: ConsulOptions;
  readonly #endpoints: HttpEndpoints;
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #key: string;
  readonly #keyPath: string;
  #session: Session | undefined;
  #index = 0;
  /** Value of the key that this node wrote last; it has to be written again with the release. */
  #value: unknown = {};

  constructor(options: ConsulOptions, endpoints: HttpEndpoints, { clock }: Pick<ExternalContext, "clock">) {
    this.#options = options;
    this.#endpoints = endpoints;
    this.#clock = clock;
    this.#ttlMs = Math.max(options.ttlMs, TTL_MIN_MS);
    this.#key = (options.key ?? DEFAULT_KEY).replace(/^\/+/, "");
    this.#keyPath = `/v1/kv/${this.#key.split("/").map(encodeURIComponent).join("/")}`;
  }

  async look(): Promise<OtherLock> {
    return otherLock(await this.#look());
  }

  async acquire(floor: number): Promise<Standing> {
    const sight = await this.#look();
    if (sight.session !== undefined) {
      // The answer to an earlier attempt was lost: the session counts from when it was made.
      if (sight.session === this.#session?.id) return this.#held(sight.term);
      return otherLock(sight);
    }
    const { id } = await this.#makeSession();
    const term = Math.max(sight.term, sight.index, floor) + 1;
    this.#value = { leader: this.#options.name, term };
    const isAsRead =
      sight.modifyIndex === undefined
        ? { Verb: "check-not-exists", Key: this.#key }
        : { Verb: "check-index", Key: this.#key, Index: sight.modifyIndex };
    const value = Buffer.from(JSON.stringify(this.#value)).toString("base64");
    const lock = { Verb: "lock", Key: this.#key, Value: value, Session: id };
    const answer = await this.#put("/v1/txn", [{ KV: isAsRead }, { KV: lock }]);
    const { Results, Errors } = recordOf(answer.body);
    if (answer.status === 200 && Array.isArray(Results)) return this.#held(term);
    if (answer.status !== 409 || !Array.isArray(Errors)) throw this.#refusal(answer);
    // Somebody was faster, the lock delay is on, or the session is over.
    const errors = Errors.map((error: unknown) => String(recordOf(error).What));
    if (errors.some((error) => error.includes("invalid session"))) this.#session = undefined;
    return otherLock(await this.#look());
  }

  /** Renews the session, and looks whether it still has the lock. */
  async renew(): Promise<Standing> {
    if (this.#session === undefined) return this.look();
    const { id } = this.#session;
    const answer = await this.#put(`/v1/session/renew/${id}`);
    if (answer.status === 404) this.#session = undefined;
    else if (answer.status !== 200 || !Array.isArray(answer.body)) throw this.#refusal(answer);
    else this.#session = { id, expiresMs: answer.sentMs + this.#ttlMs };
    const sight = await this.#look();
    return this.#session !== undefined && sight.session === id ? this.#held(sight.term) : otherLock(sight);
  }

  /** Frees the lock first: there is no lock delay then. */
  async release(): Promise<void> {
    if (this.#session === undefined) return;
    const { id } = this.#session;
    const released = await this.#put(`${this.#keyPath}?release=${id}`, this.#value);
    if (typeof released.body !== "boolean") throw this.#refusal(released);
    const destroyed = await this.#put(`/v1/session/destroy/${id}`);
    if (destroyed.body !== true) throw this.#refusal(destroyed);
    this.#session = undefined;
  }

  /** A blocking query from the last look on. */
  async change(): Promise<boolean> {
    const index = this.#index;
    if (index === 0) return false;
    const waitMs = Math.round(this.#ttlMs * WAIT_SHARE);
    const answer = await this.#endpoints.request({
      ...this.#call("GET", `${this.#keyPath}?consistent&index=${index}&wait=${waitMs}ms`),
      timeoutMs: waitMs * 1.0625 + this.#options.requestTimeoutMs,
    });
    const indexNow = countOf(answer.headers["x-consul-index"]);
    return indexNow > 0 && indexNow !== index;
  }

  #held(term: number): HeldLock {
    return { isHeld: true, term, expiresMs: this.#session!.expiresMs };
  }

  /** Returns a session that is fresh enough, in place of one that is not. */
  async #makeSession(): Promise<Session> {
    if (this.#session !== undefined) {
      if (this.#session.expiresMs - this.#clock.monotonicMs() > this.#ttlMs / 2) return this.#session;
      await this.release();
    }
    const answer = await this.#put("/v1/session/create", {
      Name: `bioyino ${this.#options.name}`,
      TTL: `${Math.ceil(this.#ttlMs)}ms`,
      LockDelay: LOCK_DELAY,
      Behavior: "release",
      Checks: [],
      NodeChecks: [],
    });
    const id = recordOf(answer.body).ID;
    if (answer.status !== 200 || typeof id !== "string") throw this.#refusal(answer);
    this.#session = { id, expiresMs: answer.sentMs + this.#ttlMs };
    return this.#session;
  }

  /** Reads the key through Consul's leader: other answers may be old. */
  async #look(): Promise<Sight> {
    const answer = await this.#endpoints.request(this.#call("GET", `${this.#keyPath}?consistent`));
    if (answer.status !== 200 && answer.status !== 404) throw this.#refusal(answer);
    // Without an index it is not Consul that answers.
    const index = countOf(answer.headers["x-consul-index"]);
    const [entry] = listOf(answer.body);
    if (index === 0) throw this.#refusal(answer);
    this.#index = index;
    if (answer.status === 404) {
      return { session: undefined, leader: undefined, term: 0, index, modifyIndex: undefined };
    }
    const { Session: session, Value: value, ModifyIndex: modifyIndex } = recordOf(entry);
    const isEntry = countOf(modifyIndex) > 0;
    if (!isEntry) throw this.#refusal(answer);
    const written = writtenValue(value);
    const isLocked = typeof session === "string" && session !== "";
    return {
      session: isLocked ? session : undefined,
      leader: isLocked ? leaderName(written.leader) : undefined,
      term: countOf(written.term),
      index: Math.max(index, countOf(modifyIndex)),
      modifyIndex: countOf(modifyIndex),
    };
  }

  #put(path: string, body?: unknown): Promise<HttpAnswer> {
    return this.#endpoints.request(this.#call("PUT", path, body));
  }

  #call(method: "GET" | "PUT", path: string, body?: unknown): HttpCall {
    const { token } = this.#options;
    const headers: Record<string, string> = token === undefined ? {} : { "X-Consul-Token": token };
    return { method, path, headers, ...(body === undefined ? {} : { body }) };
  }

  #refusal(answer: HttpAnswer): EndpointFault {
    const isAccess = answer.status === 401 || answer.status === 403;
    const remedy = isAccess
      ? "give a token with key:write for the key and session:write"
      : "see whether that is a Consul of 1.0 or later";
    return this.#endpoints.refusal(answer, remedy);
  }
}

function otherLock({ leader, term }: Sight): OtherLock {
  return { isHeld: false, leader, term };
}

/** Reads a value that this program wrote; no fields for another. */
function writtenValue(value: unknown): Readonly<Record<string, unknown>> {
  try {
    return recordOf(JSON.parse(Buffer.from(String(value ?? ""), "base64").toString("utf8")));
  } catch {
    return {};
  }
}
