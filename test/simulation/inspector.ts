/** Checks what nodes do, at the moment when they do it. */
import type { Register, Slot } from "../../cluster/register.ts";
import { isNewer } from "../../cluster/register.ts";
import type { WriteOrder } from "../../cluster/world.ts";
import type { History } from "./history.ts";
import { nameOf, orderText } from "./ledger.ts";
import type { Machine } from "./machine.ts";

const EPOCH_MS = 1_700_000_000_000;
/** A process that has begun waits for others at least so long, on its own clock. */
const ALONE_MS = 4900;

function isRecorded(register: Register | undefined, decided: Slot): boolean {
  const isEnough = (slot: Slot | undefined): boolean => slot !== undefined && !isNewer(decided, slot);
  return isEnough(register?.pending) || isEnough(register?.delivered);
}

/** The slot that an order carries out. What an earlier leader delivered is settled as that one decided it. */
function slotOf(register: Register | undefined, order: WriteOrder): Slot | undefined {
  return [register?.pending, register?.delivered].find(
    (slot) =>
      slot?.revision === order.revision &&
      (slot.term === order.term || (order.cause === "settle" && slot.term < order.term)),
  );
}

function hasLease(machine: Machine): boolean {
  return machine.isUp && machine.election!.leadership().leaseUntilMs > machine.monotonicMs();
}

export class Inspector {
  readonly #history: History;
  /** First acknowledgement of each interval, by sink: true time. */
  readonly #acknowledged = new Map<string, number>();
  /** Intervals that were written although something may be missing. */
  readonly inDoubt = new Set<number>();

  constructor(history: History) {
    this.#history = history;
  }

  /** A delta was labelled with an interval. */
  labelled(interval: number, samples: number): void {
    const { schedule, swarm, stats } = this.#history;
    const truth = Math.floor((EPOCH_MS + schedule.nowMs) / swarm.intervalMs);
    const sinceMs = (EPOCH_MS + schedule.nowMs) % swarm.intervalMs;
    const isNear = Math.abs(interval - truth) === 1 && Math.min(sinceMs, swarm.intervalMs - sinceMs) < 1100;
    if (interval !== truth && !isNear) stats.mislabelled += samples;
  }

  /** A process has looked what is due. */
  ticked(machine: Machine): void {
    const { role, term } = machine.election!.leadership();
    if (role !== "leader") return;
    this.#history.ledger.lead(term, machine.name);
    this.#checkLease(machine, "leads");
  }

  /** A process is asked what earlier intervals have left: it has to know, where others do. */
  prepared(machine: Machine, interval: number): void {
    const { schedule, machines, ledger } = this.#history;
    // Later it may go on by itself, having found nobody who knows.
    if (machine.store!.kept.size > 0 || schedule.nowMs - machine.bootedMs > ALONE_MS) return;
    const others = machines.filter((one) => one !== machine && one.isUp && !one.isWitness);
    const knows = ({ store }: Machine): boolean =>
      store!.keptFromMs < machine.bootedMs && [...store!.kept.keys()].some((kept) => kept < interval);
    if (others.length > 0 && others.every(knows)) {
      ledger.violate(`${machine.name} leads, and took nothing over from those who know`);
    }
  }

  /** A process is about to write an interval's rows. */
  order(machine: Machine, order: WriteOrder, table: readonly number[]): void {
    const { ledger, stats, machines } = this.#history;
    const { interval, term, revision, cause } = order;
    const what = `${machine.name}: interval ${interval} t${term} r${revision} ${cause}`;
    this.#history.trace(
      machine.name,
      `write ${interval} t${term} r${revision} ${cause} [${orderText(table)}] ${
        order.isInDoubt ? "in doubt " : ""
      }${order.isDegraded ? "degraded" : ""}`,
    );
    stats.writes += 1;
    if (cause === "amend") stats.amends += 1;
    if (cause === "takeover") stats.takeovers += 1;
    if (cause === "settle") stats.settles += 1;
    if (order.isDegraded) stats.degraded += 1;
    for (const index of table) {
      const { delta } = ledger.entries[index]!;
      if (delta.interval !== interval) ledger.violate(`${what} has ${nameOf(delta)} of ${delta.interval}`);
    }
    const slot = slotOf(machine.disk.said.get(interval), order);
    if (slot === undefined) {
      ledger.violate(`${what} is not what its register says`);
    } else {
      const decided = ledger.orderOf(slot.manifest);
      if (decided === undefined || orderText(decided) !== orderText(table)) {
        ledger.violate(`I4: ${what} writes [${orderText(table)}], decided [${orderText(decided ?? [])}]`);
      }
    }
    if (cause === "first") this.#checkCopies(what, order, table);
    ledger.write(interval, `t${slot?.term ?? term} r${revision}`, table);
    if (order.isInDoubt) {
      this.inDoubt.add(interval);
    } else if (!this.inDoubt.has(interval) && !ledger.excused.has(interval)) {
      const missing = ledger.missingFrom(interval, table);
      if (missing.length > 0) ledger.violate(`I5: ${what} lacks [${orderText(missing)}], delivered before`);
    }
    if (slot === undefined) return;
    const recorded = machines.filter(({ disk }) => {
      // What a disk refused is in memory only, and known to be.
      const registers = disk.refused.has(interval) ? disk.said : disk.registers;
      return isRecorded(registers.get(interval), slot);
    }).length;
    const quorum = this.#history.swarm.isStatic ? 1 : Math.floor(machines.length / 2) + 1;
    if (recorded < quorum && cause !== "settle" && !ledger.excused.has(interval)) {
      ledger.violate(`${what} is recorded by ${recorded} of ${machines.length}`);
    }
  }

  /** Rows go out, by a lease or since they were left to this process: nobody else may have a lease. */
  send(machine: Machine, interval: number, isLeft: boolean): void {
    if (!isLeft && !hasLease(machine)) {
      this.#history.ledger.violate(`I1: ${machine.name} writes ${interval} without a lease`);
    }
    this.#checkLease(machine, `writes ${interval}`);
  }

  /** Two copies of everything, unless it was said that there is only one. */
  #checkCopies(what: string, order: WriteOrder, table: readonly number[]): void {
    const { ledger, machines } = this.#history;
    if (order.isDegraded || machines.filter(({ isWitness }) => !isWitness).length < 2) return;
    const single = table
      .map((index) => ledger.entries[index]!)
      .find(({ holders, cutMs }) => (holders & (holders - 1)) === 0 && cutMs > ledger.crashedMs);
    if (single !== undefined) {
      ledger.violate(`${what} is not degraded, but ${nameOf(single.delta)} has one copy`);
    }
  }

  #checkLease(machine: Machine, what: string): void {
    if (!hasLease(machine)) return;
    for (const other of this.#history.machines) {
      if (other === machine || !hasLease(other)) continue;
      this.#history.ledger.violate(`I1: ${machine.name} ${what} while ${other.name} has a lease, too`);
    }
  }

  /** A sink's acknowledgement of a whole order was heard. */
  delivered(sink: string, interval: number, table: readonly number[]): void {
    const { schedule, swarm, stats, ledger } = this.#history;
    ledger.deliver(interval, table);
    const key = `${sink} ${interval}`;
    if (this.#acknowledged.has(key)) return;
    const endMs = (interval + 1) * swarm.intervalMs - EPOCH_MS;
    this.#acknowledged.set(key, schedule.nowMs);
    stats.lags.push(schedule.nowMs - endMs);
    this.#history.verdict.lag(interval, endMs, schedule.nowMs);
  }

  /** A process that was asked to leave says that others have all. */
  drained(machine: Machine): void {
    const { ledger, machines } = this.#history;
    const alone = 1 << machine.index;
    const isAnybodyThere = machines.some(
      (other) => other !== machine && !other.isWitness && other.isUp && !other.isPaused,
    );
    if (!isAnybodyThere) return;
    const reachable = machines.some(
      (other) =>
        other !== machine &&
        !other.isWitness &&
        other.isUp &&
        !other.isPaused &&
        !this.#history.network.isCut(machine, other) &&
        !this.#history.network.isCut(other, machine),
    );
    const left = ledger.entries.filter(
      (entry) => entry.holders === alone && !entry.isLevels && entry.origin === machine.index,
    );
    if (reachable && left.length > 0) this.#history.stats.leftBehind += left.length;
  }

  /** A process ends, of whatever cause: counts are collected, and what its disk never got is noted. */
  ended(machine: Machine): void {
    const { ledger, stats } = this.#history;
    for (const interval of machine.disk.refused) ledger.excused.add(interval);
    machine.disk.refused.clear();
    const { counts } = machine.node!.view();
    stats.elections += counts.elections;
    stats.lateSamples += counts.lateSamples;
    stats.forgottenSamples += counts.forgottenSamples;
    stats.unmergeableSamples += counts.unmergeableSamples;
    stats.rivals += counts.rivalsSeen;
    stats.stale += counts.staleMessages;
  }
}
