/**
 * A few members of a cluster in one process, with a clock, network, disk and writer that a test moves by
 * hand. Messages arrive in order after one turn; a test may drop them.
 */
import type { Delta } from "../../cluster/delta.ts";
import type { Election, Leadership } from "../../cluster/election/election.ts";
import type { Manifest } from "../../cluster/manifest.ts";
import { withDeltas } from "../../cluster/manifest.ts";
import type { Message } from "../../cluster/message.ts";
import { ClusterNode } from "../../cluster/node.ts";
import type { Member, NodeOptions } from "../../cluster/options.ts";
import { mergeRegisters, type Register } from "../../cluster/register.ts";
import type { SavedState, World, WriteOrder, WriteProgress } from "../../cluster/world.ts";
import { seededRandom } from "../../shared/random.ts";

export const INTERVAL_MS = 1000;
const TURN_MS = 10;
const START_MS = 1_000_000_000;

/** An election whose outcome the test decides. */
export class ChosenElection implements Election {
  #leadership: Leadership = { role: "follower", term: 0, leader: undefined, leaseUntilMs: 0 };
  isEligible = false;
  successor: string | undefined;
  tookOver = 0;
  tick(): void {}
  receive(): void {}
  leadership(): Leadership {
    return this.#leadership;
  }
  /** Makes this member the leader of a term. */
  win(term: number, leaseUntilMs = Number.POSITIVE_INFINITY): void {
    this.#leadership = { role: "leader", term, leader: undefined, leaseUntilMs };
  }
  lose(): void {
    const { term } = this.#leadership;
    this.#leadership = { role: "follower", term, leader: undefined, leaseUntilMs: 0 };
  }
  setEligible(isEligible: boolean): void {
    this.isEligible = isEligible;
    if (!isEligible) this.lose();
  }
  sawTerm(term: number): void {
    if (term <= this.#leadership.term) return;
    this.#leadership = { role: "follower", term, leader: undefined, leaseUntilMs: 0 };
  }
  resign(successor?: string): void {
    this.successor = successor;
    this.lose();
  }
  takeOver(): void {
    this.tookOver += 1;
  }
  setMembers(): void {}
  async stop(): Promise<void> {}
}

/** One order with the deltas of its table, in the order that they were folded. */
export interface Written {
  readonly order: WriteOrder;
  readonly folded: readonly string[];
  readonly progress: WriteProgress;
}

/** Remembers what it was told to do; its sinks acknowledge at once unless told otherwise. */
export class RecordingWriter {
  readonly tables = new Map<number, string[]>();
  readonly written: Written[] = [];
  readonly closed: { readonly interval: number; readonly folded: readonly string[] }[] = [];
  readonly yields: number[] = [];
  levels: ((interval: number) => Delta | undefined) | undefined;
  names = ["carbon"];
  acknowledges = true;
  leaseUntilMs = 0;
  imported: Uint8Array | undefined;

  sinks(): readonly string[] {
    return this.names;
  }
  fold(delta: Delta): void {
    const table = this.tables.get(delta.interval) ?? [];
    table.push(nameOf(delta));
    this.tables.set(delta.interval, table);
  }
  drop(interval: number): void {
    this.tables.delete(interval);
  }
  prepare(interval: number, done: (levels: Delta | undefined) => void): void {
    done(this.levels?.(interval));
  }
  write(order: WriteOrder, progress: WriteProgress): void {
    this.written.push({ order, folded: [...(this.tables.get(order.interval) ?? [])], progress });
    if (this.acknowledges) for (const sink of this.names) progress(sink, true);
  }
  close(interval: number): void {
    this.closed.push({ interval, folded: [...(this.tables.get(interval) ?? [])] });
    this.tables.delete(interval);
  }
  setLease(untilMs: number): void {
    this.leaseUntilMs = untilMs;
  }
  yieldFrom(floor: number): void {
    this.yields.push(floor);
  }
  exportKept(done: (kept: Uint8Array | undefined) => void): void {
    done(new Uint8Array([this.closed.length]));
  }
  importKept(kept: Uint8Array): void {
    this.imported = kept;
  }
  /** The orders of an interval. */
  of(interval: number): Written[] {
    return this.written.filter(({ order }) => order.interval === interval);
  }
}

/** Keeps registers over restarts; refuses while it is full. */
export class MemoryDisk {
  registers = new Map<number, Register>();
  isFull = false;
  saveVote(_vote: unknown, done: (isSaved: boolean) => void): void {
    done(true);
  }
  saveRegister(interval: number, register: Register, done: (isSaved: boolean) => void): void {
    if (!this.isFull) {
      this.registers.set(interval, mergeRegisters(this.registers.get(interval), register));
    }
    done(!this.isFull);
  }
  dropRegisters(below: number): void {
    for (const interval of this.registers.keys()) if (interval < below) this.registers.delete(interval);
  }
  load(): SavedState {
    const registers = [...this.registers];
    return { vote: { term: 0, votedFor: undefined }, registers, isEmpty: registers.length === 0 };
  }
}

export interface RigMember {
  readonly name: string;
  readonly node: ClusterNode;
  readonly election: ChosenElection;
  readonly writer: RecordingWriter;
  readonly disk: MemoryDisk;
  readonly logged: string[];
}

export interface RigOptions extends Partial<NodeOptions> {
  readonly names?: readonly string[];
  readonly witnesses?: readonly string[];
}

interface Sent {
  readonly from: string;
  readonly to: string;
  readonly message: Message;
}

export class ClusterRig {
  readonly members = new Map<string, RigMember>();
  readonly #options: RigOptions;
  readonly #all: Member[];
  readonly #sequences = new Map<string, number>();
  #queue: Sent[] = [];
  #nowMs = 0;
  /** What was sent since the start. */
  readonly sent: Sent[] = [];
  /** Offsets of wall clocks, by name. */
  readonly wallOffsetMs = new Map<string, number>();
  /** Says which messages arrive. */
  passes: (from: string, to: string, message: Message) => boolean = () => true;
  pendingBytes = 0;

  constructor(options: RigOptions = {}) {
    this.#options = options;
    const names = options.names ?? ["a", "b", "c"];
    this.#all = names.map((name) => ({ name, isWitness: options.witnesses?.includes(name) === true }));
    for (const name of names) this.begin(name, new MemoryDisk());
  }

  get nowMs(): number {
    return this.#nowMs;
  }
  /** The interval of the wall clock. */
  get interval(): number {
    return Math.floor((START_MS + this.#nowMs) / INTERVAL_MS);
  }

  get(name: string): RigMember {
    return this.members.get(name)!;
  }

  /** Starts a member, or starts it again with what its disk has. */
  begin(name: string, disk: MemoryDisk): RigMember {
    const writer = new RecordingWriter();
    const election = new ChosenElection();
    const logged: string[] = [];
    const log = (event: string): void => void logged.push(event);
    const world: World = {
      clock: {
        monotonicMs: () => this.#nowMs,
        wallMs: () => START_MS + this.#nowMs + (this.wallOffsetMs.get(name) ?? 0),
      },
      random: seededRandom(1),
      net: {
        send: (to, message) => {
          const sent = { from: name, to, message };
          this.sent.push(sent);
          this.#queue.push(sent);
        },
        pendingBytes: () => this.pendingBytes,
      },
      disk,
      writer,
      log: { error: log, warn: log, info: log, debug: log },
    };
    const { names: _names, witnesses: _witnesses, ...changed } = this.#options;
    const options: NodeOptions = {
      name,
      members: this.#all,
      incarnation: `${name}${this.#nowMs}`,
      intervalMs: INTERVAL_MS,
      settleMs: 300,
      retainIntervals: 12,
      holdBytesMax: 1 << 20,
      backlogBytesMax: 1 << 20,
      quorum: "majority",
      ...changed,
    };
    const node = new ClusterNode(options, world, election, disk.load());
    const member = { name, node, election, writer, disk, logged };
    this.members.set(name, member);
    node.start();
    return member;
  }

  /** Ends a member without a word. */
  kill(name: string): RigMember {
    const member = this.get(name);
    this.members.delete(name);
    return member;
  }

  /** Lets time pass, in turns; all clocks tick at each fifth. */
  run(forMs: number): void {
    for (const untilMs = this.#nowMs + forMs; this.#nowMs < untilMs; ) {
      this.#nowMs += TURN_MS;
      const arriving = this.#queue;
      this.#queue = [];
      for (const { from, to, message } of arriving) {
        if (this.passes(from, to, message)) this.members.get(to)?.node.receive(from, message);
      }
      if (this.#nowMs % 50 === 0) for (const { node } of this.members.values()) node.tick();
    }
  }

  /** Lets time pass until all have state, then makes one the leader. */
  elect(name: string, term = 1): RigMember {
    this.run(100);
    const member = this.get(name);
    member.election.win(term);
    this.run(100);
    return member;
  }

  /** Runs to the beginning of the next interval, and says which has ended. */
  nextInterval(): number {
    const ended = this.interval;
    this.run((ended + 1) * INTERVAL_MS - START_MS - this.#nowMs);
    return ended;
  }

  /** Makes the next delta of a source. */
  delta(source: string, interval = this.interval, byteCount = 10): Delta {
    const sequence = this.#sequences.get(source) ?? 0;
    this.#sequences.set(source, sequence + 1);
    return { source, sequence, interval, samples: 1, bytes: new Uint8Array(byteCount) };
  }

  /** Gives a member the next delta of its intake. */
  add(name: string, interval?: number, byteCount?: number): string {
    const delta = this.delta(name, interval, byteCount);
    this.get(name).node.add(delta);
    return nameOf(delta);
  }

  /** All members' intakes close what is over. */
  closeAll(): void {
    for (const { node } of this.members.values()) node.closeBelow(this.interval);
  }

  /** Messages of a kind that were sent. */
  sentOf<K extends Message["kind"]>(kind: K, from?: string): Extract<Message, { kind: K }>[] {
    return this.sent.flatMap(({ from: sender, message }) =>
      message.kind === kind && (from === undefined || from === sender)
        ? [message as Extract<Message, { kind: K }>]
        : [],
    );
  }
}

export function nameOf({ source, sequence }: { readonly source: string; readonly sequence: number }): string {
  return `${source}${sequence}`;
}

/** A manifest of deltas named as nameOf() does. */
export function manifestOf(...names: readonly string[]): Manifest {
  return withDeltas(
    [],
    names.map((name) => ({ source: name.slice(0, 1), sequence: Number(name.slice(1)) })),
  );
}
