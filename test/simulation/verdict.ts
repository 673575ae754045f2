/** Judges a history when all is quiet again: is everything where it belongs, once, everywhere the same? */
import type { DeliveredSlot } from "../../cluster/register.ts";
import { isNewer } from "../../cluster/register.ts";
import type { Carbon } from "./carbon.ts";
import type { History } from "./history.ts";
import { type Entry, NAME_COUNT, nameOf, OUTSIDE, orderText, setText } from "./ledger.ts";

/** What a healthy cluster may take beyond the settling time, from an interval's end to the sink's answer. */
const LAG_MS = 3500;
/** After faults have ended, intervals that end later than this are a healthy cluster's. */
const RECOVERY_MS = 8000;
/** After faults have ended, amended intervals are settled after so long. */
const SETTLED_MS = 12_000;

export class Verdict {
  readonly #history: History;

  constructor(history: History) {
    this.#history = history;
  }

  /** I6: an interval of a healthy cluster was acknowledged by a sink. */
  lag(interval: number, endMs: number, nowMs: number): void {
    const { faultsEndMs, swarm, stats, ledger } = this.#history;
    const isHealthy = endMs > faultsEndMs + RECOVERY_MS && stats.jumps === 0;
    // What was left over from the faults is written first, one interval after the other.
    const stallMs = swarm.diskStalls > 0 ? 5000 : 0;
    const boundMs =
      2000 + LAG_MS + stallMs + 2 * swarm.skewMs + 40 * swarm.storeMs + 12 * (swarm.delayMs + swarm.diskMs);
    if (isHealthy && nowMs - endMs > boundMs) {
      ledger.violate(`I6: interval ${interval} was acknowledged ${(nowMs - endMs).toFixed(0)} ms late`);
    }
  }

  /** Anti-entropy: some time after all is well no delta may be with one node only. */
  countThin(): void {
    const { ledger, machines, stats, swarm } = this.#history;
    if (machines.filter(({ isWitness }) => !isWitness).length < 2) return;
    const oldest = this.#interval() - swarm.retainIntervals + 2;
    const thin = ledger.entries.filter(
      ({ holders, cutMs, delta, isLevels }) =>
        holders !== 0 &&
        (holders & (holders - 1)) === 0 &&
        holders !== 1 << OUTSIDE &&
        !isLevels &&
        delta.interval >= oldest &&
        cutMs < this.#history.faultsEndMs,
    );
    stats.thin += thin.length;
    if (thin.length > 0) {
      ledger.violate(`anti-entropy: ${thin.length} deltas on one node only, ${describe(thin[0]!)}`);
    }
  }

  /** All invariants of the end. */
  judge(): void {
    const { ledger, sinks, stats } = this.#history;
    const { decided } = ledger;
    stats.lost += ledger.uncutSamples;
    stats.samples = ledger.entries.reduce((sum, { delta }) => sum + delta.samples, ledger.uncutSamples);
    const orders = new Map<number, readonly number[]>();
    for (const [interval, { manifest, isComplete }] of decided) {
      if (interval >= this.#interval() - 1) continue;
      const order = ledger.orderOf(manifest);
      if (order === undefined) ledger.violate(`the register of ${interval} names what nobody made`);
      orders.set(interval, order ?? []);
      // What was delivered to one sink and is lost since cannot be delivered to the other.
      if (isComplete || this.#isLost(order ?? [])) continue;
      ledger.violate(`I6: interval ${interval} was not delivered to all sinks`);
    }
    for (const sink of sinks) this.#judgeSink(sink, orders, decided);
    this.#judgeEntries(orders);
    this.#judgeKept(orders);
  }

  /** Whether nobody has some of these deltas any more. */
  #isLost(order: readonly number[]): boolean {
    return order.some((index) => this.#history.ledger.entries[index]!.holders === 0);
  }

  /** Whether something newer than what was delivered may have been written, and is lost. */
  #isOpen(interval: number): boolean {
    const { ledger } = this.#history;
    const pending = ledger.pending.get(interval);
    if (pending === undefined || !isNewer(pending, ledger.decided.get(interval))) return false;
    return this.#isLost(ledger.orderOf(pending.manifest) ?? []);
  }

  /** Lost before a sink had it, or before late bytes of an earlier revision could be buried. */
  #isBeyondRepair(
    sink: Carbon,
    interval: number,
    { revision, sinks }: DeliveredSlot,
    order: readonly number[],
  ): boolean {
    if (this.#isLost(order)) return revision > 1 || !sinks.includes(sink.name);
    // Where leaders changed all the time nobody was there to settle it while it was remembered: bytes that a
    // former leader had handed over in time may lie over later ones.
    const { swarm, faultsEndMs, epochMs } = this.#history;
    const quietFrom = Math.floor((epochMs + faultsEndMs + SETTLED_MS) / swarm.intervalMs);
    return revision > 1 && sink.late.has(interval) && interval < quietFrom - swarm.retainIntervals;
  }

  #interval(): number {
    const { schedule, swarm, epochMs } = this.#history;
    return Math.floor((epochMs + schedule.nowMs) / swarm.intervalMs);
  }

  /** What a sink has in the end is what was decided last, name by name. */
  #judgeSink(
    sink: Carbon,
    orders: ReadonlyMap<number, readonly number[]>,
    decided: ReadonlyMap<number, DeliveredSlot>,
  ): void {
    const { ledger, inspector } = this.#history;
    for (const [interval, order] of orders) {
      if (inspector.inDoubt.has(interval) || ledger.excused.has(interval)) continue;
      if (sink.givenUp.has(interval)) continue;
      if (this.#isOpen(interval) || this.#isBeyondRepair(sink, interval, decided.get(interval)!, order))
        continue;
      const content = sink.content.get(interval);
      for (let name = 0; name < NAME_COUNT; name++) {
        const wanted = order.filter((index) => (ledger.entries[index]!.names & (1 << name)) !== 0);
        const found = content?.get(name) ?? [];
        if (orderText(wanted) === orderText(found)) continue;
        ledger.violate(
          `I5: ${sink.name} has [${orderText(found)}] for name ${name} of ${interval}, ` +
            `decided [${orderText(wanted)}]`,
        );
        break;
      }
    }
    for (const interval of sink.content.keys()) {
      if (interval >= this.#interval() - 1) continue;
      if (decided.has(interval) || ledger.excused.has(interval)) continue;
      const isHeld = ledger.entries.some(
        ({ delta, holders }) => delta.interval === interval && holders !== 0,
      );
      if (isHeld) ledger.violate(`${sink.name} has interval ${interval}, which nobody says was delivered`);
    }
  }

  /** I3 and I7: each delta is in the final value, or nobody has it any more, or it is counted. */
  #judgeEntries(orders: ReadonlyMap<number, readonly number[]>): void {
    const { ledger, stats, agents } = this.#history;
    const sets = new Map([...orders].map(([interval, order]) => [interval, new Set(order)]));
    const missing: Entry[] = [];
    const counted = stats.lateSamples + stats.forgottenSamples + stats.unmergeableSamples;
    for (const entry of ledger.entries) {
      if (
        entry.isLevels ||
        entry.delta.interval >= this.#interval() - 1 ||
        sets.get(entry.delta.interval)?.has(entry.index) === true
      )
        continue;
      if (entry.holders === 0 && !entry.isRefused) stats.lost += entry.delta.samples;
      else if (this.#isLost(orders.get(entry.delta.interval) ?? []))
        stats.unmergeableSamples += entry.delta.samples;
      else missing.push(entry);
    }
    const missed = missing.reduce((sum, { delta }) => sum + delta.samples, 0);
    const refused = missing.filter(({ isRefused }) => isRefused);
    const excused = refused.reduce((sum, { delta }) => sum + delta.samples, 0);
    if (missed > counted + excused) {
      const first = missing.find(({ isRefused }) => !isRefused) ?? missing[0]!;
      ledger.violate(
        `I3: ${missing.length} deltas (${missed} samples, ${counted} counted) are held and not in the ` +
          `final value: ${describe(first)}`,
      );
    }
    const waiting = agents.reduce((sum, agent) => sum + agent.waiting, 0);
    if (waiting > 0) ledger.violate(`I7: agents still wait for ${waiting} deltas`);
  }

  /** What outlives intervals is the same everywhere: made of what was decided. */
  #judgeKept(orders: ReadonlyMap<number, readonly number[]>): void {
    const { ledger, machines, inspector, swarm, faultsEndMs } = this.#history;
    // Members that were cut off for longer than that keep what they knew.
    if (swarm.retainIntervals * swarm.intervalMs < faultsEndMs) return;
    for (const { name, store, isWitness } of machines) {
      if (isWitness || store === undefined) continue;
      for (const [interval, order] of orders) {
        if (inspector.inDoubt.has(interval) || ledger.excused.has(interval)) continue;
        if (this.#isLost(order) || this.#isOpen(interval)) continue;
        const kept = store.kept.get(interval);
        if (kept === undefined || kept === setText(order)) continue;
        ledger.violate(`${name} keeps [${kept}] of ${interval}, decided [${setText(order)}]`);
        break;
      }
    }
  }
}

function describe(entry: Entry): string {
  const seconds = (entry.cutMs / 1000).toFixed(1);
  const holders = entry.holders.toString(2);
  const { delta, index } = entry;
  return `#${index} ${nameOf(delta)} of ${delta.interval}, cut t=${seconds}, held by ${holders}`;
}
