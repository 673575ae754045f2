/** The other members as this one sees them. */
import { type Member, TIMES } from "./options.ts";

const RETIRED_MAX = 8;
/** Late intervals after which a member is not waited for, and how long it still is. */
const LATE_MAX = 3;
const PROBATION_MS = 80;

export class Peer {
  readonly name: string;
  readonly isWitness: boolean;
  heardMs: number | undefined;
  incarnation: string | undefined;
  /** Interval below which this incarnation has closed all. */
  closedBelow: number | undefined;
  /** The transport has lost it, and it was not heard since. */
  isLost = false;
  isConnected = false;
  /** It has nothing more of its own, and is about to stop. */
  hasLeft = false;
  ackedDeltas = 0;
  /** Intervals in a row that it has not closed in time, and the last that it was judged by. */
  #lateRun = 0;
  #judged = -1;
  /** Its former runs, whose late messages say nothing of this one. */
  readonly #retired: string[] = [];

  constructor({ name, isWitness }: Member) {
    this.name = name;
    this.isWitness = isWitness;
  }

  isLive(nowMs: number): boolean {
    return !this.isLost && this.heardMs !== undefined && nowMs - this.heardMs <= TIMES.silentMs;
  }

  /** Whether intervals wait for it. */
  isAwaited(nowMs: number): boolean {
    return !this.isWitness && !this.hasLeft && this.isLive(nowMs);
  }

  /** Notes which run of its process speaks. Returns false where that is a former one. */
  meet(incarnation: string): boolean {
    if (this.incarnation === incarnation) return true;
    if (this.#retired.includes(incarnation)) return false;
    if (this.incarnation !== undefined) this.#retired.push(this.incarnation);
    if (this.#retired.length > RETIRED_MAX) this.#retired.shift();
    this.incarnation = incarnation;
    this.closedBelow = undefined;
    this.hasLeft = false;
    return true;
  }

  /** Returns whether it has closed more than before. */
  close(below: number): boolean {
    if (this.closedBelow !== undefined && below <= this.closedBelow) return false;
    this.closedBelow = below;
    return true;
  }

  /**
   * Whether an interval waits for it. One that was late for several intervals in a row, as behind a slow
   * line, is waited for only as long as it takes to find out that it is in time again. sinceEndMs: since the
   * interval's end. settleMs: longest wait.
   */
  holdsUp(interval: number, sinceEndMs: number, settleMs: number, nowMs: number): boolean {
    if (!this.isAwaited(nowMs)) return false;
    const isLate = sinceEndMs >= settleMs;
    if (isLate || this.hasClosed(interval)) {
      if (interval > this.#judged) this.#lateRun = this.hasClosed(interval) ? 0 : this.#lateRun + 1;
      this.#judged = Math.max(this.#judged, interval);
      return false;
    }
    return this.#lateRun < LATE_MAX || sinceEndMs < PROBATION_MS;
  }

  hasClosed(interval: number): boolean {
    return this.closedBelow !== undefined && this.closedBelow > interval;
  }
}

export class Peers {
  readonly #name: string;
  #peers = new Map<string, Peer>();
  #members: readonly Member[] = [];

  constructor(name: string, members: readonly Member[]) {
    this.#name = name;
    this.setMembers(members);
  }

  /** Peers that stay are as they were. */
  setMembers(members: readonly Member[]): void {
    this.#members = members;
    const others = members.filter(({ name }) => name !== this.#name);
    this.#peers = new Map(
      others.map((member) => {
        const known = this.#peers.get(member.name);
        return [member.name, known?.isWitness === member.isWitness ? known : new Peer(member)];
      }),
    );
  }

  get names(): string[] {
    return this.#members.map(({ name }) => name);
  }
  /** Members that make a majority, this one included. */
  get majority(): number {
    return Math.floor(this.#members.length / 2) + 1;
  }
  /** Members that hold deltas, this one included. */
  get dataCount(): number {
    return this.#members.filter(({ isWitness }) => !isWitness).length;
  }
  get isSelfWitness(): boolean {
    return this.#self?.isWitness === true;
  }
  get isSelfMember(): boolean {
    return this.#self !== undefined;
  }
  get #self(): Member | undefined {
    return this.#members.find(({ name }) => name === this.#name);
  }

  /** How many of these are members now, this one included: others' words count no more. */
  countOf(names: Iterable<string>): number {
    let count = 0;
    for (const name of names)
      if (this.#peers.has(name) || (name === this.#name && this.isSelfMember)) count += 1;
    return count;
  }

  get(name: string): Peer | undefined {
    return this.#peers.get(name);
  }

  all(): Peer[] {
    return [...this.#peers.values()];
  }

  /** Peers that hold deltas. */
  data(): Peer[] {
    return this.all().filter(({ isWitness }) => !isWitness);
  }

  liveData(nowMs: number): Peer[] {
    return this.data().filter((peer) => peer.isLive(nowMs));
  }
}
