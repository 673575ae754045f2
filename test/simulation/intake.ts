/** The intakes of one process: samples come and are cut into deltas, each second and interval. */
import type { History } from "./history.ts";
import { NAME_COUNT } from "./ledger.ts";
import type { Machine } from "./machine.ts";

const SNAPSHOT_MS = 1000;

export class Intake {
  /** Samples since the last delta. */
  uncutSamples = 0;
  readonly #history: History;
  readonly #machine: Machine;
  readonly #source: string;
  #sequence = 0;
  #interval: number | undefined;
  #cutMs = 0;
  #isClosed = false;

  constructor(history: History, machine: Machine, incarnation: string) {
    this.#history = history;
    this.#machine = machine;
    this.#source = `${machine.name}.0.${incarnation}`;
  }

  tick(): void {
    const { dice } = this.#history;
    const node = this.#machine.node!;
    const nowMs = this.#machine.monotonicMs();
    if (this.#isClosed || !node.hasClock) return;
    const interval = Math.floor(node.clusterNowMs() / this.#history.swarm.intervalMs);
    if (this.#interval === undefined) {
      this.#interval = interval;
      this.#cutMs = nowMs - dice.between(0, SNAPSHOT_MS);
      node.closeBelow(interval);
    }
    if (interval > this.#interval) {
      this.#cut(nowMs);
      this.#interval = interval;
      node.closeBelow(interval);
    } else if (nowMs - this.#cutMs >= SNAPSHOT_MS) {
      this.#cut(nowMs);
    }
    if (!this.#history.isDraining) this.uncutSamples += dice.below(4);
  }

  /** Cuts what is there and takes nothing more. */
  finish(): void {
    this.#cut(0);
    this.#isClosed = true;
  }

  #cut(nowMs: number): void {
    this.#cutMs = nowMs;
    const samples = this.uncutSamples;
    if (samples === 0 || this.#interval === undefined) return;
    this.uncutSamples = 0;
    const { ledger, dice, inspector } = this.#history;
    const delta = {
      source: this.#source,
      sequence: this.#sequence++,
      interval: this.#interval,
      samples,
      bytes: new Uint8Array(20),
    };
    inspector.labelled(this.#interval, samples);
    ledger.note(delta, this.#machine.index, 1 + dice.below(2 ** NAME_COUNT - 1));
    this.#machine.add(delta);
  }
}
