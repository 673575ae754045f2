/** An API server of Kubernetes that has Leases, with versions, conflicts and its words for faults. */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../shared/clock.ts";
import { FakeStore, type StoreReply, type StoreRequest } from "./fake-store.ts";

/** A Lease, as far as somebody wrote it. */
export interface LeaseObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly leaseTransitions?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
  };
}

const FOLDER = /^\/apis\/coordination\.k8s\.io\/v1\/namespaces\/([^/]+)\/leases(?:\/([^/]+))?$/;
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const INT32_MAX = 2 ** 31 - 1;

export class FakeKubernetes extends FakeStore {
  readonly #leases = new Map<string, LeaseObject>();
  #version = 1000;
  /** Bearer token that is asked for; undefined for none. */
  token: string | undefined;
  /** Verbs that are refused. */
  readonly forbidden = new Set<string>();

  static async start(clock: Clock): Promise<FakeKubernetes> {
    const kubernetes = new FakeKubernetes(clock);
    await kubernetes.listen();
    return kubernetes;
  }

  lease(namespace: string, name: string): LeaseObject | undefined {
    return this.#leases.get(`${namespace}/${name}`);
  }

  /** Writes as somebody with kubectl does. */
  edit(namespace: string, name: string, change: (lease: LeaseObject) => LeaseObject): void {
    const lease = this.lease(namespace, name);
    if (lease !== undefined) this.#save(namespace, change(lease), lease);
  }

  delete(namespace: string, name: string): void {
    this.#leases.delete(`${namespace}/${name}`);
    this.#version += 1;
  }

  protected answer({ method, path, headers, body }: StoreRequest): StoreReply {
    if (this.token !== undefined && headers.authorization !== `Bearer ${this.token}`) {
      return status(401, "Unauthorized", "Unauthorized");
    }
    const [, namespace, name] = FOLDER.exec(path) ?? [];
    if (namespace === undefined) return { status: 404, body: "404 page not found" };
    const verb = { GET: "get", POST: "create", PUT: "update" }[method] ?? method;
    if (this.forbidden.has(verb)) {
      return status(
        403,
        "Forbidden",
        `leases.coordination.k8s.io is forbidden: User cannot ${verb} resource`,
      );
    }
    if (method === "POST") return this.#create(namespace, body as LeaseObject);
    const lease = this.lease(namespace, name ?? "");
    if (lease === undefined) {
      return status(404, "NotFound", `leases.coordination.k8s.io "${name}" not found`);
    }
    return method === "PUT"
      ? this.#update(namespace, body as LeaseObject, lease)
      : { status: 200, body: lease };
  }

  #create(namespace: string, lease: LeaseObject): StoreReply {
    const { name } = lease.metadata;
    if (this.lease(namespace, name) !== undefined) {
      return status(409, "AlreadyExists", `leases.coordination.k8s.io "${name}" already exists`);
    }
    if (lease.metadata.resourceVersion !== undefined) {
      return status(422, "Invalid", "metadata.resourceVersion: must not be set on objects to be created");
    }
    const fault = faultOf(lease);
    return fault ?? { status: 201, body: this.#save(namespace, lease, undefined) };
  }

  #update(namespace: string, lease: LeaseObject, old: LeaseObject): StoreReply {
    const { name, resourceVersion } = lease.metadata;
    if (name !== old.metadata.name) return status(400, "BadRequest", "the name does not match the URL");
    if (resourceVersion === undefined) {
      return status(422, "Invalid", "metadata.resourceVersion: must be specified for an update");
    }
    if (resourceVersion !== old.metadata.resourceVersion) {
      const words = "the object has been modified; please apply your changes to the latest version";
      return status(409, "Conflict", `Operation cannot be fulfilled on leases "${name}": ${words}`);
    }
    return faultOf(lease) ?? { status: 200, body: this.#save(namespace, lease, old) };
  }

  #save(namespace: string, lease: LeaseObject, old: LeaseObject | undefined): LeaseObject {
    // A write that changes nothing makes no version.
    if (old !== undefined && isDeepStrictEqual(lease, old)) return old;
    this.#version += 1;
    const uid = old?.metadata.uid ?? `uid-${this.#version}`;
    const metadata = { ...lease.metadata, namespace, uid, resourceVersion: String(this.#version) };
    const saved = { ...lease, metadata };
    this.#leases.set(`${namespace}/${lease.metadata.name}`, saved);
    return saved;
  }
}

function faultOf({ apiVersion, kind, spec }: LeaseObject): StoreReply | undefined {
  if (apiVersion !== "coordination.k8s.io/v1" || kind !== "Lease") {
    return status(400, "BadRequest", `no kind "${kind}" in "${apiVersion}"`);
  }
  const { leaseDurationSeconds = 1, leaseTransitions = 0, acquireTime, renewTime } = spec;
  const isTime = [acquireTime, renewTime].every((time) => time === undefined || MICRO_TIME.test(time));
  if (!isTime)
    return status(400, "BadRequest", "Lease in version v1 cannot be handled as a Lease: parsing time");
  const isCount = (value: number) => Number.isInteger(value) && value >= 0 && value <= INT32_MAX;
  if (!isCount(leaseDurationSeconds) || leaseDurationSeconds === 0 || !isCount(leaseTransitions)) {
    return status(422, "Invalid", "spec.leaseDurationSeconds: must be greater than 0");
  }
  return undefined;
}

function status(code: number, reason: string, message: string): StoreReply {
  return {
    status: code,
    body: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code },
  };
}
