/** A cluster of real processes on loopback, all of which write to one carbon. */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterStatus } from "../../aggregator/page/cluster-status.ts";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams, startAggregator, type TestDaemon } from "./daemons.ts";
import { FakeCarbon } from "./fake-carbon.ts";
import { waitFor } from "./wait-for.ts";

export const CLUSTER_INTERVAL_MS = 1000;
const TOKEN = "a-token-of-a-test-that-is-long-enough-to-be-one";

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

/** Lines of INI, in which keys of a later text take the place of those of an earlier one. */
export function mergeKeys(...texts: readonly string[]): string {
  const merged = new Map<string, string[]>();
  for (const text of texts) {
    const own = new Map<string, string[]>();
    for (const line of text.split("\n").filter((each) => each !== "")) {
      const key = line.split(" =")[0]!;
      own.set(key, key.endsWith("[]") ? [...(own.get(key) ?? []), line] : [line]);
    }
    for (const [key, lines] of own) merged.set(key, lines);
  }
  return [...merged.values()].flat().join("\n");
}

/** What a node has otherwise than all of them: keys of sections, which replace those of the same name. */
export interface MemberChanges {
  readonly cluster?: string;
  readonly aggregator?: string;
  readonly carbon?: string;
  /** Further sections, by name. */
  readonly sections?: Readonly<Record<string, string>>;
}

/** The page /status, as far as tests read it. */
export interface NodeStatus extends Readonly<Record<string, unknown>> {
  readonly "leader-status": boolean;
  readonly alarms: readonly string[];
  readonly cluster: ClusterStatus;
}

export interface ClusterProcessesOptions {
  readonly names: readonly string[];
  /** Further names that have a port, and stand in no list before a test writes them into one. */
  readonly spare?: readonly string[];
  /** Name of a member that only votes, which the test starts itself. */
  readonly witness?: string;
  /** Further keys of [cluster], and of sections by name. */
  readonly cluster?: string;
  readonly aggregator?: string;
  readonly sections?: Readonly<Record<string, string>>;
}

/** Datagrams of `count` lines `METRIC:1|c`, at most ten in each. */
export function hits(metric: string, count: number): string[] {
  const datagrams: string[] = [];
  for (let left = count; left > 0; left -= 10) {
    datagrams.push(`${metric}:1|c\n`.repeat(Math.min(left, 10)));
  }
  return datagrams;
}

export class ClusterProcesses {
  readonly carbon: FakeCarbon;
  readonly folder = mkdtempSync(join(tmpdir(), "cluster-"));
  readonly #options: ClusterProcessesOptions;
  readonly #peerPorts: ReadonlyMap<string, number>;
  readonly #nodes = new Map<string, TestDaemon & { readonly configPath: string }>();
  /** Lines sent so far, by name. */
  readonly sent = new Map<string, number>();

  private constructor(
    options: ClusterProcessesOptions,
    carbon: FakeCarbon,
    ports: ReadonlyMap<string, number>,
  ) {
    this.#options = options;
    this.carbon = carbon;
    this.#peerPorts = ports;
  }

  /** Makes ready; no node is started. */
  static async open(options: ClusterProcessesOptions): Promise<ClusterProcesses> {
    const { names, witness, spare = [] } = options;
    const all = [...names, ...(witness === undefined ? [] : [witness]), ...spare];
    const ports = await freePorts(all.length);
    return new ClusterProcesses(
      options,
      await FakeCarbon.start(),
      new Map(all.map((name, index) => [name, ports[index]!])),
    );
  }

  /** Section [cluster] of a node. more: keys that replace those of the same name. */
  clusterKeys(name: string, more = ""): string {
    const { names, witness, cluster = "" } = this.#options;
    return mergeKeys(
      `node = ${name}\nlisten = 127.0.0.1:${this.#peerPorts.get(name)}`,
      names.map((peer) => this.peerKey(peer)).join("\n"),
      witness === undefined ? "" : `witness = ${this.placeOf(witness)}`,
      `token = ${TOKEN}\nsnapshot-interval = 100ms\nsettle = 500ms`,
      cluster,
      more,
    );
  }

  /** NAME@HOST:PORT of a node. */
  placeOf(name: string): string {
    return `${name}@127.0.0.1:${this.#peerPorts.get(name)}`;
  }

  /** Line of [cluster] that names a node as a member. */
  peerKey(name: string): string {
    return `peers[] = ${this.placeOf(name)}`;
  }

  /** Folder of a node's state, which outlives its process. */
  stateDir(name: string): string {
    return join(this.folder, `state-${name}`);
  }

  /** Starts a node. changes: keys of [cluster] as a text, or of several sections. */
  async start(name: string, changes: string | MemberChanges = {}): Promise<TestDaemon> {
    const { cluster, aggregator, carbon, sections } =
      typeof changes === "string" ? ({ cluster: changes } as MemberChanges) : changes;
    const node = await startAggregator(await chooseIo("auto"), {
      carbon: mergeKeys(
        `address[] = 127.0.0.1:${this.carbon.port}\nretry-delay = 20ms\nretry-delay-max = 200ms`,
        carbon ?? "",
      ),
      ...this.#options.sections,
      ...sections,
      aggregator: mergeKeys(
        `interval = ${CLUSTER_INTERVAL_MS}ms\nsinks[] = carbon\nstate-dir = ${this.stateDir(name)}`,
        this.#options.aggregator ?? "",
        aggregator ?? "",
      ),
      cluster: this.clusterKeys(name, cluster),
    });
    this.#nodes.set(name, node);
    return node;
  }

  /** Has a node read its file again with another text. Resolves to the paths of what applies now. */
  async reload(name: string, change: (text: string) => string): Promise<string[]> {
    const node = this.#nodes.get(name)!;
    const reloads = () => node.events("config.reloaded");
    const before = reloads().length;
    const text = readFileSync(node.configPath, "utf8");
    const changed = change(text);
    if (changed === text) throw new Error(`nothing is changed in the file of ${name}`);
    writeFileSync(node.configPath, changed);
    node.signal("SIGHUP");
    await waitFor(`${name} to reload`, () => reloads().length > before);
    const changes = reloads().at(-1)!.changed as { path: string; applies: string }[];
    return changes.flatMap(({ path, applies }) => (applies === "now" ? path : [])).sort();
  }

  /** What a node says of itself. */
  async status(name: string): Promise<NodeStatus> {
    return (await (await this.node(name).get("/status")).json()) as NodeStatus;
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#options.names.map((name) => this.start(name)));
  }

  /** Says whether a node leads, where people choose. */
  async command(name: string, action: string, leader: "enable" | "disable" | "unchanged"): Promise<void> {
    const response = await fetch(`http://${this.node(name).management}/consensus`, {
      method: "POST",
      body: JSON.stringify({ "consensus-command": [action, leader] }),
    });
    if (response.status !== 200) throw new Error(`${name} refuses: ${await response.text()}`);
  }

  node(name: string): TestDaemon {
    return this.#nodes.get(name)!;
  }

  get names(): string[] {
    return [...this.#nodes.keys()];
  }

  /** Name of the node that leads, once there is one. */
  async leader(): Promise<string> {
    let leader: string | undefined;
    await waitFor("a leader", async () => {
      for (const name of this.#nodes.keys()) {
        if ((await this.status(name))["leader-status"]) leader = name;
      }
      return leader !== undefined;
    });
    return leader!;
  }

  /** Sends `count` lines `NAME:1|c` to a node, in datagrams of at most ten. */
  async send(node: string, metric: string, count: number): Promise<void> {
    await sendDatagrams(this.node(node).ports[0]!, hits(metric, count));
    this.sent.set(metric, (this.sent.get(metric) ?? 0) + count);
  }

  /** Ends a node as it stands. */
  async kill(name: string): Promise<void> {
    const node = this.node(name);
    this.#nodes.delete(name);
    await node.kill();
  }

  /** Ends a node in good order; returns its exit code. */
  async stop(name: string): Promise<number | null> {
    const node = this.node(name);
    this.#nodes.delete(name);
    return (await node.stop()).code;
  }

  /** What carbon has in the end, by `name second`: the last of the values that it took. */
  points(): Map<string, number> {
    const points = new Map<string, number>();
    for (const line of this.carbon.lines()) {
      const [name, value, second] = line.split(" ");
      points.set(`${name} ${second}`, Number(value));
    }
    return points;
  }

  /** Sum of a metric over all intervals, as carbon has it. */
  sum(metric: string): number {
    let sum = 0;
    for (const [key, value] of this.points()) if (key.startsWith(`${metric} `)) sum += value;
    return sum;
  }

  /** Waits until carbon has of each metric what was sent. */
  async untilComplete(): Promise<void> {
    await waitFor("everything at carbon", () =>
      [...this.sent].every(([metric, count]) => this.sum(metric) === count),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.kill()));
    await this.carbon.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
