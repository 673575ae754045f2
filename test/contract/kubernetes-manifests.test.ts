/** The manifests of config/examples/cluster/kubernetes: each as its kind is described, and all as one. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type AggregatorConfig, loadConfig } from "../../shared/config.ts";
import { membershipOf } from "../../shared/membership.ts";
import { schemaFaults } from "../support/json-schema.ts";
import { KUBERNETES_SCHEMAS } from "../support/kubernetes-schemas.ts";

const folder = join(findTop(dirname(fileURLToPath(import.meta.url))), "config/examples/cluster/kubernetes");

/** The nearest folder upwards that holds the examples. */
function findTop(from: string): string {
  return existsSync(join(from, "config", "examples")) ? from : findTop(dirname(from));
}

/** An object of a manifest. Tests look at fields that the schemas have found to be there. */
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}
interface ServicePort {
  readonly port: number;
  readonly targetPort: string;
  readonly protocol: string;
}
interface Service extends Manifest {
  readonly spec: {
    readonly clusterIP?: string;
    readonly publishNotReadyAddresses?: boolean;
    readonly selector: object;
    readonly ports: readonly ServicePort[];
  };
}
interface Role extends Manifest {
  readonly rules: readonly {
    readonly resources: readonly string[];
    readonly resourceNames?: readonly string[];
    readonly verbs: readonly string[];
  }[];
}
interface RoleBinding extends Manifest {
  readonly roleRef: { readonly name: string };
  readonly subjects: readonly { readonly name: string }[];
}
interface Budget extends Manifest {
  readonly spec: { readonly maxUnavailable: number; readonly selector: { readonly matchLabels: object } };
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
interface StatefulSet extends Manifest {
  readonly spec: {
    readonly serviceName: string;
    readonly replicas: number;
    readonly selector: { readonly matchLabels: object };
    readonly template: {
      readonly metadata: { readonly labels: object };
      readonly spec: {
        readonly serviceAccountName: string;
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: { readonly fsGroup: number };
        readonly containers: readonly Container[];
        readonly volumes: readonly {
          readonly name: string;
          readonly configMap?: { readonly name: string };
          readonly secret?: { readonly secretName: string };
        }[];
      };
    };
    readonly volumeClaimTemplates: readonly Manifest[];
  };
}
interface Container {
  readonly args: readonly string[];
  readonly ports: readonly {
    readonly name: string;
    readonly containerPort: number;
    readonly protocol: string;
  }[];
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}
interface Kustomization {
  readonly resources: readonly string[];
  readonly configMapGenerator: readonly { readonly name: string; readonly files: readonly string[] }[];
}

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(folder, name), "utf8"));
}

const kustomization = readJson("kustomization.yaml") as Kustomization;
const objects = kustomization.resources.flatMap((name) => {
  const value = readJson(name) as Manifest & { readonly items?: readonly Manifest[] };
  return value.kind === "List" ? value.items! : [value];
});

function only<Kind extends Manifest>(kind: string, name?: string): Kind {
  const found = objects.filter(
    (one) => one.kind === kind && (name ?? one.metadata.name) === one.metadata.name,
  );
  assert.equal(found.length, 1, `${kind} ${name ?? ""}`);
  return found[0] as Kind;
}

const warnings: string[] = [];
const config = loadConfig(
  join(folder, "bioyino.ini"),
  [{ section: "cluster", key: "node", values: ["bioyino-1"], origin: "the pod's name" }],
  (text) => warnings.push(text),
);
const { spec: set } = only<StatefulSet>("StatefulSet");
const pod = set.template.spec;
const container = pod.containers[0]!;

test("every object is as its kind is described", () => {
  assert.deepEqual(schemaFaults(kustomization, KUBERNETES_SCHEMAS.Kustomization!), []);
  for (const one of objects) {
    const schema = KUBERNETES_SCHEMAS[one.kind];
    assert.ok(schema !== undefined, one.kind);
    assert.deepEqual(schemaFaults(one, schema, `${one.kind} ${one.metadata.name}`), []);
  }
  assert.deepEqual(objects.map(({ kind }) => kind).sort(), [
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Service",
    "Service",
    "ServiceAccount",
    "StatefulSet",
  ]);
});

test("the schemas find a field that is misspelt, missing or of another type", () => {
  const schema = KUBERNETES_SCHEMAS.PodDisruptionBudget!;
  const good = only<Budget>("PodDisruptionBudget");
  assert.deepEqual(schemaFaults({ ...good, spec: { ...good.spec, maxUnavailabel: 1 } }, schema, "x"), [
    "x.spec.maxUnavailabel is not described",
  ]);
  assert.deepEqual(schemaFaults({ ...good, spec: { maxUnavailable: 1 } }, schema, "x"), [
    "x.spec.selector is missing",
  ]);
  assert.deepEqual(schemaFaults({ ...good, apiVersion: "policy/v1beta1" }, schema, "x"), [
    "x.apiVersion is none of policy/v1",
  ]);
  assert.equal(schemaFaults({ ...good, spec: { ...good.spec, maxUnavailable: "1" } }, schema).length, 1);
});

test("every file of the folder is part of it", () => {
  const files = kustomization.configMapGenerator.flatMap((one) =>
    one.files.map((file) => file.split("=")[1]!),
  );
  const used = ["kustomization.yaml", ...kustomization.resources, ...files];
  assert.deepEqual(readdirSync(folder).sort(), used.sort());
});

test("the members are the pods, by the names that the headless service gives them", () => {
  const name = only<StatefulSet>("StatefulSet").metadata.name;
  const headless = only<Service>("Service", set.serviceName);
  assert.equal(headless.spec.clusterIP, "None");
  // A pod that is not ready must be found as well: without the others none becomes ready.
  assert.equal(headless.spec.publishNotReadyAddresses, true);
  const { port } = config.cluster.listen;
  const pods = Array.from({ length: set.replicas }, (_, index) => `${name}-${index}`);
  assert.deepEqual(
    config.cluster.peers,
    pods.map((one) => ({ name: one, host: `${one}.${set.serviceName}`, port })),
  );
  // A pod whose name the list did not have would be one more member.
  assert.equal(membershipOf(config.cluster, "bioyino-2")?.members.length, set.replicas);
});

test("labels, ports, volumes and names that belong together are equal", () => {
  const { labels } = set.template.metadata;
  const selectors = [set.selector.matchLabels, only<Budget>("PodDisruptionBudget").spec.selector.matchLabels];
  for (const service of ["bioyino", "statsd"])
    selectors.push(only<Service>("Service", service).spec.selector);
  for (const selector of selectors) assert.deepEqual(selector, labels);
  for (const service of ["bioyino", "statsd"]) {
    for (const { port, targetPort, protocol } of only<Service>("Service", service).spec.ports) {
      const own = container.ports.find((one) => one.name === targetPort);
      assert.deepEqual([own?.containerPort, own?.protocol], [port, protocol], targetPort);
    }
  }
  const { listen, management } = config.aggregator;
  const opened = [
    ...listen.map((one) => `${one.kind} ${"port" in one ? one.port : ""}`),
    `tcp ${config.cluster.listen.port}`,
    `tcp ${management?.port}`,
  ];
  assert.deepEqual(
    container.ports.map(({ containerPort, protocol }) => `${protocol.toLowerCase()} ${containerPort}`),
    opened,
  );
  const names = [...pod.volumes, ...set.volumeClaimTemplates.map(({ metadata }) => metadata)].map(
    (one) => one.name,
  );
  assert.deepEqual(container.volumeMounts.map((one) => one.name).sort(), names.sort());
});

test("files are where the configuration says", () => {
  const mountOf = (name: string) => container.volumeMounts.find((one) => one.name === name)!.mountPath;
  const [generated] = kustomization.configMapGenerator;
  const volume = pod.volumes.find((one) => one.configMap !== undefined)!;
  assert.equal(volume.configMap!.name, generated!.name);
  const [file] = generated!.files[0]!.split("=");
  assert.deepEqual(container.args, ["bioyino", "--config", `${mountOf(volume.name)}/${file}`]);
  const secret = pod.volumes.find((one) => one.secret !== undefined)!;
  assert.equal(dirname(config.cluster.tokenFile), mountOf(secret.name));
  assert.equal(config.aggregator.stateDir, mountOf(set.volumeClaimTemplates[0]!.metadata.name));
});

test("the pod may do to its Lease what it has to, and to nothing else", () => {
  const { rules, metadata } = only<Role>("Role");
  for (const { resources } of rules) assert.deepEqual(resources, ["leases"]);
  const verbs = (isNamed: boolean) =>
    rules.filter((one) => (one.resourceNames !== undefined) === isNamed).flatMap((one) => one.verbs);
  // What does not exist yet has no name that a rule could know.
  assert.deepEqual([verbs(false), verbs(true)], [["create"], ["get", "update"]]);
  assert.deepEqual(
    rules.flatMap((one) => one.resourceNames ?? []),
    [config.kubernetes.lease],
  );
  const { roleRef, subjects } = only<RoleBinding>("RoleBinding");
  assert.equal(roleRef.name, metadata.name);
  assert.deepEqual(
    subjects.map((one) => one.name),
    [pod.serviceAccountName],
  );
  assert.equal(only<Manifest>("ServiceAccount").metadata.name, pod.serviceAccountName);
  // A generated ConfigMap of that name would have kustomize rename the Lease in the rule.
  assert.notEqual(kustomization.configMapGenerator[0]!.name, config.kubernetes.lease);
});

test("limits and waits leave room for what the configuration asks for", () => {
  const { drainTimeoutMs, memoryLimitBytes }: AggregatorConfig = config.aggregator;
  const [, number, unit] = /^(\d+)(Gi|Mi)$/.exec(container.resources.limits.memory)!;
  assert.equal(Number(number) * (unit === "Gi" ? 2 ** 30 : 2 ** 20), memoryLimitBytes);
  assert.ok(pod.terminationGracePeriodSeconds * 1000 >= 2 * drainTimeoutMs);
  // A majority stays whatever is evicted.
  assert.ok(only<Budget>("PodDisruptionBudget").spec.maxUnavailable < set.replicas / 2);
  for (const [probe, path] of [
    [container.readinessProbe, "/readyz"],
    [container.livenessProbe, "/healthz"],
  ] as const) {
    assert.deepEqual(probe.httpGet, { path, port: "management" });
  }
});

test("the only warning is that the pages ask nobody from beyond the pod to change anything", () => {
  assert.equal(warnings.length, 1, warnings.join("; "));
  assert.match(warnings[0]!, /^aggregator\.management can be reached .*are refused$/);
});

const hasKubectl = spawnSync("kubectl", ["version", "--client"], { timeout: 30_000 }).status === 0;

test("kubectl makes of the folder what its files say", { skip: !hasKubectl && "there is no kubectl" }, () => {
  const { status, stdout, stderr } = spawnSync("kubectl", ["kustomize", folder], {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  const kinds = [...stdout.matchAll(/^kind: (\w+)$/gm)].map((match) => match[1]!);
  assert.deepEqual(kinds.sort(), [...objects.map(({ kind }) => kind), "ConfigMap"].sort());
  assert.match(stdout, /^ {2}resourceNames:\n {2}- bioyino\n/m);
  const [generated] = kustomization.configMapGenerator;
  const names = [...stdout.matchAll(new RegExp(`name: (${generated!.name}-\\w+)$`, "gm"))].map(
    (one) => one[1],
  );
  assert.equal(names.length, 2);
  assert.equal(names[0], names[1]);
});
