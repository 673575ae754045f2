/** The relay's account as statsd lines of its own, with `stats = full`. */
import { dropCounter, LINE_DROP_REASONS } from "../counters.ts";
import { GONE } from "../output-ledger.ts";
import { servingRoutes } from "../plan.ts";
import { fingerprintNumber } from "../ring/fingerprint.ts";
import { DESTINATION_LOSSES } from "./losses.ts";
import { splitKey } from "./metrics.ts";
import { accountOf, type RelayState } from "./status.ts";

/**
 * Rows of README's table: what is sent, below the prefix. Counters are sent when they have grown.
 */
export const OWN_STATS = {
  statsProcessed: "Lines accepted, by each thread; also without `stats = full`.",
  linesReceived: "Lines received that are not blank.",
  "linesDropped.REASON": "Lines not routed.",
  kernelDrops: "Datagrams that the system dropped.",
  "destination.RING.NAME.linesSent":
    "Lines sent; NAME is the destination with underscores for what is no letter.",
  "destination.RING.NAME.linesLost.REASON": "Lines routed and not sent.",
  "destination.RING.NAME.linesWaiting": "Gauge: lines queued, held or in the spool.",
  "destination.RING.NAME.up": "Gauge: 1 while lines go to it.",
  "ring.RING.fingerprint": "Gauge: the first 48 bits of the ring's fingerprint.",
} as const;

/** Gauges are said again after so many rounds even where nothing has changed. */
const GAUGE_ROUNDS = 10;

export class OwnStats {
  readonly #prefix: string;
  readonly #state: () => RelayState;
  readonly #send: (lines: readonly string[]) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #sent: Map<string, number>;
  /** Gauges as they were said last. */
  #said: ReadonlyMap<string, number> = new Map();
  #round = 0;

  /**
   * intervalMs: pace of the lines. send: takes them, without line feeds. sent: what counters were when they
   * were sent last; whoever comes after this one gets it too, so that nothing is counted twice.
   */
  constructor(
    prefix: string,
    intervalMs: number,
    state: () => RelayState,
    send: (lines: readonly string[]) => void,
    sent: Map<string, number> = new Map(),
  ) {
    this.#sent = sent;
    this.#prefix = prefix === "" ? "" : `${prefix}.`;
    this.#state = state;
    this.#send = send;
    this.#timer = setInterval(() => this.#send(this.lines()), intervalMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** The lines of one round. */
  lines(): string[] {
    const state = this.#state();
    this.#round += 1;
    const lines = [...this.#counters(state), ...this.#gauges(state)];
    return lines.map((line) => `${this.#prefix}${line}`);
  }

  *#counters(state: RelayState): Generator<string> {
    const totals = new Map<string, number>();
    const add = (name: string, value: number) => totals.set(name, (totals.get(name) ?? 0) + value);
    for (const { intake } of state.listeners) {
      add("linesReceived", intake.received);
      add("kernelDrops", intake.kernelDrops);
      for (const reason of LINE_DROP_REASONS) add(`linesDropped.${reason}`, intake[dropCounter(reason)]);
    }
    for (const [key, output] of state.outputs) {
      // Counted under their own names before.
      if (key === GONE) continue;
      const account = accountOf(output, state.channels.get(key));
      add(`${nameOf(key)}.linesSent`, account.sent);
      for (const reason of DESTINATION_LOSSES) {
        add(`${nameOf(key)}.linesLost.${reason}`, account.lost[reason]);
      }
    }
    for (const name of this.#sent.keys()) if (!totals.has(name)) this.#sent.delete(name);
    for (const [name, total] of totals) {
      const grown = total - (this.#sent.get(name) ?? 0);
      if (grown <= 0) continue;
      this.#sent.set(name, total);
      yield `${name}:${grown}|c`;
    }
  }

  *#gauges(state: RelayState): Generator<string> {
    const values = new Map<string, number>();
    for (const { key } of state.plan.destinations) {
      const output = state.outputs.get(key);
      if (output === undefined) continue;
      const { queued, held, spooled } = accountOf(output, state.channels.get(key));
      values.set(`${nameOf(key)}.linesWaiting`, queued + held + spooled);
      values.set(`${nameOf(key)}.up`, state.isUp(key) ? 1 : 0);
    }
    for (const { ring } of servingRoutes(state.plan)) {
      values.set(`ring.${ring.name}.fingerprint`, fingerprintNumber(ring.fingerprint));
    }
    const isDue = this.#round % GAUGE_ROUNDS === 1;
    for (const [name, value] of values) {
      if (!isDue && this.#said.get(name) === value) continue;
      yield `${name}:${value}|g`;
    }
    this.#said = values;
  }
}

function nameOf(key: string): string {
  const [ring, destination] = splitKey(key);
  return `destination.${ring}.${destination.replaceAll(/[^A-Za-z0-9-]+/g, "_")}`;
}
