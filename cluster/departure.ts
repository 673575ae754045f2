/** How a member gives leadership over, and stops without taking anything along. */
import type { IntervalLeader } from "./interval-leader.ts";
import type { NodeParts } from "./node-parts.ts";
import type { Office } from "./office.ts";

const ANNOUNCE_MS = 500;

export class Departure {
  readonly #parts: NodeParts;
  readonly #office: Office;
  readonly #leader: IntervalLeader;
  #isLeaving = false;
  #isSealed = false;
  #announcedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: NodeParts, office: Office, leader: IntervalLeader) {
    this.#parts = parts;
    this.#office = office;
    this.#leader = leader;
  }

  /** Whether it may lead: not when it leaves, unless nobody else is there. */
  get mayLead(): boolean {
    return !this.#isLeaving || this.#isSealed;
  }

  /** Hands leadership over; see ClusterNode. */
  transfer(to: string | undefined): boolean {
    if (!this.#office.isLeading) return false;
    const { peers, replication, world } = this.#parts;
    const nowMs = world.clock.monotonicMs();
    const lag = (name: string): number => replication.backlog(name).size;
    const fit = peers.data().filter((peer) => peer.isAwaited(nowMs));
    fit.sort((left, right) => lag(left.name) - lag(right.name));
    const chosen = to === undefined ? fit[0] : fit.find(({ name }) => name === to);
    if (chosen === undefined) return false;
    this.#office.handOver(chosen.name);
    return true;
  }

  leave(): void {
    this.#isLeaving = true;
    this.tick(this.#parts.world.clock.monotonicMs());
  }

  tick(nowMs: number): void {
    if (!this.#isLeaving) return;
    if (this.#parts.peers.data().some((peer) => peer.isAwaited(nowMs))) this.transfer(undefined);
    else if (this.#office.isLeading) this.seal();
    if (nowMs - this.#announcedMs < ANNOUNCE_MS) return;
    this.#announcedMs = nowMs;
    this.#parts.broadcast({ kind: "leaving", incarnation: this.#parts.settings.incarnation });
  }

  /** All that is held is due at once. */
  seal(): void {
    this.#isSealed = true;
    this.#leader.seal();
  }

  get isDrained(): boolean {
    if (!this.#isLeaving) return false;
    if (this.#isSealed && this.#office.isLeading) return this.#leader.isIdle();
    const nowMs = this.#parts.world.clock.monotonicMs();
    return !this.#office.isLeading && this.#parts.replication.isAcknowledged(nowMs);
  }
}
