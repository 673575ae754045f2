/** A cluster on machines of its own, with lines that come in and a carbon that notes all points. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FaultCarbon } from "./fault-carbon.ts";
import { holdsWithin, until } from "./fault-clock.ts";
import { type Balance, balance, type Excuse, secondOf } from "./fault-ledger.ts";
import { type FaultNetwork, HUB } from "./fault-network.ts";
import { FaultNode, type NodeStanding } from "./fault-node.ts";
import { FaultSource } from "./fault-source.ts";

const TOKEN = "a-token-of-a-test-that-is-long-enough-to-be-one";
const LEADER_DEADLINE_MS = 20_000;
/** How long what nothing excuses may take to arrive after the last line. */
const SETTLE_DEADLINE_MS = 25_000;

export interface RigOptions {
  /** Members that hold data. */
  readonly names?: readonly string[];
  readonly witness?: string;
  readonly intervalMs?: number;
  readonly snapshotMs?: number;
  readonly settleMs?: number;
  /** Further keys of [aggregator], [carbon] and [cluster], and sections by name. */
  readonly aggregator?: string;
  readonly carbon?: string;
  readonly cluster?: string;
  readonly sections?: Readonly<Record<string, string>>;
  /** Environment of a node's process. */
  environment?(name: string): Readonly<Record<string, string>>;
  /** Folder that logs are kept in; they go with the rig where there is none. */
  readonly logs?: string;
  /** Another build for a node. */
  build?(name: string): string;
}

export interface BalanceOptions {
  readonly excuses?: readonly Excuse[];
  /** Lines that a node could read only later. */
  readonly delays?: readonly Excuse[];
  /** Default 150 ms: lines wait in the node's socket until it reads them. */
  readonly edgeMs?: number;
}

export class FaultRig {
  readonly network: FaultNetwork;
  readonly carbon = new FaultCarbon(HUB, 2003);
  readonly source: FaultSource;
  readonly folder = mkdtempSync(join(tmpdir(), "faults-"));
  readonly names: readonly string[];
  readonly intervalMs: number;
  readonly settleMs: number;
  readonly #options: RigOptions;
  readonly #nodes = new Map<string, FaultNode>();

  private constructor(network: FaultNetwork, options: RigOptions) {
    this.network = network;
    this.#options = options;
    this.names = options.names ?? ["a", "b", "c"];
    this.intervalMs = options.intervalMs ?? 2000;
    this.settleMs = options.settleMs ?? 1000;
    this.source = new FaultSource((name) => network.addressOf(name));
  }

  /** A rig with all its nodes started and one of them leading; closed again when that fails. */
  static async open(network: FaultNetwork, options: RigOptions = {}): Promise<FaultRig> {
    const rig = await FaultRig.prepare(network, options);
    try {
      const { witness } = options;
      await Promise.all(
        [...rig.names, ...(witness === undefined ? [] : [witness])].map((one) => rig.start(one)),
      );
      await rig.leader();
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  /** A rig of which no node is started yet. */
  static async prepare(network: FaultNetwork, options: RigOptions = {}): Promise<FaultRig> {
    const rig = new FaultRig(network, options);
    await rig.carbon.start();
    return rig;
  }

  /** Folder of a node's state, which outlives its process. */
  stateDir(name: string): string {
    return join(this.folder, `state-${name}`);
  }

  /**
   * Starts a node; resolves when its sockets are open. more: keys of [cluster] in the place of those of the
   * rig.
   */
  async start(name: string, more: Partial<RigOptions> = {}): Promise<FaultNode> {
    return this.launch(name, more).started();
  }

  /** Starts a node without waiting for it. */
  launch(name: string, more: Partial<RigOptions> = {}): FaultNode {
    const options = { ...this.#options, ...more };
    const configPath = join(this.folder, `${name}.ini`);
    const management = `${this.network.addressOf(name)}:8137`;
    mkdirSync(this.stateDir(name), { recursive: true });
    writeFileSync(configPath, this.#configOf(name, management, options));
    const logs = options.logs ?? this.folder;
    mkdirSync(logs, { recursive: true });
    const node = new FaultNode({
      name,
      prefix: this.network.prefixOf(name),
      configPath,
      management,
      token: TOKEN,
      environment: options.environment?.(name) ?? {},
      build: options.build?.(name) ?? "",
      logPath: join(logs, `${name}.log`),
    });
    this.#nodes.set(name, node);
    return node;
  }

  #configOf(name: string, management: string, options: RigOptions): string {
    const intervalMs = options.intervalMs ?? this.intervalMs;
    const peers = this.names.map((peer) => `peers[] = ${peer}@${this.network.peerAddressOf(peer)}:8136`);
    const { witness } = this.#options;
    const isWitness = name === witness;
    if (witness !== undefined && !isWitness) {
      peers.push(`witness = ${witness}@${this.network.peerAddressOf(witness)}:8136`);
    }
    const sections: Record<string, string> = {
      log: `level = info\nformat = json`,
      aggregator: keys([
        `listen[] = udp://${this.network.addressOf(name)}:8125`,
        `interval = ${intervalMs}ms`,
        `management = ${management}`,
        `management-token = ${TOKEN}`,
        `state-dir = ${this.stateDir(name)}`,
        "stats-interval = 0",
        "drain-timeout = 8s",
        options.aggregator ?? "sinks[] = carbon",
      ]),
      carbon: keys([
        `address[] = ${this.carbon.address}`,
        "connect-timeout = 1s\nwrite-timeout = 2s\nack-timeout = 2s",
        "retry-delay = 50ms\nretry-delay-max = 500ms",
        options.carbon ?? "",
      ]),
      cluster: keys([
        `node = ${name}\nmode = ${isWitness ? "witness" : "member"}`,
        `listen = ${this.network.peerAddressOf(name)}:8136`,
        ...peers,
        `token = ${TOKEN}`,
        `snapshot-interval = ${options.snapshotMs ?? 200}ms`,
        `settle = ${this.settleMs}ms`,
        "connect-timeout = 1s",
        options.cluster ?? "",
      ]),
      ...options.sections,
    };
    return Object.entries(sections)
      .map(([section, text]) => `[${section}]\n${text}\n`)
      .join("\n");
  }

  /** A node that was started; the newest of its name. */
  node(name: string): FaultNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`${name} was not started`);
    return node;
  }

  /** Names of nodes that run. */
  get running(): string[] {
    return [...this.#nodes].filter(([, node]) => !node.hasExited).map(([name]) => name);
  }

  /** Name of the node that leads and that all others that run follow, once there is one. */
  async leader(): Promise<string> {
    const among = this.running.filter((name) => this.names.includes(name));
    let leader = "";
    await until(`a leader of ${among.join(", ")}`, LEADER_DEADLINE_MS, async () => {
      const standings = await Promise.all(among.map((name) => this.node(name).standing()));
      const leads = (one: NodeStanding | undefined) => one?.role === "leader" && one.leaseMs !== 0;
      const found = among.filter((_, index) => leads(standings[index]));
      if (found.length !== 1) return false;
      leader = found[0]!;
      return standings.every((one) => one?.leader === leader);
    });
    return leader;
  }

  /** Waits until a node has the state and is connected to all that run, both ways. */
  async untilReady(name: string): Promise<void> {
    const others = this.running.filter((one) => one !== name);
    await until(`${name} to be one of the members`, LEADER_DEADLINE_MS, async () => {
      const standing = await this.node(name).standing();
      if (standing === undefined || !standing.isEligible || standing.leader === null) return false;
      return others.every((other) =>
        standing.members.some((one) => one.node === other && one.isOutgoingUp && one.isIncomingUp),
      );
    });
  }

  /** Ends a node as it stands, and with the same moment what is sent to it. Returns that moment. */
  async kill(name: string): Promise<number> {
    this.source.end(name);
    const node = this.node(name);
    const ended = node.kill();
    const atMs = Date.now();
    await ended;
    return atMs;
  }

  /** Starts a node that was ended, waits for it, and sends to it again. */
  async revive(name: string, more: Partial<RigOptions> = {}): Promise<void> {
    await this.start(name, more);
    if (name !== this.#options.witness) await this.source.begin(name);
    if (name !== this.#options.witness) await this.untilReady(name);
    else for (const one of this.names) await this.untilReady(one);
  }

  /** Ends the lines, waits until all has arrived that nothing excuses, and says what carbon has. */
  async balance(options: BalanceOptions = {}): Promise<Balance> {
    this.source.end(...this.source.active);
    let found = this.look(options);
    await holdsWithin(
      SETTLE_DEADLINE_MS,
      () => {
        found = this.look(options);
        return (
          found.unexcused === 0 &&
          found.torn.length === 0 &&
          !found.lags.has(Number.POSITIVE_INFINITY) &&
          this.#isOver()
        );
      },
      200,
    );
    return found;
  }

  /** What carbon has now. */
  look(options: BalanceOptions = {}): Balance {
    const { excuses = [], delays = [], edgeMs = 150 } = options;
    return balance({
      items: this.source.items,
      writes: this.carbon.writes,
      intervalMs: this.intervalMs,
      lateAfterMs: this.settleMs + 1000,
      edgeMs,
      excuses,
      delays,
    });
  }

  /** Whether the last interval that lines came in is past its time of amendments. */
  #isOver(): boolean {
    const last = this.source.items.at(-1);
    if (last === undefined) return true;
    return Date.now() > secondOf(last.atMs, this.intervalMs) * 1000 + this.settleMs + 1000;
  }

  /** Sum of a metric's samples over the nodes that answer. */
  async sum(family: string, ...labels: readonly string[]): Promise<number> {
    const all = await Promise.all(this.running.map((name) => this.node(name).metrics()));
    return all.reduce((sum, metrics) => sum + (metrics?.sum(family, ...labels) ?? 0), 0);
  }

  #carbonText(): string {
    const rows = this.carbon.writes.map((one) =>
      [one.atMs, one.from, one.name, one.value, one.second].join("\t"),
    );
    return `${rows.join("\n")}\n`;
  }

  /** Ends all of it. With a folder for logs, what carbon took is noted there as well. */
  async close(): Promise<void> {
    this.source.close();
    const { logs } = this.#options;
    if (logs !== undefined) writeFileSync(join(logs, "carbon.tsv"), this.#carbonText());
    for (const name of this.running) this.node(name).resume();
    await Promise.all(this.running.map((name) => this.node(name).kill()));
    await this.carbon.stop();
    for (const name of this.#nodes.keys()) await this.network.heal(name);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function keys(lines: readonly string[]): string {
  return lines.filter((line) => line !== "").join("\n");
}
