/** A cluster of real processes on loopback, all of which write to one carbon. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

export interface ClusterProcessesOptions {
  readonly names: readonly string[];
  /** Name of a member that only votes, which the test starts itself. */
  readonly witness?: string;
  /** Further keys of [cluster], and of sections by name. */
  readonly cluster?: string;
  readonly aggregator?: string;
  readonly sections?: Readonly<Record<string, string>>;
}

export class ClusterProcesses {
  readonly carbon: FakeCarbon;
  readonly folder = mkdtempSync(join(tmpdir(), "cluster-"));
  readonly #options: ClusterProcessesOptions;
  readonly #peerPorts: ReadonlyMap<string, number>;
  readonly #nodes = new Map<string, TestDaemon>();
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
    const { names, witness } = options;
    const all = witness === undefined ? names : [...names, witness];
    const ports = await freePorts(all.length);
    return new ClusterProcesses(
      options,
      await FakeCarbon.start(),
      new Map(all.map((name, index) => [name, ports[index]!])),
    );
  }

  /** Section [cluster] of a node. */
  clusterKeys(name: string, more = ""): string {
    const { witness, cluster = "" } = this.#options;
    const peers = [...this.#peerPorts].filter(([peer]) => peer !== witness);
    return [
      `node = ${name}`,
      `listen = 127.0.0.1:${this.#peerPorts.get(name)}`,
      ...peers.map(([peer, port]) => `peers[] = ${peer}@127.0.0.1:${port}`),
      ...(witness === undefined ? [] : [`witness = ${witness}@127.0.0.1:${this.#peerPorts.get(witness)}`]),
      `token = ${TOKEN}`,
      "snapshot-interval = 100ms\nsettle = 500ms",
      cluster,
      more,
    ].join("\n");
  }

  /** Folder of a node's state, which outlives its process. */
  stateDir(name: string): string {
    return join(this.folder, `state-${name}`);
  }

  /** Starts a node. more: keys of [cluster]. */
  async start(name: string, more = ""): Promise<TestDaemon> {
    const node = await startAggregator(await chooseIo("auto"), {
      aggregator: [
        `interval = ${CLUSTER_INTERVAL_MS}ms\nsinks[] = carbon\nstate-dir = ${this.stateDir(name)}`,
        this.#options.aggregator ?? "",
      ].join("\n"),
      carbon: `address[] = 127.0.0.1:${this.carbon.port}\nretry-delay = 20ms\nretry-delay-max = 200ms`,
      ...this.#options.sections,
      cluster: this.clusterKeys(name, more),
    });
    this.#nodes.set(name, node);
    return node;
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#options.names.map((name) => this.start(name)));
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
      for (const [name, node] of this.#nodes) {
        const status = (await (await node.get("/status")).json()) as Record<string, unknown>;
        if (status["leader-status"] === true) leader = name;
      }
      return leader !== undefined;
    });
    return leader!;
  }

  /** Sends `count` lines `NAME:1|c` to a node, in datagrams of at most ten. */
  async send(node: string, metric: string, count: number): Promise<void> {
    const datagrams: string[] = [];
    for (let left = count; left > 0; left -= 10) {
      datagrams.push(`${metric}:1|c\n`.repeat(Math.min(left, 10)));
    }
    await sendDatagrams(this.node(node).ports[0]!, datagrams);
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
