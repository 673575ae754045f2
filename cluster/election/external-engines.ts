/** The stores outside that can choose a leader. */
import { OperatorError } from "../../shared/errors.ts";
import { type ConsulOptions, ConsulStore } from "./consul.ts";
import { type EtcdOptions, EtcdStore } from "./etcd.ts";
import { ExternalElection } from "./external.ts";
import { HttpEndpoints } from "./http-endpoints.ts";
import { inCluster, type KubernetesOptions, KubernetesStore } from "./kubernetes.ts";
import { type ExternalContext, type ExternalOptions, type LockStore, TTL_MIN_MS } from "./lock-store.ts";

/** Options of each store. */
export interface ExternalOptionsByKind {
  readonly etcd: EtcdOptions;
  readonly consul: ConsulOptions;
  readonly kubernetes: KubernetesOptions;
}

export type ExternalKind = keyof ExternalOptionsByKind;

/** How each store is made from options that are complete. */
const STORES: {
  readonly [Kind in ExternalKind]: (
    options: ExternalOptionsByKind[Kind],
    endpoints: HttpEndpoints,
    context: ExternalContext,
  ) => LockStore;
} = {
  etcd: (options, endpoints, context) => new EtcdStore(options, endpoints, context),
  consul: (options, endpoints, context) => new ConsulStore(options, endpoints, context),
  kubernetes: (options, endpoints, context) => new KubernetesStore(options, endpoints, context),
};

/**
 * Makes the election that the configuration names; it begins at once. Throws OperatorError for options that
 * cannot work.
 */
export function createExternalElection<Kind extends ExternalKind>(
  kind: Kind,
  options: ExternalOptionsByKind[Kind],
  context: ExternalContext,
): ExternalElection {
  if (!(options.ttlMs >= TTL_MIN_MS)) {
    throw new OperatorError(`${kind} ttl is ${options.ttlMs} ms; write ${TTL_MIN_MS} ms or more`);
  }
  const complete: ExternalOptionsByKind[Kind] = kind === "kubernetes" ? inCluster(options) : options;
  const endpoints = endpointsOf(complete, context);
  return new ExternalElection(STORES[kind](complete, endpoints, context), endpoints, complete, context);
}

/** A renewal that hangs must leave time for another one elsewhere before the lease is over. */
function endpointsOf(options: ExternalOptions, context: ExternalContext): HttpEndpoints {
  const requestTimeoutMs = Math.min(options.requestTimeoutMs, options.ttlMs / 4);
  return new HttpEndpoints({ ...options, requestTimeoutMs }, context);
}
