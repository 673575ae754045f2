/** A Consul of one server: keys, sessions, locks, transactions and blocking queries, as its HTTP API has. */
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { FakeStore, type StoreReply, type StoreRequest } from "./fake-store.ts";

interface Entry {
  readonly Key: string;
  readonly Flags: number;
  /** In base64. */
  readonly Value: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly LockIndex: number;
  readonly Session?: string;
}

interface Session {
  readonly ID: string;
  readonly ttlMs: number;
  readonly lockDelayMs: number;
  readonly behavior: string;
  readonly checks: readonly string[];
  timer: TimerHandle | undefined;
}

/** Operation of a transaction, as far as locks go. */
interface Operation {
  readonly Verb: string;
  readonly Key: string;
  readonly Value?: string;
  readonly Session?: string;
  readonly Index?: number;
}

const OK = 200;
const TTL_MIN_MS = 10_000;
const WAIT_DEFAULT_MS = 300_000;

export class FakeConsul extends FakeStore {
  readonly #entries = new Map<string, Entry>();
  readonly #sessions = new Map<string, Session>();
  /** Key to the moment from which it may be locked again. */
  readonly #lockDelays = new Map<string, number>();
  /** What reads without ?consistent see: the state before the last write. */
  readonly #stale = new Map<string, Entry | undefined>();
  readonly #waiting = new Set<() => void>();
  #index = 10;
  /** Sessions end after this many times their time to live; Consul takes one to two. */
  expiryFactor = 1;
  /** X-Consul-Token that is asked for; undefined for none. */
  token: string | undefined;

  static async start(clock: Clock): Promise<FakeConsul> {
    const consul = new FakeConsul(clock);
    await consul.listen();
    return consul;
  }

  /** Who has locked a key: its session; undefined for nobody. */
  holder(key: string): string | undefined {
    return this.#entries.get(key)?.Session;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Checks of all sessions: those that are not there cannot fail. */
  get checks(): readonly string[] {
    return [...this.#sessions.values()].flatMap(({ checks }) => checks);
  }

  /** Ends a session as an operator does, or a failed health check. */
  invalidate(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    session.timer?.cancel();
    this.#sessions.delete(id);
    for (const entry of this.#entries.values()) {
      if (entry.Session !== id) continue;
      this.#lockDelays.set(entry.Key, this.clock.monotonicMs() + session.lockDelayMs);
      const { Session: _, ...free } = entry;
      this.#write(entry.Key, session.behavior === "delete" ? undefined : free);
    }
  }

  /** Writes a key's value, as somebody does who had the lock for a moment. */
  set(key: string, value: unknown): void {
    const { CreateIndex = this.#index + 1, LockIndex = 0 } = this.#entries.get(key) ?? {};
    const Value = Buffer.from(JSON.stringify(value)).toString("base64");
    this.#write(key, { Key: key, Flags: 0, Value, CreateIndex, LockIndex: LockIndex + 1 });
  }

  /** Deletes a key as an operator does. */
  delete(key: string): void {
    this.#write(key, undefined);
  }

  /** Forgets all, as a Consul that was set up anew. */
  wipe(): void {
    for (const { timer } of this.#sessions.values()) timer?.cancel();
    for (const map of [this.#entries, this.#sessions, this.#lockDelays, this.#stale]) map.clear();
    this.#index = 10;
  }

  protected answer(request: StoreRequest): StoreReply | Promise<StoreReply> {
    if (this.token !== undefined && request.headers["x-consul-token"] !== this.token) {
      return { status: 403, body: "Permission denied" };
    }
    const { method, path } = request;
    if (path.startsWith("/v1/kv/")) {
      const key = path.slice("/v1/kv/".length);
      return method === "GET" ? this.#read(key, request.query) : this.#put(key, request);
    }
    if (method !== "PUT") return { status: 405, body: "method not allowed" };
    if (path === "/v1/txn") return this.#transact(request.body as { KV: Operation }[]);
    const [, act, id = ""] = /^\/v1\/session\/(create|renew|destroy)(?:\/(.+))?$/.exec(path) ?? [];
    if (act === "create") return this.#create(request.body as Record<string, unknown>);
    if (act === "renew") return this.#renew(id);
    if (act !== "destroy") return { status: 404, body: "no such thing" };
    this.invalidate(id);
    return { status: OK, body: true };
  }

  #write(key: string, entry: Omit<Entry, "ModifyIndex"> | undefined): void {
    this.#stale.set(key, this.#entries.get(key));
    this.#index += 1;
    if (entry === undefined) this.#entries.delete(key);
    else this.#entries.set(key, { ...entry, ModifyIndex: this.#index });
    for (const wake of [...this.#waiting]) wake();
  }

  #read(key: string, query: URLSearchParams): StoreReply | Promise<StoreReply> {
    const isStale = !query.has("consistent") && this.#stale.has(key);
    const now = (): StoreReply => {
      const entry = isStale ? this.#stale.get(key) : this.#entries.get(key);
      const headers = { "X-Consul-Index": String(entry?.ModifyIndex ?? this.#index) };
      if (entry === undefined) return { status: 404, body: "", headers };
      return { status: OK, body: [entry], headers };
    };
    const index = Number(query.get("index") ?? 0);
    const indexNow = (): number => Number(now().headers!["X-Consul-Index"]);
    if (index === 0 || indexNow() > index) return now();
    return new Promise((resolve) => {
      const wake = (): void => {
        if (indexNow() > index) finish();
      };
      const finish = (): void => {
        timer.cancel();
        this.#waiting.delete(wake);
        resolve(now());
      };
      const waitMs = parseDuration(query.get("wait")) ?? WAIT_DEFAULT_MS;
      const timer = this.clock.setTimer(waitMs * (1 + 1 / 16), finish);
      this.#waiting.add(wake);
    });
  }

  /** Only what frees locks: the rest is done by transactions. */
  #put(key: string, { query, body }: StoreRequest): StoreReply {
    const session = query.get("release");
    const entry = this.#entries.get(key);
    if (session === null) return { status: 400, body: "only ?release is played" };
    if (entry === undefined || entry.Session !== session) return { status: OK, body: false };
    const { Session: _, ...free } = entry;
    this.#write(key, { ...free, Value: Buffer.from(JSON.stringify(body)).toString("base64") });
    return { status: OK, body: true };
  }

  #create(body: Readonly<Record<string, unknown>>): StoreReply {
    const ttlMs = parseDuration(body.TTL);
    if (ttlMs === undefined || ttlMs < TTL_MIN_MS) return { status: 500, body: "Invalid Session TTL" };
    this.#index += 1;
    const ID = `00000000-0000-4000-8000-${String(this.#index).padStart(12, "0")}`;
    const session: Session = {
      ID,
      ttlMs,
      lockDelayMs: parseDuration(body.LockDelay) ?? 15_000,
      behavior: String(body.Behavior ?? "release"),
      checks: (body.Checks ?? body.NodeChecks ?? ["serfHealth"]) as string[],
      timer: undefined,
    };
    this.#sessions.set(ID, session);
    this.#arm(session);
    return { status: OK, body: { ID } };
  }

  #renew(id: string): StoreReply {
    const session = this.#sessions.get(id);
    if (session === undefined) return { status: 404, body: `Session id '${id}' not found` };
    this.#arm(session);
    return { status: OK, body: [{ ID: id, TTL: `${session.ttlMs}ms` }] };
  }

  #arm(session: Session): void {
    session.timer?.cancel();
    const delayMs = session.ttlMs * this.expiryFactor;
    session.timer = this.clock.setTimer(delayMs, () => this.invalidate(session.ID));
  }

  #transact(operations: readonly { readonly KV: Operation }[]): StoreReply {
    const Errors = operations.flatMap(({ KV }, OpIndex) => {
      const What = this.#fault(KV);
      return What === undefined ? [] : [{ OpIndex, What }];
    });
    if (Errors.length > 0) return { status: 409, body: { Results: null, Errors } };
    for (const { KV } of operations) if (KV.Verb === "lock") this.#lock(KV);
    return { status: OK, body: { Results: [], Errors: null } };
  }

  /** Why an operation cannot be done, in Consul's words. */
  #fault({ Verb, Key, Session: id = "", Index }: Operation): string | undefined {
    const entry = this.#entries.get(Key);
    if (Verb === "check-not-exists") return entry === undefined ? undefined : `key "${Key}" exists`;
    if (Verb === "check-index") {
      if (entry === undefined) return `failed to check index, key "${Key}" doesn't exist`;
      return entry.ModifyIndex === Index ? undefined : `failed index check for key "${Key}"`;
    }
    if (Verb !== "lock") return `unknown verb ${Verb}`;
    if ((this.#lockDelays.get(Key) ?? 0) > this.clock.monotonicMs()) {
      return `failed to lock key "${Key}" due to lock delay`;
    }
    if (!this.#sessions.has(id)) return `invalid session "${id}"`;
    const isTaken = entry?.Session !== undefined && entry.Session !== id;
    return isTaken ? `failed to lock key "${Key}", lock is already held` : undefined;
  }

  #lock({ Key, Value = "", Session = "" }: Operation): void {
    const { CreateIndex = this.#index + 1, LockIndex = 0, Session: owner } = this.#entries.get(Key) ?? {};
    const isNew = owner !== Session;
    this.#write(Key, { Key, Flags: 0, Value, CreateIndex, LockIndex: LockIndex + (isNew ? 1 : 0), Session });
  }
}

/** Reads a duration of Go, of one unit. */
function parseDuration(value: unknown): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(String(value ?? "")) ?? [];
  if (number === undefined) return undefined;
  return Number(number) * (unit === "ms" ? 1 : unit === "s" ? 1000 : 60_000);
}
