/** What health means for the lines of each destination. */

import type { DestinationState } from "../orders.ts";
import { isServed, type OutletControl } from "../outlet-control.ts";
import type { PlannedDestination } from "../plan.ts";
import type { ResolvedDestination } from "./destination.ts";

/** How often it is looked whether what was held is gone, in milliseconds. */
const RETURN_CHECK_MS = 100;

/** A destination of the plan in force. */
interface Member {
  readonly destination: PlannedDestination;
  /** Whether receivers send to it by themselves and hand its packets to the outlet while it is down. */
  readonly isHeldBySwitch: boolean;
}

/**
 * Turns verdicts into states. A destination that comes back after its lines were held gets its packets
 * through the outlet until all that was held is sent, so that no old gauge overtakes a new one.
 */
export class States {
  readonly #outlet: OutletControl;
  /** Called when states have changed; resolves when they are in force. */
  readonly #onChange: (states: DestinationState[]) => Promise<void>;
  #members: Member[] = [];
  readonly #down = new Set<string>();
  readonly #returning = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #told = "";
  /** Destinations that are down, as far as receivers go by it. */
  #downInForce: ReadonlySet<string> = new Set();

  constructor(outlet: OutletControl, onChange: (states: DestinationState[]) => Promise<void>) {
    this.#outlet = outlet;
    this.#onChange = onChange;
  }

  /**
   * Takes the destinations of another plan; those that were there before keep their state. isSpooling:
   * whether a spool may have lines for those that were not.
   */
  setDestinations(
    destinations: readonly PlannedDestination[],
    resolved: readonly ResolvedDestination[],
    isSpooling = false,
  ): void {
    const known = new Set(this.#members.map(({ destination }) => destination.key));
    this.#members = destinations.map((destination, index) => {
      const to = resolved[index]!;
      const isDatagram = to.protocol === "udp" || to.protocol === "unixgram";
      return { destination, isHeldBySwitch: isDatagram && isServed(destination, to) };
    });
    const present = new Set(destinations.map(({ key }) => key));
    for (const keys of [this.#down, this.#returning]) {
      for (const key of keys) if (!present.has(key)) keys.delete(key);
    }
    // A destination may have a channel only now, or still the one of its last time, when it was down.
    for (const key of present) this.#outlet.setState(key, !this.#down.has(key));
    for (const { destination, isHeldBySwitch } of this.#members) {
      if (isSpooling && isHeldBySwitch && !known.has(destination.key)) this.#returning.add(destination.key);
    }
    if (this.#returning.size > 0) this.#watchReturns();
    this.#told = "";
    this.#downInForce = new Set(this.#down);
  }

  /** Takes a verdict. */
  setUp(key: string, isUp: boolean): void {
    const member = this.#members.find(({ destination }) => destination.key === key);
    if (member === undefined) return;
    if (isUp) this.#down.delete(key);
    else this.#down.add(key);
    this.#outlet.setState(key, isUp);
    if (isUp && member.isHeldBySwitch) {
      this.#returning.add(key);
      this.#watchReturns();
    } else {
      this.#returning.delete(key);
    }
    this.#tell();
  }

  /** Tells the receivers, unless nothing has changed. */
  #tell(): void {
    const states = this.current();
    const text = `${states.join()} ${[...this.#down].join()}`;
    if (text === this.#told) return;
    this.#told = text;
    const down = new Set(this.#down);
    void this.#onChange(states).then(() => {
      this.#downInForce = down;
    });
  }

  /** States by index of the destination. */
  current(): DestinationState[] {
    return this.#members.map(({ destination: { key, onDead } }) => {
      if (this.#returning.has(key)) return "hold";
      if (!this.#down.has(key) || onDead === "keep") return "serve";
      return onDead === "drop" ? "drop" : onDead === "next" ? "skip" : "hold";
    });
  }

  /** Whether lines of a destination go to it now, in all receivers. */
  isUp(key: string): boolean {
    return !this.#downInForce.has(key);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #watchReturns(): void {
    this.#timer ??= setInterval(() => {
      for (const key of this.#returning) {
        const totals = this.#outlet.totalsOf(key);
        const waiting =
          totals === undefined ? 0 : totals.linesQueued + totals.linesHeld + totals.linesSpooled;
        if (waiting === 0) this.#returning.delete(key);
      }
      if (this.#returning.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
      this.#tell();
    }, RETURN_CHECK_MS).unref();
  }
}
