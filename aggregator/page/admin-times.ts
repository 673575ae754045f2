/**
 * When things last happened, for the answer to `stats` of etsy's port, whose tools alarm by it. The totals
 * have counts alone, so they are looked at once a second, which is as fine as the answer is.
 */
import { SinkFailures } from "../sink-failures.ts";
import { sumSockets } from "../totals.ts";
import type { AggregatorView } from "./view.ts";

const LOOK_MS = 1000;

export class AdminTimes {
  readonly #view: Pick<AggregatorView, "totals">;
  readonly #failures = new SinkFailures();
  readonly #timer: NodeJS.Timeout;
  #received = 0;
  // As with etsy's, what has never happened counts from the start.
  #lineMs = performance.timeOrigin;
  #failureMs = performance.timeOrigin;

  constructor(view: Pick<AggregatorView, "totals">) {
    this.#view = view;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Wall clock of the last line received, milliseconds since 1970. */
  get lastLineMs(): number {
    this.#look();
    return this.#lineMs;
  }

  /** Wall clock at which carbon last failed, milliseconds since 1970. */
  get lastFailureMs(): number {
    this.#look();
    return this.#failureMs;
  }

  #look(): void {
    const totals = this.#view.totals();
    const received = sumSockets(totals, "received");
    if (received !== this.#received) this.#lineMs = Date.now();
    this.#received = received;
    const carbons = totals.sinks.filter(({ name }) => name.startsWith("carbon"));
    if (this.#failures.look(carbons)) this.#failureMs = Date.now();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
