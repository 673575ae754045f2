/**
 * A new leader asks everybody what was about to be written, what was delivered, and what they hold. It may
 * act when a majority has answered, since every intent was recorded by one; it goes on asking the others.
 */
import { doneOf } from "./delivery.ts";
import type { QueryAnswer } from "./message.ts";
import type { NodeParts } from "./node-parts.ts";
import { TIMES } from "./options.ts";
import { Patience } from "./patience.ts";
import { isNewer } from "./register.ts";

const ASK_MS = 300;

export class Recovery {
  readonly #parts: NodeParts;
  #term: number | undefined;
  readonly #patience = new Patience(0);
  #askedMs = 0;
  readonly #answered = new Set<string>();

  constructor(parts: NodeParts) {
    this.#parts = parts;
  }

  /** Term that is asked about; undefined where this member does not lead. */
  get term(): number | undefined {
    return this.#term;
  }

  begin(term: number, nowMs: number): void {
    this.#term = term;
    this.#patience.reset(nowMs);
    this.#answered.clear();
    this.#ask(nowMs);
  }

  end(): void {
    this.#term = undefined;
    this.#answered.clear();
  }

  isOver(nowMs: number): boolean {
    const { peers, settings } = this.#parts;
    if (this.#term === undefined) return false;
    if (settings.quorum === "majority") return peers.countOf(this.#answered) + 1 >= peers.majority;
    // Where people choose, whoever is there is heard, and nobody else is waited for.
    const live = peers.all().filter((peer) => peer.isLive(nowMs));
    const haveAllAnswered = live.length > 0 && live.every(({ name }) => this.#answered.has(name));
    return peers.all().length === 0 || haveAllAnswered || this.#patience.waitedMs(nowMs) >= TIMES.degradedMs;
  }

  tick(nowMs: number): void {
    if (this.#term !== undefined && nowMs - this.#askedMs >= ASK_MS) this.#ask(nowMs);
  }

  #ask(nowMs: number): void {
    this.#askedMs = nowMs;
    const { peers, world } = this.#parts;
    for (const { name } of peers.all()) {
      if (!this.#answered.has(name)) world.net.send(name, { kind: "query", term: this.#term! });
    }
  }

  receive(from: string, answer: QueryAnswer, nowMs: number): void {
    if (answer.term !== this.#term) return;
    const { registers, held, forgottenBelow = 0 } = answer;
    const { holdings, pulls } = this.#parts;
    this.#answered.add(from);
    holdings.learnForgotten(forgottenBelow, registers, held);
    for (const [interval, register] of registers) this.#parts.registers.merge(interval, register);
    for (const [interval, manifest] of held) {
      if (holdings.open(interval) !== undefined) pulls.want(interval, manifest, [from], nowMs);
    }
    this.#correct(from, registers);
  }

  /** Tells a member what was delivered after what it takes for the last: it would not ask. */
  #correct(to: string, registers: QueryAnswer["registers"]): void {
    const known = new Map(registers);
    for (const { interval, register } of this.#parts.holdings.entries()) {
      const ours = register?.delivered;
      if (ours === undefined || !isNewer(ours, known.get(interval)?.delivered)) continue;
      this.#parts.world.net.send(to, doneOf(interval, ours));
    }
  }
}
