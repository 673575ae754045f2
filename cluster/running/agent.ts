/**
 * An agent as it runs: its part in the protocol with sockets, files and timers around it.
 *
 *   AgentLink (socket) <--> AgentNode (protocol) <--> AgentSpoolFolder (disk)
 */
import { type Clock, machineMs, systemClock } from "../../shared/clock.ts";
import { OperatorError } from "../../shared/errors.ts";
import { systemRandom } from "../../shared/random.ts";
import { AgentNode } from "../agent.ts";
import type { Delta } from "../delta.ts";
import { AgentSpoolFolder } from "../disk/agent-spool.ts";
import { openMemoryState } from "../disk/memory-state.ts";
import type { NodeState } from "../disk/node-state.ts";
import { openStateFolder } from "../disk/state-folder.ts";
import type { Message } from "../message.ts";
import { TIMES } from "../options.ts";
import { AgentLink } from "../transport/agent-link.ts";
import { checkAccess } from "../transport/peer-access.ts";
import type { LinkState } from "../transport/peer-link.ts";
import type { AgentStanding } from "../view.ts";
import type { WorldLog } from "../world.ts";
import { accessOf, helloOf } from "./member.ts";
import type { ClusterCommand, CommandOutcome } from "./member-command.ts";
import { type MemberSettings, nodeId, type PeerPlace } from "./member-settings.ts";

export interface AgentContext {
  readonly log: WorldLog;
  /** Called behind each tick. */
  readonly onTick: () => void;
}

const clock: Clock = { ...systemClock, monotonicMs: machineMs };

export class RunningAgent {
  readonly #context: AgentContext;
  readonly #state: NodeState;
  readonly #spool: AgentSpoolFolder | undefined;
  readonly #node: AgentNode;
  #settings: MemberSettings;
  /** Members in the order in which they are tried; another one after each change. */
  #places: readonly PeerPlace[];
  #link: AgentLink | undefined;
  /** Links that were left, until they are closed. */
  readonly #closing = new Set<Promise<void>>();
  /** Of former links. */
  #bytesSent = 0;
  #bytesReceived = 0;
  #reconnects = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(
    settings: MemberSettings,
    context: AgentContext,
    state: NodeState,
    spool: AgentSpoolFolder | undefined,
  ) {
    this.#settings = settings;
    this.#context = context;
    this.#state = state;
    this.#spool = spool;
    this.#places = placesOf(settings);
    this.#node = new AgentNode(
      { incarnation: state.incarnation.toString(), holdBytesMax: settings.agent.agentBytesMax },
      {
        clock: { monotonicMs: machineMs, wallMs: () => Date.now() },
        way: {
          send: (message) => this.#link?.send(message) === true,
          pendingBytes: () => this.#link?.pendingBytes ?? 0,
          goOn: (reason) => this.#goOn(reason),
        },
        spool,
        log: context.log,
      },
    );
  }

  /** Opens state and spool. Throws OperatorError where something cannot be had, with nothing left open. */
  static async open(settings: MemberSettings, context: AgentContext): Promise<RunningAgent> {
    const { stateDir, agent, name, times } = settings;
    if (placesOf(settings).length === 0) {
      throw new OperatorError("cluster.peers has no member; name those that this agent sends to");
    }
    checkAccess(accessOf(settings));
    const state = stateDir === "" ? openMemoryState() : await openStateFolder(stateDir, context.log);
    try {
      const spool =
        agent.spoolDir === ""
          ? undefined
          : await AgentSpoolFolder.open(
              agent.spoolDir,
              { bytesMax: agent.spoolBytesMax, intervalMs: times.intervalMs },
              context.log,
            );
      const peers = settings.peers.map((peer) => peer.name);
      context.log.info("cluster.open", { node: name, role: "agent", peers });
      return new RunningAgent(settings, context, state, spool);
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  /** Number of this run, in 64 bits: higher than those of earlier ones, and never the same again. */
  get incarnation(): bigint {
    return this.#state.incarnation;
  }

  /** Sends from now on. */
  begin(): void {
    this.#connect();
    this.#timer = setInterval(() => {
      this.#node.tick();
      this.#context.onTick();
    }, TIMES.tickMs);
  }

  /** A delta of this node's own intakes. */
  add(delta: Delta): void {
    this.#node.add(delta);
  }

  /** This node's intakes have closed all intervals below. */
  closeBelow(interval: number): void {
    this.#node.closeBelow(interval);
  }

  /** See AgentNode. */
  clusterNowMs(): number {
    return this.#node.clusterNowMs();
  }
  get hasClock(): boolean {
    return this.#node.hasClock;
  }

  /** Does nothing: agents neither lead nor vote. */
  command(_command: ClusterCommand): CommandOutcome {
    return { ok: false, message: "this node is an agent, which neither leads nor votes; ask a member" };
  }

  /** After the last add(); the node may stop when it is drained. */
  leave(): void {
    this.#node.leave();
  }

  /** Whether a leaving node has nothing that members do not hold safely, and that is on no disk. */
  get isDrained(): boolean {
    return this.#node.isDrained;
  }

  standing(): AgentStanding {
    return this.#node.standing();
  }

  /** The way to the members; undefined before begin(). Its counts go on over all of them. */
  linkState(): LinkState | undefined {
    const state = this.#link?.state();
    if (state === undefined) return undefined;
    const { counts } = state;
    const sentBytes = counts.sentBytes + this.#bytesSent;
    const receivedBytes = counts.receivedBytes + this.#bytesReceived;
    const reconnects = state.reconnects + this.#reconnects;
    return { ...state, reconnects, counts: { ...counts, sentBytes, receivedBytes } };
  }

  /** Goes over to other members and bounds. */
  configure(settings: MemberSettings): void {
    const before = printPlaces(this.#settings);
    this.#settings = settings;
    this.#node.setHoldBytesMax(settings.agent.agentBytesMax);
    if (placesOf(settings).length === 0 || printPlaces(settings) === before) return;
    this.#places = placesOf(settings);
    if (this.#link !== undefined) this.#reconnect("the members have changed");
  }

  /** Lets go of everything. What members do not have goes to disk; without one it is lost, and told of. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#link?.close();
    await Promise.all(this.#closing);
    this.#node.end();
    // What is being written is on disk, or back in memory.
    await this.#spool?.settled();
    const rest = this.#node.takeRest();
    if (rest.length > 0) {
      const spool = this.#spool;
      const isSaved = spool !== undefined && (await new Promise<boolean>((done) => spool.append(rest, done)));
      const samples = rest.reduce((sum, delta) => sum + delta.samples, 0);
      if (!isSaved) this.#context.log.error("agent.samples_lost", { samples, snapshots: rest.length });
    }
    await this.#spool?.close();
    await this.#state.close();
  }

  #goOn(reason: string): void {
    // Behind the member that is left; where it came from does not matter.
    const left = this.#places.findIndex(({ name }) => name === this.#node.standing().member);
    this.#places = [...this.#places.slice(left + 1), ...this.#places.slice(0, left + 1)];
    this.#reconnect(reason);
  }

  #reconnect(reason: string): void {
    const link = this.#link;
    this.#link = undefined;
    this.#node.lost();
    if (link !== undefined) this.#dismiss(link);
    this.#context.log.debug("agent.reconnects", { reason });
    this.#connect();
  }

  #dismiss(link: AgentLink): void {
    const { counts, reconnects } = link.state();
    this.#bytesSent += counts.sentBytes;
    this.#bytesReceived += counts.receivedBytes;
    this.#reconnects += reconnects + 1;
    const closing: Promise<void> = link.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #connect(): void {
    if (this.#isClosed) return;
    const settings = this.#settings;
    const isCurrent = () => this.#link === link;
    const link: AgentLink = new AgentLink(
      {
        nodes: this.#places,
        hello: helloOf(settings, this.incarnation.toString()),
        access: accessOf(settings),
        backlogBytesMax: settings.times.backlogBytesMax,
        connectTimeoutMs: settings.connectTimeoutMs,
        isDeflating: settings.compressesSnapshots,
        clock,
        random: systemRandom,
        log: this.#context.log,
      },
      {
        onConnected: (member) => {
          if (isCurrent()) this.#node.connected(member);
        },
        onLost: () => {
          if (isCurrent()) this.#node.lost();
        },
        onMessage: (_member, message: Message) => {
          if (isCurrent()) this.#node.receive(message);
        },
      },
    );
    this.#link = link;
    link.open();
  }
}

/** Members that take deltas, beginning with one by the agent's name, so that agents are spread over them. */
function placesOf({ name, peers }: MemberSettings): PeerPlace[] {
  const places = peers.filter(({ isWitness }) => !isWitness);
  const first = places.length === 0 ? 0 : Number(nodeId(name) % BigInt(places.length));
  return [...places.slice(first), ...places.slice(0, first)];
}

function printPlaces(settings: MemberSettings): string {
  return placesOf(settings)
    .map(({ name, host, port }) => `${name} ${host} ${port}`)
    .join("\n");
}
