/** How the times of an election fit together, and what each way of choosing a leader needs. */
import type { SuiteConfig } from "./config.ts";
import { SECTIONS } from "./config-options.ts";
import type { ConfigReader } from "./config-reader.ts";
import type { ConfigFault } from "./config-report.ts";
import { defaultOf, listRule, type Option } from "./config-rows.ts";
import { printDuration } from "./config-values.ts";
import { isLoopback } from "./management-access.ts";
import type { Membership } from "./membership.ts";

/** A key of a section, and the time that it says. */
type Time = readonly [key: string, ms: number];

/** Sections that one consensus reads, and no other. */
const ENGINES = { raft: "internal", etcd: "etcd", consul: "consul", kubernetes: "kubernetes" } as const;

/** Adds the faults that lie between options to those of the reader. lines: line of each section's header. */
export function checkElection(
  { raft, etcd, consul, kubernetes }: SuiteConfig,
  reader: ConfigReader,
  lines: ReadonlyMap<string, number>,
): void {
  const { heartbeatMs, leaseMs, electionMinMs, electionMaxMs } = raft;
  const silences = ["election-timeout-min", "election-timeout-max"] as const;
  checkPart("raft", ["heartbeat", heartbeatMs], ["lease", leaseMs], 2, reader);
  checkPart("raft", [silences[0], electionMinMs], [silences[1], electionMaxMs], 1, reader);
  if (leaseMs >= electionMinMs) {
    const [lease, silence] = [leaseMs, electionMinMs].map(printDuration);
    faultIn("raft", reader, {
      lease: `is not shorter than ${silences[0]} (${silence}), so that two could write; lower it`,
      [silences[0]]: `is not longer than lease (${lease}), so that two could write; raise it`,
    });
  }
  const wait = "request-timeout";
  checkPart("etcd", [wait, etcd.requestTimeoutMs], ["ttl", etcd.ttlMs], 2, reader);
  checkPart("consul", [wait, consul.requestTimeoutMs], ["session-ttl", consul.sessionTtlMs], 2, reader);
  const lease: Time = ["lease-duration", kubernetes.leaseDurationMs];
  checkPart("kubernetes", [wait, kubernetes.requestTimeoutMs], lease, 2, reader);
  checkEtcd(etcd, reader, lines);
}

/** Warns of what works and is probably not meant. membership: undefined for a node that is alone. */
export function warnOfElection(
  config: SuiteConfig,
  reader: ConfigReader,
  membership: Membership | undefined,
): void {
  const { consensus, mode } = config.cluster;
  for (const [section, engine] of Object.entries(ENGINES)) {
    const values = new Map<string, unknown>(Object.entries(config[section as keyof typeof ENGINES]));
    // What is written as it is by default, as in a printed configuration, is meant to do nothing.
    const isSaid = [...SECTIONS.get(section)!].some(([key, option]) => {
      return (
        reader.isSet(`${section}.${key}`) &&
        printValue(option, values.get(option.property)) !== defaultOf(option)
      );
    });
    if (isSaid && mode === "agent") reader.warn(`[${section}] does nothing: an agent takes no part`);
    else if (isSaid && engine !== consensus) {
      reader.warn(`[${section}] does nothing: cluster.consensus is ${consensus}, not ${engine}`);
    }
  }
  if (consensus === "etcd") warnOfPlain(config.etcd.endpoints, config.etcd.password, "etcd.password", reader);
  if (consensus === "consul") {
    warnOfPlain(config.consul.endpoints, config.consul.token, "consul.token", reader);
  }
  if (membership === undefined || mode === "agent" || consensus === "none") return;
  const data = membership.members.filter(({ isWitness }) => !isWitness).length;
  const hasWitness = data < membership.members.length;
  if (data === 2 && !hasWitness && !config.cluster.allowsSplitFlush) {
    reader.warn(
      "the cluster has two members, and while one of them is away nothing is written; add a witness, or " +
        "write cluster.allow-split-flush = yes",
    );
  }
  if (data % 2 === 1 && hasWitness) {
    reader.warn(`cluster.witness makes ${data} members an even number, which bears no more failures`);
  }
}

function printValue(option: Option, value: unknown): string {
  const items = listRule(option) === undefined ? [value] : (value as readonly unknown[]);
  return items.map((item) => option.type.print(item)).join(" ");
}

/** A secret that goes over the network in the clear. path: of its key. */
function warnOfPlain(endpoints: readonly string[], secret: string, path: string, reader: ConfigReader): void {
  const plain = endpoints.find((url) => url.startsWith("http:") && !isLoopback(new URL(url).hostname));
  if (secret !== "" && plain !== undefined) reader.warn(`${path} is sent to ${plain} in the clear`);
}

/** A fault of a secret: at the line of its section, since the fault of a key shows what it is set to. */
export function faultOfSecret(
  section: string,
  key: string,
  what: string,
  lines: ReadonlyMap<string, number>,
): ConfigFault {
  const line = lines.get(section);
  const fault = { what: `[${section}]: ${key} ${what}` };
  return line === undefined ? fault : { ...fault, place: { line } };
}

/** Reports what is wrong with the first of these keys of a section that was set. */
export function faultIn(
  section: string,
  reader: ConfigReader,
  faults: Readonly<Record<string, string>>,
): void {
  reader.faultBetween(new Map(Object.entries(faults).map(([key, what]) => [`${section}.${key}`, what])));
}

/** Reports a time that fits less than `parts` times into another. */
function checkPart(
  section: string,
  [lesser, lesserMs]: Time,
  [greater, greaterMs]: Time,
  parts: 1 | 2,
  reader: ConfigReader,
): void {
  if (lesserMs * parts <= greaterMs) return;
  const share = parts === 1 ? "" : "half of ";
  const most = printDuration(Math.floor(greaterMs / parts));
  const least = printDuration(lesserMs * parts);
  faultIn(section, reader, {
    [lesser]: `is more than ${share}${greater} (${printDuration(greaterMs)}); choose at most ${most}`,
    [greater]: `is too little for ${lesser} (${printDuration(lesserMs)}); choose at least ${least}`,
  });
}

function checkEtcd(
  { username, password, tlsCert, tlsKey }: SuiteConfig["etcd"],
  reader: ConfigReader,
  lines: ReadonlyMap<string, number>,
): void {
  if (username === "" && password !== "") {
    reader.faults.push(
      faultOfSecret("etcd", "password", "needs username beside it; name both or none", lines),
    );
  } else if (username !== "" && password === "") {
    faultIn("etcd", reader, { username: "needs password beside it; name both or none" });
  }
  if ((tlsCert === "") !== (tlsKey === "")) {
    const [given, missing] = tlsCert === "" ? ["tls-key", "tls-cert"] : ["tls-cert", "tls-key"];
    faultIn("etcd", reader, { [given]: `needs ${missing} beside it; name both or none` });
  }
}
