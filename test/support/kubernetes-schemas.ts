/**
 * Schemas of the objects of Kubernetes in config/examples, as its API reference describes them: of each kind
 * the fields that are used there and some neighbours, so that a misspelt field is one that is not described.
 */

type Schema = Readonly<Record<string, unknown>>;

const text: Schema = { type: "string" };
const whole: Schema = { type: "integer", minimum: 0 };
const truth: Schema = { type: "boolean" };
const texts: Schema = { type: "object", additionalProperties: text };
const portName: Schema = { anyOf: [text, { type: "integer", minimum: 1 }] };
const word = (...words: readonly string[]): Schema => ({ type: "string", enum: words });
const list = (items: Schema): Schema => ({ type: "array", items });

/** required: names of fields behind which stands a `!`. */
function object(fields: Readonly<Record<string, Schema>>): Schema {
  const properties = Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name.replace("!", ""), schema]),
  );
  const required = Object.keys(fields).flatMap((name) => (name.endsWith("!") ? [name.slice(0, -1)] : []));
  return { type: "object", properties, required, additionalProperties: false };
}

const metadata = object({ "name!": text, namespace: text, labels: texts, annotations: texts });
const selector = object({ matchLabels: texts });
const resources = object({ requests: texts, limits: texts });

function kind(apiVersion: string, name: string, fields: Readonly<Record<string, Schema>>): Schema {
  return object({ "apiVersion!": word(apiVersion), "kind!": word(name), "metadata!": metadata, ...fields });
}

const probe = object({
  httpGet: object({ "path!": text, "port!": portName, scheme: word("HTTP", "HTTPS") }),
  initialDelaySeconds: whole,
  periodSeconds: whole,
  timeoutSeconds: whole,
  failureThreshold: whole,
});

const container = object({
  "name!": text,
  "image!": text,
  command: list(text),
  args: list(text),
  ports: list(object({ name: text, "containerPort!": whole, protocol: word("TCP", "UDP", "SCTP") })),
  readinessProbe: probe,
  livenessProbe: probe,
  startupProbe: probe,
  resources,
  securityContext: object({
    allowPrivilegeEscalation: truth,
    readOnlyRootFilesystem: truth,
    capabilities: object({ add: list(text), drop: list(text) }),
  }),
  volumeMounts: list(object({ "name!": text, "mountPath!": text, readOnly: truth })),
});

const podSpec = object({
  serviceAccountName: text,
  automountServiceAccountToken: truth,
  terminationGracePeriodSeconds: whole,
  securityContext: object({
    runAsNonRoot: truth,
    runAsUser: whole,
    runAsGroup: whole,
    fsGroup: whole,
    seccompProfile: object({ "type!": word("RuntimeDefault", "Unconfined", "Localhost") }),
  }),
  topologySpreadConstraints: list(
    object({
      "maxSkew!": whole,
      "topologyKey!": text,
      "whenUnsatisfiable!": word("DoNotSchedule", "ScheduleAnyway"),
      labelSelector: selector,
    }),
  ),
  "containers!": list(container),
  volumes: list(
    object({
      "name!": text,
      configMap: object({ "name!": text }),
      secret: object({ "secretName!": text, defaultMode: whole }),
    }),
  ),
});

/** By kind. */
export const KUBERNETES_SCHEMAS: Readonly<Record<string, Schema>> = {
  Kustomization: object({
    "apiVersion!": word("kustomize.config.k8s.io/v1beta1"),
    "kind!": word("Kustomization"),
    "resources!": list(text),
    configMapGenerator: list(object({ "name!": text, "files!": list(text) })),
  }),
  ServiceAccount: kind("v1", "ServiceAccount", {}),
  Role: kind("rbac.authorization.k8s.io/v1", "Role", {
    "rules!": list(
      object({
        "apiGroups!": list(text),
        "resources!": list(text),
        resourceNames: list(text),
        "verbs!": list(text),
      }),
    ),
  }),
  RoleBinding: kind("rbac.authorization.k8s.io/v1", "RoleBinding", {
    "roleRef!": object({ "apiGroup!": text, "kind!": word("Role", "ClusterRole"), "name!": text }),
    "subjects!": list(object({ "kind!": word("ServiceAccount"), "name!": text, namespace: text })),
  }),
  Service: kind("v1", "Service", {
    "spec!": object({
      type: word("ClusterIP", "NodePort", "LoadBalancer"),
      clusterIP: text,
      publishNotReadyAddresses: truth,
      "selector!": texts,
      "ports!": list(
        object({ name: text, "port!": whole, targetPort: portName, protocol: word("TCP", "UDP", "SCTP") }),
      ),
    }),
  }),
  PodDisruptionBudget: kind("policy/v1", "PodDisruptionBudget", {
    "spec!": object({ maxUnavailable: whole, minAvailable: whole, "selector!": selector }),
  }),
  StatefulSet: kind("apps/v1", "StatefulSet", {
    "spec!": object({
      "serviceName!": text,
      replicas: whole,
      podManagementPolicy: word("OrderedReady", "Parallel"),
      minReadySeconds: whole,
      updateStrategy: object({ type: word("RollingUpdate", "OnDelete") }),
      "selector!": selector,
      "template!": object({
        "metadata!": object({ labels: texts, annotations: texts }),
        "spec!": podSpec,
      }),
      volumeClaimTemplates: list(
        object({
          "metadata!": object({ "name!": text, labels: texts }),
          "spec!": object({ "accessModes!": list(text), "resources!": resources, storageClassName: text }),
        }),
      ),
    }),
  }),
};
