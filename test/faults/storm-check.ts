/** One fault after the other on one cluster, in random order: what a check for itself does not meet. */
import { rmSync } from "node:fs";
import type { Random } from "../../shared/random.ts";
import { lasting } from "../support/fault-clock.ts";
import type { Excuse } from "../support/fault-ledger.ts";
import type { FaultRig } from "../support/fault-rig.ts";
import { type Check, rowOf, withRig } from "./check.ts";
import { recoveryOf } from "./pause-checks.ts";

const LOSS_MS_MAX = 1000;

class Storm {
  readonly #rig: FaultRig;
  readonly #random: Random;
  readonly excuses: Excuse[] = [];
  readonly delays: Excuse[] = [];
  /** Faults done, for people. */
  readonly log: string[] = [];

  constructor(rig: FaultRig, random: Random) {
    this.#rig = rig;
    this.#random = random;
  }

  /** Does a fault of any kind to any node, and mends it. */
  async strike(): Promise<void> {
    const faults = [
      this.#kill,
      this.#pause,
      this.#isolate,
      this.#cut,
      this.#carbonAway,
      this.#carbonResets,
      this.#killAfterHealing,
      this.#restart,
    ];
    const names = this.#rig.names;
    // The leader as often as all others together.
    const leader = await this.#rig.leader();
    const node = this.#random.between(0, 2) < 1 ? leader : names[this.#dice(names.length)]!;
    const fault = faults[this.#dice(faults.length)]!;
    this.log.push(`${fault.name.replace("#", "")} ${node}${node === leader ? " (leader)" : ""}`);
    await fault.call(this, node);
    await lasting(this.#random.between(0, this.#rig.intervalMs));
    for (const name of names) await this.#rig.untilReady(name);
  }

  #dice(sides: number): number {
    return Math.floor(this.#random.between(0, sides));
  }

  async #kill(node: string): Promise<void> {
    const atMs = await this.#rig.kill(node);
    this.excuses.push({ node, fromMs: atMs - LOSS_MS_MAX, toMs: atMs });
    await lasting(this.#random.between(0, 4000));
    const isEmpty = this.#dice(3) === 0;
    if (isEmpty) rmSync(this.#rig.stateDir(node), { recursive: true });
    await this.#rig.revive(node);
  }

  async #pause(node: string): Promise<void> {
    const fromMs = Date.now() - this.#rig.intervalMs;
    this.#rig.node(node).pause();
    await lasting(this.#random.between(300, 6000));
    this.#rig.node(node).resume();
    this.delays.push({ node, fromMs, toMs: Date.now() + 500 });
  }

  async #isolate(node: string): Promise<void> {
    await this.#rig.network.isolate(node);
    await lasting(this.#random.between(500, 8000));
    await this.#rig.network.heal(node);
  }

  async #cut(node: string): Promise<void> {
    const others = this.#rig.names.filter((name) => name !== node);
    await this.#rig.network.cut(node, others[this.#dice(2)]!);
    await lasting(this.#random.between(500, 8000));
    for (const other of others) await this.#rig.network.heal(other);
  }

  async #carbonAway(): Promise<void> {
    await this.#rig.carbon.stop();
    await lasting(this.#random.between(500, 6000));
    await this.#rig.carbon.start();
  }

  async #carbonResets(): Promise<void> {
    this.#rig.carbon.behave({
      kind: "reset",
      afterBytes: () => (this.#dice(2) === 0 ? 1 + this.#dice(8000) : Number.POSITIVE_INFINITY),
    });
    await lasting(this.#random.between(500, 6000));
    this.#rig.carbon.behave({ kind: "ack" });
  }

  /** A cut-off node is heard again, and another one dies before they have told each other all. */
  async #killAfterHealing(node: string): Promise<void> {
    await this.#isolate(node);
    await lasting(this.#random.between(0, 1000));
    const others = this.#rig.names.filter((name) => name !== node);
    await this.#kill(others[this.#dice(2)]!);
  }

  async #restart(node: string): Promise<void> {
    this.#rig.source.end(node);
    await this.#rig.node(node).stop();
    await this.#rig.revive(node);
  }
}

const storm: Check = {
  ids: ["R36"],
  runs: 15,
  shortRuns: 0,
  run: (context) =>
    withRig(context, {}, async (rig) => {
      const storm = new Storm(rig, context.random);
      for (let run = 0; run < context.runs; run++) await storm.strike();
      const { excuses, delays, log } = storm;
      const balance = await rig.balance({ excuses, delays });
      const row = rowOf(
        {
          id: "R36",
          title: "all of these in random order on one cluster",
          target: "nothing lost but with a killed node, nothing twice",
          scale: "interval 2 s, minutes instead of 72 h",
        },
        balance,
        {
          figure: `${log.length} faults`,
          runs: context.runs,
          recoveryMs: recoveryOf(balance.lags),
        },
      );
      return [row.offences.length === 0 ? row : { ...row, offences: [...row.offences, log.join(", ")] }];
    }),
};

export const STORM_CHECKS: readonly Check[] = [storm];
