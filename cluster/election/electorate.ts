/** The members of an election, as one of them sees them. */
import type { Member } from "../options.ts";

export class Electorate {
  readonly #name: string;
  readonly #isWitness: boolean;
  #members: ReadonlySet<string>;

  /** name: this member. members: all of them. */
  constructor(name: string, members: readonly Member[]) {
    this.#name = name;
    this.#members = new Set(members.map((member) => member.name));
    this.#isWitness = members.some((member) => member.name === name && member.isWitness);
  }

  get members(): ReadonlySet<string> {
    return this.#members;
  }

  /** Whether this member has a vote. */
  get isMember(): boolean {
    return this.#members.has(this.#name);
  }

  /** Whether this member may lead; a witness never does. */
  get canLead(): boolean {
    return this.isMember && !this.#isWitness;
  }

  /** Whether there is nobody else. */
  get isAlone(): boolean {
    return this.isMember && this.#members.size === 1;
  }

  /** Votes that elect, of all that there are. */
  get majority(): number {
    return Math.floor(this.#members.size / 2) + 1;
  }

  isOther(name: string): boolean {
    return name !== this.#name && this.#members.has(name);
  }

  *others(): Generator<string, void, void> {
    for (const name of this.#members) if (name !== this.#name) yield name;
  }

  /** members: names of all; who is a witness does not change. */
  replace(members: readonly string[]): void {
    this.#members = new Set(members);
  }
}
