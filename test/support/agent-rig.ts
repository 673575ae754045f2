/** Members and agents of a cluster in one process, with real sockets and disks; their sinks are lists. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Delta, deltaOf } from "../../cluster/delta.ts";
import { RunningAgent } from "../../cluster/running/agent.ts";
import { RunningMember } from "../../cluster/running/member.ts";
import { type MemberSettings, memberSettings, nodeId } from "../../cluster/running/member-settings.ts";
import { parseConfig } from "../../shared/config.ts";
import { newFrame } from "../../shared/wire.ts";
import { freePorts } from "./cluster-processes.ts";
import { nameOf, RecordingWriter } from "./cluster-rig.ts";
import { EventLog } from "./event-log.ts";

const INTERVAL_MS = 1000;
const TOKEN = "0123456789abcdef0123456789abcdef";

export interface RigMember {
  readonly member: RunningMember;
  readonly writer: RecordingWriter;
}

export class AgentRig {
  readonly folder = mkdtempSync(join(tmpdir(), "agent-rig-"));
  readonly #ports: ReadonlyMap<string, number>;
  readonly members = new Map<string, RigMember>();
  /** Of all members that there were. */
  readonly #writers: RecordingWriter[] = [];
  readonly #agents: RunningAgent[] = [];
  #sequence = 0;
  /** Names of all deltas that were added, as a writer has them. */
  readonly added: string[] = [];

  private constructor(ports: ReadonlyMap<string, number>) {
    this.#ports = ports;
  }

  /** No member runs yet. The test's end closes all. */
  static async open(t: TestContext, names: readonly string[] = ["n1", "n2", "n3"]): Promise<AgentRig> {
    const ports = await freePorts(names.length);
    const rig = new AgentRig(new Map(names.map((name, index) => [name, ports[index]!])));
    t.after(async () => {
      for (const agent of rig.#agents) await agent.close();
      for (const name of [...rig.members.keys()]) await rig.kill(name);
      rmSync(rig.folder, { recursive: true, force: true });
    });
    return rig;
  }

  settings(name: string, keys = ""): MemberSettings {
    const peers = [...this.#ports].map(([peer, port]) => `peers[] = ${peer}@127.0.0.1:${port}`);
    const text = [
      `[aggregator]\ninterval = ${INTERVAL_MS}ms\nsinks[] = carbon`,
      `state-dir = ${join(this.folder, name)}`,
      `[cluster]\nnode = ${name}\nlisten = 127.0.0.1:${this.#ports.get(name) ?? 1}`,
      ...peers,
      `token = ${TOKEN}\nsettle = 900ms\nsnapshot-interval = 100ms`,
      keys,
    ];
    return memberSettings(parseConfig(text.join("\n"), "rig.ini"), {});
  }

  async start(name: string): Promise<void> {
    const writer = new RecordingWriter();
    const log = new EventLog();
    const onTick = (): void => {
      const member = this.members.get(name)?.member;
      member?.closeBelow(Math.floor(member.clusterNowMs() / INTERVAL_MS));
    };
    const member = await RunningMember.open(this.settings(name), { writer, log: log.log, onTick });
    this.members.set(name, { member, writer });
    this.#writers.push(writer);
    member.begin();
  }

  async startAll(): Promise<void> {
    for (const name of this.#ports.keys()) await this.start(name);
  }

  /** Ends a member without a word to its agents; its disk stays. */
  async kill(name: string): Promise<void> {
    const { member } = this.members.get(name)!;
    this.members.delete(name);
    await member.close();
  }

  async openAgent(keys = "", log = new EventLog()): Promise<RunningAgent> {
    const settings = this.settings("agent", `mode = agent\n${keys}`);
    const agent = await RunningAgent.open(settings, { log: log.log, onTick() {} });
    this.#agents.push(agent);
    agent.begin();
    return agent;
  }

  /** Has an agent's intake make a delta of now, and close what is over. */
  add(agent: RunningAgent, bodyBytes = 100): Delta {
    const interval = Math.floor(agent.clusterNowMs() / INTERVAL_MS);
    const label = {
      node: nodeId("agent"),
      incarnation: agent.incarnation,
      origin: 1,
      sequence: this.#sequence++,
      interval,
      lowestOpen: interval,
      intervalMs: INTERVAL_MS,
      entries: 1,
      lines: 2,
    };
    const delta = deltaOf(newFrame(label, bodyBytes))!;
    this.added.push(nameOf(delta));
    agent.add(delta);
    agent.closeBelow(interval);
    return delta;
  }

  /** What sinks have in the end: of each interval what was written last. */
  delivered(): string[] {
    const last = new Map<number, { readonly rank: number; readonly folded: readonly string[] }>();
    for (const { written } of this.#writers) {
      for (const { order, folded } of written) {
        const rank = order.revision + order.term * 1e6;
        if (rank >= (last.get(order.interval)?.rank ?? 0)) last.set(order.interval, { rank, folded });
      }
    }
    return [...last.values()].flatMap(({ folded }) => folded);
  }

  /** Times that an interval was written anew for what had come late. */
  amendments(): number {
    return this.#writers.flatMap(({ written }) => written).filter(({ order }) => order.cause === "amend")
      .length;
  }
}
