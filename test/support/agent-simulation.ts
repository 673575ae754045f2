/**
 * A history of one agent and three members that are models, from a seed: connections that break, members that
 * crash, pause and come back, times with nobody there, a disk that fails, and crashes of the agent itself.
 */
import { AgentNode } from "../../cluster/agent.ts";
import type { AgentSpool, AgentWay, SpooledDelta } from "../../cluster/agent-world.ts";
import type { Delta } from "../../cluster/delta.ts";
import type { Message } from "../../cluster/message.ts";
import { AgentDoor, type DoorNode } from "../../cluster/running/agent-door.ts";
import { type Random, seededRandom } from "../../shared/random.ts";

export const SIMULATED_INTERVAL_MS = 1000;
const EPOCH_MS = 1_700_000_000_000;
const SILENT_LOG = { error() {}, warn() {}, info() {}, debug() {} };
const DEGRADED_MS = 1000;

export interface AgentHistoryOptions {
  readonly holdBytesMax: number;
  /** 0 for no disk. */
  readonly spoolBytesMax: number;
  /** Mean time between two faults of each kind, in milliseconds; 0 for none. */
  readonly faultMs: number;
  readonly crashesAgent: boolean;
}

/** What the world did to the agent's deltas. */
export class AgentHistory {
  readonly #options: AgentHistoryOptions;
  readonly random: Random;
  readonly members: ModelMember[] = [];
  /** All that was added, by identity. */
  readonly added = new Map<string, Delta>();
  /** What was in memory only when the agent crashed. */
  readonly crashed = new Set<string>();
  /** Samples that earlier runs of the agent declared as dropped. */
  #droppedBefore = 0;
  readonly spool: ModelSpool | undefined;
  agent!: AgentNode;
  way!: ModelWay;
  nowMs = 0;
  heldBytesMost = 0;
  #events: { readonly atMs: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;
  #run = 0;
  #sequence = 0;
  #downCount = 0;
  isQuiet = false;
  isIsolated = false;

  constructor(seed: number, options: AgentHistoryOptions) {
    this.#options = options;
    this.random = seededRandom(seed);
    for (const name of ["a", "b", "c"]) this.members.push(new ModelMember(this, name));
    if (options.spoolBytesMax > 0) this.spool = new ModelSpool(this, options.spoolBytesMax);
    this.#beginAgent();
    this.#every(50, () => this.#tick());
    if (options.faultMs > 0) this.#faults();
  }

  between(min: number, max: number): number {
    return Math.floor(this.random.between(min, max));
  }

  after(delayMs: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + delayMs, order: this.#order++, run });
  }

  #every(paceMs: number, run: () => void): void {
    this.after(paceMs, () => {
      run();
      this.#every(paceMs, run);
    });
  }

  run(forMs: number): void {
    const untilMs = this.nowMs + forMs;
    for (;;) {
      let next = this.#events[0];
      for (const event of this.#events) {
        if (event.atMs < next!.atMs || (event.atMs === next!.atMs && event.order < next!.order)) next = event;
      }
      if (next === undefined || next.atMs > untilMs) break;
      this.#events = this.#events.filter((event) => event !== next);
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
  }

  /** Runs until a condition holds; returns whether it did. */
  runUntil(condition: () => boolean, forMs: number): boolean {
    for (const untilMs = this.nowMs + forMs; !condition() && this.nowMs < untilMs; ) this.run(100);
    return condition();
  }

  get interval(): number {
    return Math.floor((EPOCH_MS + this.nowMs) / SIMULATED_INTERVAL_MS);
  }

  /** Samples that were declared lost, over all runs of the agent. */
  get dropped(): number {
    return this.#droppedBefore + this.agent.standing().droppedSamples;
  }

  /** The agent's intake makes a delta. */
  add(byteCount = this.between(50, 150)): Delta {
    const delta: Delta = {
      source: `agent.1.${this.#run}`,
      sequence: this.#sequence++,
      interval: this.interval,
      samples: this.between(1, 10),
      bytes: new Uint8Array(byteCount),
    };
    this.added.set(keyOf(delta), delta);
    this.agent.add(delta);
    return delta;
  }

  #tick(): void {
    if (!this.isQuiet && this.random.between(0, 1) < 0.4) this.add();
    this.agent.closeBelow(this.interval);
    for (const member of this.members) member.tick();
    this.agent.tick();
    this.heldBytesMost = Math.max(this.heldBytesMost, this.agent.standing().heldBytes);
  }

  #beginAgent(): void {
    this.#run += 1;
    this.#sequence = 0;
    this.way?.end();
    const way = new ModelWay(this);
    this.way = way;
    const clock = { monotonicMs: () => this.nowMs, wallMs: () => EPOCH_MS + this.nowMs };
    const { holdBytesMax } = this.#options;
    this.agent = new AgentNode(
      { incarnation: String(this.#run), holdBytesMax },
      { clock, way, spool: this.spool, log: SILENT_LOG },
    );
    way.open(this.agent);
  }

  /** The agent's process ends as it stands, and another begins. */
  crashAgent(): void {
    this.#droppedBefore += this.agent.standing().droppedSamples - (this.spool?.lostSamples ?? 0);
    for (const delta of this.agent.takeRest()) this.crashed.add(keyOf(delta));
    this.spool?.crash();
    this.#beginAgent();
  }

  #faults(): void {
    const { faultMs, crashesAgent } = this.#options;
    this.after(this.between(faultMs / 2, faultMs * 1.5), () => {
      if (this.isQuiet) return;
      const kind = this.between(0, crashesAgent ? 6 : 5);
      const member = this.members[this.between(0, this.members.length)]!;
      if (kind === 0) this.way.cut();
      else if (kind === 1 && this.#downCount === 0) {
        this.#downCount += 1;
        member.crash();
        this.after(this.between(500, 5000), () => {
          member.restart();
          // The next one may fail when this one has all again.
          this.after(DEGRADED_MS * 2, () => {
            this.#downCount -= 1;
          });
        });
      } else if (kind === 2) member.pause(this.between(100, 8000));
      else if (kind === 3) {
        this.isIsolated = true;
        this.way.cut();
        this.after(this.between(1000, 15_000), () => {
          this.isIsolated = false;
        });
      } else if (kind === 4) this.spool?.fail(this.between(500, 5000));
      else if (kind === 5) this.crashAgent();
      this.#faults();
    });
  }

  /** Deltas that no member has now. */
  missing(): Delta[] {
    return [...this.added.values()].filter(
      (delta) => !this.members.some(({ isUp, held }) => isUp && held.has(keyOf(delta))),
    );
  }
}

export function keyOf({ source, sequence }: Pick<Delta, "source" | "sequence">): string {
  return `${source}/${sequence}`;
}

/** A member that holds what it gets, and hands it to the others. */
export class ModelMember implements DoorNode {
  readonly name: string;
  readonly #history: AgentHistory;
  readonly held = new Map<string, Delta>();
  readonly #unsafe = new Map<string, (() => void)[]>();
  door!: AgentDoor;
  isUp = true;
  pausedUntilMs = 0;
  /** Changes with each crash. */
  life = 0;
  /** Deltas that came a second time. */
  repeated = 0;
  closedBelow = 0;
  readonly hasClock = true;

  constructor(history: AgentHistory, name: string) {
    this.#history = history;
    this.name = name;
    this.#open();
  }

  #open(): void {
    const incarnation = `${this.name}${this.life}`;
    this.door = new AgentDoor(this, { incarnation, settleMs: 300, nowMs: () => this.#history.nowMs });
    this.door.open();
  }

  clusterNowMs(): number {
    return EPOCH_MS + this.#history.nowMs;
  }
  closeBelow(interval: number): void {
    this.closedBelow = interval;
  }
  tick(): void {
    if (!this.isUp || this.#history.nowMs < this.pausedUntilMs) return;
    this.door.closeBelow(this.#history.interval);
    this.door.tick();
  }

  addForeign(delta: Delta, onSafe: () => void): "held" | "repeated" | "late" {
    const key = keyOf(delta);
    if (this.held.has(key)) {
      this.repeated += 1;
      const waiting = this.#unsafe.get(key);
      if (waiting === undefined) onSafe();
      else waiting.push(onSafe);
      return "repeated";
    }
    this.held.set(key, delta);
    this.#unsafe.set(key, [onSafe]);
    const { life } = this;
    for (const other of this.#history.members) if (other !== this) this.#replicate(other, delta, life);
    this.#history.after(DEGRADED_MS, () => this.#settle(key, life));
    return "held";
  }

  #replicate(other: ModelMember, delta: Delta, life: number): void {
    const travelMs = () => this.#history.between(2, 60);
    this.#history.after(travelMs(), () => {
      if (this.life !== life || !other.isUp || this.#history.nowMs < other.pausedUntilMs) return;
      other.held.set(keyOf(delta), delta);
      this.#history.after(travelMs(), () => this.#settle(keyOf(delta), life));
    });
  }

  #settle(key: string, life: number): void {
    if (this.life !== life) return;
    const waiting = this.#unsafe.get(key) ?? [];
    this.#unsafe.delete(key);
    for (const onSafe of waiting) onSafe();
  }

  pause(forMs: number): void {
    this.pausedUntilMs = this.#history.nowMs + forMs;
  }

  crash(): void {
    // What is safe because one copy had to do is not lost here: the others have what is new.
    for (const other of this.#history.members) {
      if (other === this) continue;
      for (const [key, delta] of this.held) if (!this.#unsafe.has(key)) other.held.set(key, delta);
    }
    this.isUp = false;
    this.life += 1;
    this.held.clear();
    this.#unsafe.clear();
    this.#history.way.memberLost(this);
  }

  restart(): void {
    this.isUp = true;
    this.pausedUntilMs = 0;
    for (const other of this.#history.members) {
      if (other.isUp) for (const [key, delta] of other.held) this.held.set(key, delta);
    }
    this.#open();
  }
}

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

/** A disk in memory. */
export class ModelSpool implements AgentSpool {
  readonly #history: AgentHistory;
  readonly #bytesMax: number;
  #records: { readonly delta: Delta; isRead: boolean }[] = [];
  #faultyUntilMs = 0;
  /** Counts the processes that used it; nothing of an earlier one goes on. */
  #process = 0;
  lostSamples = 0;

  constructor(history: AgentHistory, bytesMax: number) {
    this.#history = history;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#records.reduce((sum, { delta }) => sum + delta.bytes.length, 0);
  }
  get isUsable(): boolean {
    return this.#history.nowMs >= this.#faultyUntilMs;
  }
  get hasUnread(): boolean {
    return this.#records.some(({ isRead }) => !isRead);
  }

  fail(forMs: number): void {
    this.#faultyUntilMs = this.#history.nowMs + forMs;
  }

  /** The process that used it has gone: all that was not released is unread again. */
  crash(): void {
    for (const record of this.#records) record.isRead = false;
    this.#process += 1;
  }

  #later(run: () => void): void {
    const process = this.#process;
    this.#history.after(this.#history.between(1, 40), () => {
      if (process === this.#process) run();
    });
  }

  append(deltas: readonly Delta[], done: (isSaved: boolean) => void): void {
    this.#later(() => {
      if (!this.isUsable) {
        done(false);
        return;
      }
      const bytes = deltas.reduce((sum, delta) => sum + delta.bytes.length, 0);
      while (this.bytes + bytes > this.#bytesMax) {
        const oldest = this.#records.findIndex(({ isRead }) => !isRead);
        if (oldest < 0) {
          done(false);
          return;
        }
        this.lostSamples += this.#records.splice(oldest, 1)[0]!.delta.samples;
      }
      for (const delta of deltas) this.#records.push({ delta, isRead: false });
      done(true);
    });
  }

  read(bytesMax: number, done: (deltas: readonly SpooledDelta[]) => void): void {
    this.#later(() => {
      const read: SpooledDelta[] = [];
      let bytes = 0;
      for (const record of this.isUsable ? this.#records : []) {
        if (record.isRead) continue;
        if (bytes >= bytesMax) break;
        bytes += record.delta.bytes.length;
        record.isRead = true;
        const release = (): void => {
          this.#records = this.#records.filter((other) => other !== record);
        };
        read.push({ delta: record.delta, release });
      }
      done(read);
    });
  }
}
