/**
 * The lock in Kubernetes: a Lease of coordination.k8s.io/v1, used as its own components do. It needs the
 * verbs get, create and update for leases in the namespace.
 *
 *   holderIdentity         NAME_RUN, where RUN tells this process from its others; empty when released
 *   leaseTransitions       the term, as far as 32 bits go
 *   bioyino/term           annotation: the term
 *   leaseDurationSeconds, acquireTime, renewTime
 *
 * Every write names the resourceVersion that it changes, so of several writers one wins. Whether a holder is
 * alive is seen from changes of the object alone, on this machine's monotonic clock: clocks of machines are
 * never compared. A dead leader's place is free ttlMs after it was last seen to renew, and is taken a
 * third of ttlMs later at most.
 *
 * Where somebody deletes the object, a new one begins with a term above all that its maker knows of. Should
 * that be below a term that others know, they tell, and the leader begins again above it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../shared/clock.ts";
import { OperatorError } from "../../shared/errors.ts";
import {
  countOf,
  EndpointFault,
  type HttpAnswer,
  type HttpCall,
  type HttpEndpoints,
  recordOf,
} from "./http-endpoints.ts";
import {
  type ExternalContext,
  type ExternalOptions,
  type LockStore,
  leaderName,
  type OtherLock,
  type Standing,
} from "./lock-store.ts";

/** Within a pod all but the name and times can be left out: endpoints empty, the rest absent. */
export interface KubernetesOptions extends ExternalOptions {
  readonly namespace?: string;
  /** Name of the object; by default DEFAULT_LEASE. Clusters in one namespace need one each. */
  readonly lease?: string;
  /** File with the service account's token; read again for each request, since it is replaced. */
  readonly tokenFile?: string;
}

const DEFAULT_LEASE = "bioyino-leader";
const ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";
const TERM_ANNOTATION = "bioyino/term";
const INT32_MAX = 2 ** 31 - 1;
/** Attempts at a write that others get between. */
const WRITES_MAX = 3;
/** Whatever somebody writes into the object, it is not waited for longer. */
const DURATION_MAX_MS = 60 * 60 * 1000;

/**
 * Completes the options of a process within a pod. folder: where the service account is.
 * Throws OperatorError where there is neither a configuration nor a pod.
 */
export function inCluster(
  options: KubernetesOptions,
  environment: Readonly<Record<string, string | undefined>> = process.env,
  folder: string = ACCOUNT_FOLDER,
): KubernetesOptions {
  if (options.endpoints.length > 0) return options;
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = environment;
  if (host === undefined || host === "") {
    throw new OperatorError("kubernetes endpoints is empty and this is no pod; write https://HOST:PORT");
  }
  const read = (name: string): string => {
    try {
      return readFileSync(join(folder, name), "utf8").trim();
    } catch (error) {
      const remedy = "mount the service account's token, or write endpoints, namespace and token-file";
      throw new OperatorError(`kubernetes: ${(error as Error).message}; ${remedy}`);
    }
  };
  return {
    tokenFile: join(folder, "token"),
    ...options,
    endpoints: [`https://${host.includes(":") ? `[${host}]` : host}:${port}`],
    namespace: options.namespace ?? read("namespace"),
    tls: options.tls?.ca === undefined ? { ...options.tls, ca: read("ca.crt") } : options.tls,
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** The object, as it was read. */
interface Sight {
  /** Undefined where there is none. */
  readonly lease: Fields | undefined;
  readonly holder: string;
  readonly term: number;
  readonly answer: HttpAnswer;
}

/** When a state of the object was seen first. */
interface Observation {
  readonly version: string;
  readonly seenMs: number;
}

export class KubernetesStore implements LockStore {
  readonly kind = "kubernetes";
  readonly ttlMinMs = 0;
  readonly #options: KubernetesOptions;
  readonly #endpoints: HttpEndpoints;
  readonly #clock: Clock;
  readonly #identity: string;
  readonly #folder: string;
  readonly #name: string;
  #observation: Observation | undefined;
  /** The term that this node took; 0 where it did not. */
  #term = 0;

  constructor(options: KubernetesOptions, endpoints: HttpEndpoints, { clock, random }: ExternalContext) {
    this.#options = options;
    this.#endpoints = endpoints;
    this.#clock = clock;
    const run = Math.floor(random.between(0, 2 ** 32)).toString(16);
    this.#identity = `${options.name}_${run.padStart(8, "0")}`;
    const namespace = encodeURIComponent(options.namespace ?? "default");
    this.#folder = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
    this.#name = options.lease ?? DEFAULT_LEASE;
  }

  async look(): Promise<OtherLock> {
    const sight = await this.#look();
    this.#observe(sight);
    return this.#otherLock(sight);
  }

  async acquire(floor: number): Promise<Standing> {
    const sight = await this.#look();
    const freeInMs = this.#observe(sight);
    if (sight.holder !== "" && sight.holder !== this.#identity && freeInMs > 0) {
      return { ...this.#otherLock(sight), retryMs: freeInMs };
    }
    const term = Math.max(sight.term, floor, this.#term) + 1;
    return (await this.#write(sight, this.#identity, term)) ?? (await this.look());
  }

  async renew(): Promise<Standing> {
    let sight = await this.#look();
    for (let write = 0; write < WRITES_MAX; write++) {
      this.#observe(sight);
      if (sight.holder !== this.#identity || sight.term !== this.#term) return this.#otherLock(sight);
      const written = await this.#write(sight, this.#identity, this.#term);
      if (written !== undefined) return written;
      sight = await this.#look();
    }
    throw this.#endpoints.refusal(sight.answer, "see who else writes to the lease");
  }

  /** Leaves the object without a holder, so that nobody has to wait. */
  async release(): Promise<void> {
    for (let write = 0; write < WRITES_MAX; write++) {
      const sight = await this.#look();
      if (sight.holder !== this.#identity) return;
      if ((await this.#write(sight, "", sight.term)) !== undefined) return;
    }
  }

  /** Notes the state of the object. Returns for how long its holder may still be alive, in milliseconds. */
  #observe({ lease }: Sight): number {
    const nowMs = this.#clock.monotonicMs();
    const { uid, resourceVersion } = recordOf(lease?.metadata);
    const version = `${uid} ${resourceVersion}`;
    if (this.#observation?.version !== version) this.#observation = { version, seenMs: nowMs };
    const durationMs = 1000 * countOf(recordOf(lease?.spec).leaseDurationSeconds);
    const waitMs = Math.max(this.#options.ttlMs, Math.min(durationMs, DURATION_MAX_MS));
    return this.#observation.seenMs + waitMs - nowMs;
  }

  #otherLock({ holder, term }: Sight): OtherLock {
    // A holder whose time is over leads no more.
    const isOther = holder !== "" && holder !== this.#identity;
    return {
      isHeld: false,
      term,
      leader: isOther ? leaderName(holder.replace(/_[0-9a-f]{8}$/, "")) : undefined,
    };
  }

  async #look(): Promise<Sight> {
    const answer = await this.#request("GET", `${this.#folder}/${encodeURIComponent(this.#name)}`);
    if (answer.status === 404) return { lease: undefined, holder: "", term: 0, answer };
    const lease = recordOf(answer.body);
    const metadata = recordOf(lease.metadata);
    if (answer.status !== 200 || typeof metadata.resourceVersion !== "string") throw this.#refusal(answer);
    const { holderIdentity, leaseTransitions } = recordOf(lease.spec);
    const written = countOf(recordOf(metadata.annotations)[TERM_ANNOTATION]);
    return {
      lease,
      holder: typeof holderIdentity === "string" ? holderIdentity : "",
      term: Math.max(written, countOf(leaseTransitions)),
      answer,
    };
  }

  /** Writes the object where it is still as it was seen; resolves to undefined where it is not. */
  async #write({ lease, holder }: Sight, identity: string, term: number): Promise<Standing | undefined> {
    const metadata = recordOf(lease?.metadata);
    const spec = recordOf(lease?.spec);
    const now = microTime(this.#clock.nowMs());
    const isTaken = identity !== "" && (holder !== identity || term !== this.#term);
    if (isTaken) this.#term = term;
    const body = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: {
        ...metadata,
        name: this.#name,
        annotations: { ...recordOf(metadata.annotations), [TERM_ANNOTATION]: String(term) },
      },
      spec: {
        ...spec,
        holderIdentity: identity,
        leaseDurationSeconds: identity === "" ? 1 : Math.ceil(this.#options.ttlMs / 1000),
        leaseTransitions: Math.min(term, INT32_MAX),
        acquireTime: isTaken ? now : (spec.acquireTime ?? now),
        renewTime: now,
      },
    };
    const path = `${this.#folder}/${encodeURIComponent(this.#name)}`;
    const answer =
      lease === undefined
        ? await this.#request("POST", this.#folder, body)
        : await this.#request("PUT", path, body);
    // Another writer was faster, or the object is gone.
    if (answer.status === 409 || (lease !== undefined && answer.status === 404)) return undefined;
    const { resourceVersion } = recordOf(recordOf(answer.body).metadata);
    const isDone = (answer.status === 200 || answer.status === 201) && typeof resourceVersion === "string";
    if (!isDone) throw this.#refusal(answer);
    return { isHeld: true, term, expiresMs: answer.sentMs + this.#options.ttlMs };
  }

  async #request(method: HttpCall["method"], path: string, body?: unknown): Promise<HttpAnswer> {
    const headers: Record<string, string> = {};
    const { tokenFile } = this.#options;
    if (tokenFile !== undefined) headers.Authorization = `Bearer ${this.#readToken(tokenFile)}`;
    const answer = await this.#endpoints.request({
      method,
      path,
      headers,
      ...(body === undefined ? {} : { body }),
    });
    if (answer.status === 401 || answer.status === 403) throw this.#refusal(answer);
    return answer;
  }

  #readToken(file: string): string {
    try {
      return readFileSync(file, "utf8").trim();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
      throw new EndpointFault(file, code, "mount the service account's token, or correct token-file");
    }
  }

  #refusal(answer: HttpAnswer): EndpointFault {
    const remedies: Readonly<Record<number, string>> = {
      401: "see whether the service account's token is mounted and valid",
      403: "give the service account the verbs get, create and update for leases in the namespace",
    };
    return this.#endpoints.refusal(answer, remedies[answer.status] ?? "see whether that is an API server");
  }
}

/** Prints milliseconds since 1970 as the API wants them, with microseconds. */
function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "000Z");
}
