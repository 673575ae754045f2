/** Logs what is wrong with a store, once for each change. */
import type { Clock } from "../../shared/clock.ts";
import type { WorldLog } from "../world.ts";
import type { EndpointFault } from "./http-endpoints.ts";

/** A store that fails and works in turn has two lines for each endpoint in this time, and no more. */
const QUIET_MS = 10_000;

interface Logged {
  readonly fault: string;
  readonly loggedMs: number;
  isOver: boolean;
}

export class FaultLog {
  readonly #engine: string;
  readonly #log: WorldLog;
  readonly #clock: Clock;
  /** By endpoint, of which there are a few. */
  readonly #logged = new Map<string, Logged>();

  constructor(engine: string, { log, clock }: { log: WorldLog; clock: Clock }) {
    this.#engine = engine;
    this.#log = log;
    this.#clock = clock;
  }

  /** Logs a fault where it is another than the endpoint had before. */
  failed({ endpoint, message: fault, remedy }: EndpointFault): void {
    const nowMs = this.#clock.monotonicMs();
    const last = this.#logged.get(endpoint);
    const isNews = last === undefined || last.isOver || last.fault !== fault;
    if (!isNews || (last !== undefined && nowMs < last.loggedMs + QUIET_MS)) return;
    this.#logged.set(endpoint, { fault, loggedMs: nowMs, isOver: false });
    this.#log.warn("election.store-fault", { engine: this.#engine, endpoint, fault, remedy });
  }

  /** Logs that the store works again, where a fault was logged. */
  worked(): void {
    const open = [...this.#logged.values()].filter(({ isOver }) => !isOver);
    if (open.length === 0) return;
    for (const logged of open) logged.isOver = true;
    this.#log.info("election.store-works", { engine: this.#engine });
  }
}
