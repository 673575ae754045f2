/** How a member gives leadership over, and stops without taking anything along. */
import type { IntervalLeader } from "./interval-leader.ts";
import type { NodeParts } from "./node-parts.ts";
import type { Office } from "./office.ts";

const ANNOUNCE_MS = 500;
/** So long nobody who is there is thought to stay: all may have been told to stop at once. */
const LINGER_MS = 500;

export class Departure {
  readonly #parts: NodeParts;
  readonly #office: Office;
  readonly #leader: IntervalLeader;
  /** When it was told to leave; undefined before. */
  #leftMs: number | undefined;
  #isSealed = false;
  #announcedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: NodeParts, office: Office, leader: IntervalLeader) {
    this.#parts = parts;
    this.#office = office;
    this.#leader = leader;
  }

  /** Whether it may lead: not when it leaves, unless nobody stays who could. */
  get mayLead(): boolean {
    return this.#leftMs === undefined || this.#isSealed || !this.#isAnybodyStaying();
  }

  #isAnybodyStaying(): boolean {
    const nowMs = this.#parts.world.clock.monotonicMs();
    return this.#parts.peers.data().some((peer) => peer.isAwaited(nowMs));
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
    const nowMs = this.#parts.world.clock.monotonicMs();
    this.#leftMs ??= nowMs;
    this.tick(nowMs);
  }

  tick(nowMs: number): void {
    if (this.#leftMs === undefined) return;
    if (this.#isAnybodyStaying()) this.transfer(undefined);
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
    if (this.#leftMs === undefined) return false;
    if (this.#isSealed && this.#office.isLeading) return this.#leader.isIdle();
    if (this.#office.isLeading) return false;
    const nowMs = this.#parts.world.clock.monotonicMs();
    // Where all leave at once, one of them still writes what they hold; it needs the others for that.
    const isHandedOver = nowMs - this.#leftMs >= LINGER_MS && this.#isAnybodyStaying();
    return (isHandedOver || this.#leader.isIdle()) && this.#parts.replication.isAcknowledged(nowMs);
  }
}
