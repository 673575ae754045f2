/** The connection of an agent to models of members. */
import type { AgentNode } from "../../cluster/agent.ts";
import type { AgentWay } from "../../cluster/agent-world.ts";
import type { Message } from "../../cluster/message.ts";
import type { AgentHistory } from "./agent-simulation.ts";
import type { ModelMember } from "./model-member.ts";

/** The agent's connection: in order, until it breaks; then the next member is tried. */
export class ModelWay implements AgentWay {
  readonly #history: AgentHistory;
  #agent: AgentNode | undefined;
  #next = 0;
  /** Counts connections; what is of an earlier one does not arrive. */
  #connection = 0;
  #member: ModelMember | undefined;
  #pending = 0;
  readonly sent: { readonly to: string; readonly message: Message }[] = [];
  readonly connected: string[] = [];

  constructor(history: AgentHistory) {
    this.#history = history;
  }

  open(agent: AgentNode): void {
    this.#agent = agent;
    this.#dial();
  }

  end(): void {
    this.#connection += 1;
    this.#member = undefined;
    this.#agent = undefined;
  }

  send(message: Message): boolean {
    const member = this.#member;
    if (member === undefined) return false;
    this.sent.push({ to: member.name, message });
    const connection = this.#connection;
    const bytes =
      message.kind === "deltas" ? message.deltas.reduce((sum, one) => sum + one.bytes.length, 1) : 1;
    this.#pending += bytes;
    this.#deliver(connection, member, () => {
      this.#pending -= bytes;
      if (!member.isUp) return;
      member.door.receive("agent", message, (answer) => this.#answer(connection, answer));
    });
    return true;
  }

  #answer(connection: number, message: Message): boolean {
    if (connection !== this.#connection) return false;
    this.#history.after(20, () => {
      if (connection === this.#connection) this.#agent?.receive(message);
    });
    return true;
  }

  /** A member that pauses reads when it goes on. */
  #deliver(connection: number, member: ModelMember, take: () => void): void {
    const waitMs = Math.max(0, member.pausedUntilMs - this.#history.nowMs);
    this.#history.after(20 + waitMs, () => {
      if (connection !== this.#connection) return;
      if (this.#history.nowMs < member.pausedUntilMs) this.#deliver(connection, member, take);
      else take();
    });
  }

  pendingBytes(): number {
    return this.#pending;
  }

  goOn(): void {
    this.cut();
  }

  /** The connection breaks at once, with all that is on its way. */
  cut(): void {
    const member = this.#member;
    if (member === undefined) return;
    this.#member = undefined;
    this.#connection += 1;
    this.#pending = 0;
    this.#agent?.lost();
    this.#history.after(this.#history.between(1, 300), () => member.door.lost("agent"));
    this.#next += 1;
    this.#dial();
  }

  /** The agent hears of it some time later. */
  memberLost(member: ModelMember): void {
    if (member !== this.#member) return;
    const connection = this.#connection;
    this.#history.after(this.#history.between(1, 2000), () => {
      if (connection === this.#connection) this.cut();
    });
  }

  #dial(): void {
    const agent = this.#agent;
    this.#history.after(this.#history.between(10, 200), () => {
      if (agent !== this.#agent || this.#member !== undefined) return;
      const { members, isIsolated, nowMs } = this.#history;
      const member = members[this.#next % members.length]!;
      if (isIsolated || !member.isUp || nowMs < member.pausedUntilMs) {
        this.#next += 1;
        this.#dial();
        return;
      }
      this.#member = member;
      this.connected.push(member.name);
      agent?.connected(member.name);
    });
  }
}
