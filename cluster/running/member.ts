/**
 * A member as it runs: the protocol with sockets, files and timers around it.
 *
 *   PeerHub (sockets) <--> ClusterNode (protocol) <--> StateFolder (disk), Election, Writer
 */
import { type Clock, machineMs, systemClock } from "../../shared/clock.ts";
import { systemRandom } from "../../shared/random.ts";
import { FRAME_VERSION } from "../../shared/wire.ts";
import type { Delta } from "../delta.ts";
import { openMemoryState } from "../disk/memory-state.ts";
import type { NodeState } from "../disk/node-state.ts";
import { openStateFolder } from "../disk/state-folder.ts";
import type { Election } from "../election/election.ts";
import { RaftElection } from "../election/raft.ts";
import { StaticElection } from "../election/static.ts";
import { ClusterNode } from "../node.ts";
import { TIMES } from "../options.ts";
import { type Hello, PROTOCOL_VERSION } from "../transport/hello.ts";
import { PeerHub } from "../transport/peer-hub.ts";
import type { World, WorldLog, Writer } from "../world.ts";
import { AgentDoor } from "./agent-door.ts";
import type { ClusterCommand, CommandOutcome } from "./member-command.ts";
import { openElection } from "./member-election.ts";
import { isSplitAllowed, type MemberSettings, membersOf } from "./member-settings.ts";

export interface MemberContext {
  readonly writer: Writer;
  readonly log: WorldLog;
  /** Called behind each tick. */
  readonly onTick: () => void;
}

/** The machine's clock for those who want a Clock. */
const clock: Clock = { ...systemClock, monotonicMs: machineMs };

/** The two clocks part by so much when one of them was set, or the machine slept. */
const SUSPENDED_MS = 200;

export class RunningMember {
  readonly node: ClusterNode;
  readonly hub: PeerHub;
  /** Agents come in here. */
  readonly door: AgentDoor;
  readonly #election: Election;
  readonly #state: NodeState;
  readonly #context: MemberContext;
  readonly #startedMs = machineMs();
  /** Wall clock minus monotonic clock, as of the last look. */
  #apartMs = Date.now() - machineMs();
  #settings: MemberSettings;
  #timer: NodeJS.Timeout | undefined;
  #isEnabled = true;
  #isWaiting: boolean;

  private constructor(
    settings: MemberSettings,
    context: MemberContext,
    parts: {
      readonly state: NodeState;
      readonly hub: PeerHub;
      readonly election: Election;
      readonly node: ClusterNode;
      readonly door: AgentDoor;
    },
  ) {
    this.#settings = settings;
    this.#context = context;
    this.#state = parts.state;
    this.hub = parts.hub;
    this.#election = parts.election;
    this.node = parts.node;
    this.door = parts.door;
    this.#isWaiting = settings.startDelayMs > 0;
  }

  /** Opens the state, then the port. Throws OperatorError where one cannot be had, with nothing left open. */
  static async open(settings: MemberSettings, context: MemberContext): Promise<RunningMember> {
    const { stateDir, times } = settings;
    const { log } = context;
    const state =
      stateDir === "" ? openMemoryState() : await openStateFolder(stateDir, log, times.intervalMs);
    try {
      return await RunningMember.#assemble(settings, context, state);
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  static async #assemble(
    settings: MemberSettings,
    context: MemberContext,
    state: NodeState,
  ): Promise<RunningMember> {
    const { name, times, role } = settings;
    const members = membersOf(settings);
    const incarnation = state.incarnation.toString();
    let node: ClusterNode | undefined;
    let door: AgentDoor | undefined;
    const hub = new PeerHub(
      {
        name,
        listen: settings.listen,
        peers: settings.peers,
        hello: helloOf(settings, incarnation),
        access: accessOf(settings),
        backlogBytesMax: times.backlogBytesMax,
        connectTimeoutMs: settings.connectTimeoutMs,
        isDeflating: settings.compressesSnapshots,
        clock,
        random: systemRandom,
        log: context.log,
      },
      {
        onMessage: (from, message) => node?.receive(from, message),
        onConnected: (peer) => node?.peerConnected(peer),
        onLost: (peer) => node?.peerLost(peer),
        onAgentMessage: (agent, message, reply) => door?.receive(agent, message, reply),
        onAgentLost: (agent) => door?.lost(agent),
      },
    );
    const world: World = {
      clock: { monotonicMs: machineMs, wallMs: () => Date.now() },
      random: systemRandom,
      net: hub,
      disk: state,
      writer: context.writer,
      log: context.log,
    };
    const election = openElection(settings, world, state.saved.vote);
    const quorum = settings.consensus === "none" || isSplitAllowed(settings) ? "one" : "majority";
    node = new ClusterNode({ name, members, incarnation, ...times, quorum }, world, election, state.saved);
    door = new AgentDoor(node, { incarnation, settleMs: times.settleMs, nowMs: machineMs });
    await hub.open();
    context.log.info("cluster.open", { node: name, role, peers: settings.peers.map((peer) => peer.name) });
    return new RunningMember(settings, context, { state, hub, election, node, door });
  }

  get incarnation(): bigint {
    return this.#state.incarnation;
  }

  /** Takes part from now on. */
  begin(): void {
    this.node.setEnabled(this.#isEnabled && !this.#isWaiting);
    this.node.start();
    // A witness holds nothing.
    if (this.#settings.role === "member") this.door.open();
    this.#timer = setInterval(() => this.#tick(), TIMES.tickMs);
  }

  /** A machine that slept has a monotonic clock that did not go on: leases were over meanwhile. */
  #watchClocks(): void {
    const apartMs = Date.now() - machineMs();
    const election = this.#election;
    if (Math.abs(apartMs - this.#apartMs) > SUSPENDED_MS && election instanceof RaftElection) {
      election.distrustLease(machineMs());
    }
    this.#apartMs = apartMs;
  }

  #tick(): void {
    this.#watchClocks();
    if (this.#isWaiting && machineMs() - this.#startedMs >= this.#settings.startDelayMs) {
      this.#isWaiting = false;
      this.node.setEnabled(this.#isEnabled);
    }
    this.node.tick();
    this.door.tick();
    this.#context.onTick();
  }

  /** A delta of this node's own intakes. */
  add(delta: Delta): void {
    this.node.add(delta);
  }

  /** This node's intakes have closed all intervals below; its agents are waited for, for a while. */
  closeBelow(interval: number): void {
    this.door.closeBelow(interval);
  }

  /** After the last delta: see ClusterNode. Agents go to other members. */
  leave(): void {
    this.door.leave();
    this.node.leave();
  }

  /** See ClusterNode. */
  get isDrained(): boolean {
    return this.node.isDrained;
  }
  get hasClock(): boolean {
    return this.node.hasClock;
  }
  clusterNowMs(): number {
    return this.node.clusterNowMs();
  }

  /** Does what people say. */
  command(command: ClusterCommand): CommandOutcome {
    const { action } = command;
    if (action === "enable" || action === "pause" || action === "disable") {
      this.#isEnabled = action === "enable";
      this.node.setEnabled(this.#isEnabled && !this.#isWaiting);
      return {
        ok: true,
        message: `the consensus is ${this.#isEnabled ? "enabled" : `${action}d`} on this node`,
      };
    }
    if (action === "transfer") {
      if (this.node.view().role !== "leader") return { ok: false, message: "this node does not lead" };
      const isGiven = this.node.transfer(command.to);
      const whom = command.to ?? "another member";
      return isGiven
        ? { ok: true, message: `leadership goes to ${whom}` }
        : { ok: false, message: `${whom} cannot lead now` };
    }
    return this.#setLeader(action === "lead");
  }

  #setLeader(isLeader: boolean): CommandOutcome {
    const election = this.#election;
    if (election instanceof StaticElection) {
      election.setLeader(isLeader);
      return { ok: true, message: isLeader ? "this node leads" : "this node does not lead" };
    }
    if (!isLeader) {
      if (this.node.view().role !== "leader") return { ok: true, message: "this node does not lead" };
      return this.command({ action: "transfer", to: undefined });
    }
    if (!this.#isEnabled) return { ok: false, message: "the consensus is not enabled on this node" };
    return {
      ok: false,
      message: "members choose their leader; ask the one that leads to transfer to this node",
    };
  }

  /** Goes over to other peers and times. */
  configure(settings: MemberSettings): void {
    this.#settings = settings;
    this.hub.setPeers(settings.peers, helloOf(settings, this.incarnation.toString()));
    this.node.setMembers(membersOf(settings));
    this.node.reloadTimes(settings.times);
    this.door.settleMs = settings.times.settleMs;
  }

  /** Lets go of everything. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#election.stop();
    await this.hub.close();
    await this.#state.close();
  }
}

/** What a node says of itself. */
export function helloOf(settings: MemberSettings, incarnation: string): Hello {
  return {
    version: PROTOCOL_VERSION,
    node: settings.name,
    incarnation,
    role: settings.role,
    members: settings.role === "agent" ? [] : membersOf(settings).map(({ name }) => name),
    settings: { ...settings.equal, "snapshot format": String(FRAME_VERSION) },
  };
}

/** How it proves that. */
export function accessOf({ access: { token, tls } }: MemberSettings) {
  return { ...(token !== undefined && { token }), ...(tls !== undefined && { tls }) };
}
