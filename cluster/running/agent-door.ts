/**
 * The agents of a member: their deltas become the member's to replicate, and each agent hears when its own
 * are safe. An interval is closed here when the agents have closed it as well, so that it need not be amended
 * in the normal case; agents that are silent, or slow, are not waited for.
 */
import type { Delta, DeltaId } from "../delta.ts";
import { withDeltas } from "../manifest.ts";
import type { Deltas, Message } from "../message.ts";
import type { ClusterNode } from "../node.ts";
import { TIMES } from "../options.ts";
import { isSoundDelta, isSoundMessage } from "../sense.ts";
import { nodeId } from "./member-settings.ts";

/** Returns false for a message that is not sent. */
export type Reply = (message: Message) => boolean;

export interface AgentDoorOptions {
  /** The member's. */
  readonly incarnation: string;
  /** How long after the member's own closing an interval waits for agents. */
  readonly settleMs: number;
  /** Monotonic clock. */
  readonly nowMs: () => number;
}

/** What the door does with a member. */
export type DoorNode = Pick<ClusterNode, "addForeign" | "closeBelow" | "clusterNowMs" | "hasClock"> &
  Partial<Pick<ClusterNode, "memberNames">>;

/** One run of an agent. */
interface Agent {
  readonly incarnation: string;
  reply: Reply;
  heardMs: number;
  /** Undefined where it does not say, since it has old things to catch up with. */
  closedBelow: number | undefined;
  /** Deltas that are safe, and of which it was not told. */
  safe: DeltaId[];
}

/** A moment at which the member itself had closed more. */
interface OwnClosing {
  readonly below: number;
  readonly atMs: number;
}

/** Acknowledgements in one message. */
const ACKS_MAX = 1000;

export class AgentDoor {
  readonly #node: DoorNode;
  readonly #options: AgentDoorOptions;
  readonly #agents = new Map<string, Agent>();
  /** The newest last. */
  #closings: OwnClosing[] = [];
  #ownBelow = 0;
  #toldBelow = 0;
  #isOpen = false;
  #isLeaving = false;
  /** How the sources of members begin, by their names. */
  readonly #sources = new Map<string, string>();
  #refused = 0;
  settleMs: number;

  constructor(node: DoorNode, options: AgentDoorOptions) {
    this.#node = node;
    this.#options = options;
    this.settleMs = options.settleMs;
  }

  /** Takes deltas from now on, as soon as the member knows the cluster's time. */
  open(): void {
    this.#isOpen = true;
  }

  /** A message of an agent. reply: sends something to it; good until it is lost. */
  receive(name: string, message: Message, reply: Reply): void {
    // Who gets no answer asks again, or somebody else.
    if (!this.#isOpen || !this.#node.hasClock || !isSoundMessage(message)) return;
    if (message.kind === "clock-request") {
      reply({ kind: "clock-answer", askedMs: message.askedMs, clockMs: this.#node.clusterNowMs() });
    } else if (message.kind === "deltas") this.#receiveDeltas(name, message, reply);
  }

  #receiveDeltas(name: string, { deltas, closedBelow, incarnation }: Deltas, reply: Reply): void {
    if (this.#isLeaving) {
      reply({ kind: "leaving", incarnation: this.#options.incarnation });
      return;
    }
    const agent = this.#meet(name, incarnation, reply);
    agent.heardMs = this.#options.nowMs();
    for (const delta of deltas) this.#add(agent, delta);
    // Behind its deltas, which go to the other members before this member's word about them.
    agent.closedBelow = closedBelow;
    this.#close();
    if (agent.safe.length >= ACKS_MAX) this.#acknowledge(agent);
  }

  #meet(name: string, incarnation: string, reply: Reply): Agent {
    const known = this.#agents.get(name);
    if (known?.incarnation === incarnation) {
      known.reply = reply;
      return known;
    }
    const agent: Agent = { incarnation, reply, heardMs: 0, closedBelow: undefined, safe: [] };
    this.#agents.set(name, agent);
    return agent;
  }

  #add(agent: Agent, delta: Delta): void {
    if (!isSoundDelta(delta)) return;
    const { source, sequence } = delta;
    // What a member sends later under the same identity would pass for a repetition.
    if (this.#isOfMember(source)) {
      this.#refused += 1;
      return;
    }
    const onSafe = (): void => void agent.safe.push({ source, sequence });
    // What comes too late is counted here, and need not come again.
    if (this.#node.addForeign(delta, onSafe) === "late") onSafe();
  }

  #isOfMember(source: string): boolean {
    return (this.#node.memberNames ?? []).some((name) => {
      const begin = this.#sources.get(name) ?? `${nodeId(name).toString(16)}.`;
      this.#sources.set(name, begin);
      return source.startsWith(begin);
    });
  }

  /** Deltas of agents that had the identity of a member. */
  get refused(): number {
    return this.#refused;
  }

  /** An agent's connection is over. One that has another already says so with its next message. */
  lost(name: string): void {
    if (this.#agents.delete(name)) this.#close();
  }

  /** This member's own intakes have closed all intervals below. */
  closeBelow(interval: number): void {
    if (interval <= this.#ownBelow) return;
    this.#ownBelow = interval;
    this.#closings.push({ below: interval, atMs: this.#options.nowMs() });
    this.#close();
  }

  /** Looks what is due; to be called about every TIMES.tickMs. */
  tick(): void {
    for (const agent of this.#agents.values()) this.#acknowledge(agent);
    this.#close();
  }

  /** Nothing more is taken: agents go to other members. */
  leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    for (const { reply } of this.#agents.values()) {
      reply({ kind: "leaving", incarnation: this.#options.incarnation });
    }
  }

  #acknowledge(agent: Agent): void {
    if (agent.safe.length === 0) return;
    // Where too much waits, it is told later.
    if (agent.reply({ kind: "deltas-ack", held: withDeltas([], agent.safe) })) agent.safe = [];
  }

  #close(): void {
    if (this.#toldBelow >= this.#ownBelow) return;
    const nowMs = this.#options.nowMs();
    const waited = this.#closings.findLast(({ atMs }) => nowMs - atMs >= this.settleMs);
    const below = Math.min(this.#ownBelow, Math.max(this.#agentsBelow(nowMs), waited?.below ?? 0));
    if (below <= this.#toldBelow) return;
    this.#toldBelow = below;
    this.#closings = this.#closings.filter((closing) => closing.below > below);
    this.#node.closeBelow(below);
  }

  /** Interval below which all agents that are waited for have closed theirs. */
  #agentsBelow(nowMs: number): number {
    let below = Number.POSITIVE_INFINITY;
    if (this.#isLeaving) return below;
    for (const { closedBelow, heardMs } of this.#agents.values()) {
      const isAwaited = closedBelow !== undefined && nowMs - heardMs <= TIMES.silentMs;
      if (isAwaited) below = Math.min(below, closedBelow);
    }
    return below;
  }
}
