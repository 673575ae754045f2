/**
 * A remote that keeps, for each interval and name, the value that came last, as carbon does. It may be away,
 * slow, keep its acknowledgements to itself, and get bytes long after their sender was told of a failure.
 */
import type { Dice } from "./dice.ts";
import type { Schedule } from "./schedule.ts";
import type { Swarm } from "./swarm.ts";

/** Bytes of a broken connection may still arrive after so long. */
const ZOMBIE_MS = 6000;

/** Some rows of an interval: for each name the deltas that its value is made of. */
export interface Chunk {
  readonly interval: number;
  readonly rows: ReadonlyMap<number, readonly number[]>;
}

export class Carbon {
  readonly name: string;
  isDown = false;
  /** Set when faults are over. */
  isCalm = false;
  /** Intervals of which somebody gave rows up. */
  readonly givenUp = new Set<number>();
  /** Intervals that got late bytes: those of a broken connection, or behind others handed over after them. */
  readonly late = new Set<number>();
  #handedOver = 0;
  /** By interval: the newest of those handed over that has arrived. */
  readonly #arrived = new Map<number, number>();
  readonly content = new Map<number, Map<number, readonly number[]>>();
  readonly #schedule: Schedule;
  readonly #dice: Dice;
  readonly #swarm: Swarm;

  constructor(name: string, schedule: Schedule, dice: Dice, swarm: Swarm) {
    this.name = name;
    this.#schedule = schedule;
    this.#dice = dice;
    this.#swarm = swarm;
  }

  /** Takes rows; `tell` says, some time, whether they are known to have arrived. */
  take(chunk: Chunk, tell: (isAcknowledged: boolean) => void): void {
    const dice = this.#dice;
    const swarm = this.#swarm;
    if (this.isDown) {
      this.#schedule.after(dice.between(1, 50), () => tell(false));
      return;
    }
    if (!this.isCalm && dice.isHit(swarm.zombies)) {
      this.#schedule.after(dice.between(0, ZOMBIE_MS), () => {
        this.late.add(chunk.interval);
        this.#store(chunk);
      });
      this.#schedule.after(dice.between(1, 500), () => tell(false));
      return;
    }
    let delayMs = 1 + dice.waitMs(20);
    if (!this.isCalm && dice.isHit(swarm.sinkSlow)) delayMs += dice.between(0, 3000);
    const isAckLost = !this.isCalm && dice.isHit(swarm.acksLost);
    this.#handedOver += 1;
    const number = this.#handedOver;
    this.#schedule.after(delayMs, () => {
      const newest = this.#arrived.get(chunk.interval) ?? 0;
      if (number < newest) this.late.add(chunk.interval);
      this.#arrived.set(chunk.interval, Math.max(newest, number));
      this.#store(chunk);
      this.#schedule.after(isAckLost ? 1000 : 1 + dice.waitMs(5), () => tell(!isAckLost));
    });
  }

  #store({ interval, rows }: Chunk): void {
    let names = this.content.get(interval);
    if (names === undefined) {
      names = new Map();
      this.content.set(interval, names);
    }
    for (const [name, order] of rows) names.set(name, order);
  }
}
