/** What goes wrong: at random moments, and exactly where it hurts the protocol most. */
import type { History } from "./history.ts";
import type { Machine } from "./machine.ts";
import { FAULTS, type Fault } from "./swarm.ts";

/** Where a fault at a critical point strikes. */
export type CriticalPoint =
  | "vote saved"
  | "intent sent"
  | "intent received"
  | "write"
  | "acknowledged"
  | "done";

/** How a process ends or stands still at a critical point, most of the time at once. */
const AFTERWARDS_MS = 3;

export class Faults {
  readonly #history: History;
  #isOver = false;

  constructor(history: History) {
    this.#history = history;
  }

  begin(): void {
    const { schedule, dice, swarm } = this.#history;
    if (FAULTS.every((fault) => swarm.weights[fault] === 0)) return;
    schedule.after(3000 + dice.waitMs(swarm.faultEveryMs), () => this.#strike());
  }

  /** Ends all that goes wrong, and mends it. */
  end(): void {
    const { machines, network, sinks, swarm } = this.#history;
    this.#isOver = true;
    network.heal();
    for (const sink of sinks) {
      sink.isDown = false;
      sink.isCalm = true;
    }
    for (const machine of machines) {
      machine.disk.isFull = false;
      machine.boot();
      machine.resume();
    }
    // People see that nobody leads.
    if (swarm.isStatic && this.#history.leader() === undefined) machines[0]!.choose();
  }

  /** Something may go wrong right here. */
  critical(machine: Machine, point: CriticalPoint): void {
    const { dice, swarm, schedule, stats } = this.#history;
    if (this.#isOver || !machine.isUp || machine.isPaused || !dice.isHit(swarm.critical)) return;
    stats.critical += 1;
    this.#history.trace(machine.name, `fault at: ${point}`);
    const draw = dice.between(0, 1);
    const isCurrent = machine.isCurrent();
    const act = (): void => {
      if (this.#isOver || !isCurrent() || machine.isPaused) return;
      if (draw < 0.45) this.#kill(machine, dice.isHit(0.4) ? dice.between(50, 350) : dice.between(500, 6500));
      else if (draw < 0.75) this.#pause(machine, dice.between(300, 6300));
      else this.#cutOff(machine, dice.between(500, 8500), dice.isHit(0.5));
    };
    if (dice.isHit(0.6)) act();
    else schedule.after(dice.between(0, AFTERWARDS_MS), act);
  }

  #strike(): void {
    if (this.#isOver) return;
    const { schedule, dice, swarm } = this.#history;
    const target = this.#target();
    const total = FAULTS.reduce((sum, fault) => sum + swarm.weights[fault], 0);
    let draw = dice.between(0, total);
    for (const fault of FAULTS) {
      draw -= swarm.weights[fault];
      if (draw >= 0) continue;
      this.#history.trace(target.name, `fault: ${fault}`);
      this.#commit(fault, target);
      break;
    }
    schedule.after(1000 + dice.waitMs(swarm.faultEveryMs), () => this.#strike());
  }

  #target(): Machine {
    const { machines, dice, swarm } = this.#history;
    const leader = this.#history.leader();
    if (swarm.target === "leader" && leader !== undefined) return leader;
    if (swarm.target === "follower") return dice.pick(machines.filter((machine) => machine !== leader))!;
    return dice.isHit(0.5) && leader !== undefined ? leader : dice.pick(machines)!;
  }

  #commit(fault: Fault, target: Machine): void {
    const { dice } = this.#history;
    const acts: Readonly<Record<Fault, () => void>> = {
      kill: () => this.#kill(target, dice.isHit(0.3) ? 300 : dice.between(500, 20_000)),
      pause: () =>
        this.#pause(target, dice.isHit(0.5) ? dice.between(300, 1800) : dice.between(1500, 16_500)),
      partition: () => this.#partition(target),
      jump: () => this.#jump(target),
      sink: () => this.#breakSink(),
      connection: () => this.#breakConnections(target),
      leave: () => this.#leave(target),
      transfer: () => this.#transfer(),
      wipe: () => this.#wipe(target),
      diskFull: () => this.#fillDisk(target),
      slowLink: () => this.#slowDown(target),
    };
    acts[fault]();
  }

  #transfer(): void {
    this.#history.stats.transfers += 1;
    this.#history.leader()?.process((node) => node.transfer());
  }

  #kill(machine: Machine, awayMs: number): void {
    if (!machine.isUp) return;
    this.#history.stats.kills += 1;
    this.#history.trace(machine.name, "killed");
    machine.crash();
    this.#history.schedule.after(awayMs, () => machine.boot());
  }

  #pause(machine: Machine, lengthMs: number): void {
    if (!machine.isUp || machine.isPaused) return;
    this.#history.stats.pauses += 1;
    this.#history.trace(machine.name, `paused for ${lengthMs.toFixed(0)} ms`);
    machine.pause();
    this.#history.schedule.after(lengthMs, () => machine.resume());
  }

  #partition(target: Machine): void {
    const { machines, dice, swarm } = this.#history;
    const side = new Set([target]);
    for (const machine of machines) if (dice.isHit(swarm.target === "any" ? 0.25 : 0)) side.add(machine);
    const cuts: (readonly [Machine, Machine])[] = [];
    for (const from of machines) {
      for (const to of machines) {
        if (!side.has(from) || side.has(to)) continue;
        cuts.push([from, to]);
        if (!swarm.isAsymmetric || dice.isHit(0.3)) cuts.push([to, from]);
      }
    }
    this.#cut(cuts, dice.between(500, 25_000));
  }

  /** Cuts some or all ways from and to one machine. */
  #cutOff(machine: Machine, lengthMs: number, isWhole: boolean): void {
    const { machines, dice } = this.#history;
    const cuts: (readonly [Machine, Machine])[] = [];
    for (const other of machines) {
      if (other === machine) continue;
      if (isWhole || dice.isHit(0.5)) cuts.push([machine, other]);
      if (isWhole || dice.isHit(0.5)) cuts.push([other, machine]);
    }
    this.#cut(cuts, lengthMs);
  }

  #cut(cuts: readonly (readonly [Machine, Machine])[], lengthMs: number): void {
    const { network, schedule, stats } = this.#history;
    stats.partitions += 1;
    this.#history.trace("net", cuts.map(([from, to]) => `${from.name}>${to.name}`).join(" "));
    for (const [from, to] of cuts) network.cut(from, to, true);
    schedule.after(lengthMs, () => {
      if (this.#isOver) return;
      for (const [from, to] of cuts) network.cut(from, to, false);
    });
  }

  #jump(machine: Machine): void {
    const { dice, schedule, stats, machines } = this.#history;
    stats.jumps += 1;
    // A lone node has to believe its clock, so that a long jump would outlast the history.
    const lengthMs = machines.length === 1 || dice.isHit(0.5) ? 3000 : 20_000;
    const stepMs = dice.between(-lengthMs, lengthMs);
    machine.wallOffsetMs += stepMs;
    schedule.after(dice.between(5000, 25_000), () => {
      machine.wallOffsetMs -= stepMs;
    });
  }

  #breakSink(): void {
    const { dice, sinks, schedule, stats } = this.#history;
    stats.sinkFailures += 1;
    const sink = dice.pick(sinks)!;
    sink.isDown = true;
    schedule.after(dice.between(1000, dice.isHit(0.7) ? 20_000 : 60_000), () => {
      sink.isDown = false;
    });
  }

  #breakConnections(machine: Machine): void {
    const { machines, network, dice } = this.#history;
    for (const other of machines) {
      if (other !== machine && dice.isHit(0.7)) network.breakConnection(machine, other);
    }
  }

  /** A process is asked to stop; it ends when it has nothing left that others lack, and comes back. */
  #leave(machine: Machine): void {
    const { schedule, dice, stats } = this.#history;
    if (!machine.isUp || machine.isPaused) return;
    stats.leaves += 1;
    const isCurrent = machine.isCurrent();
    machine.intake?.finish();
    machine.process((node) => node.leave());
    const endMs = schedule.nowMs + 10_000;
    const look = (): void => {
      if (!isCurrent()) return;
      if (machine.node!.isDrained || schedule.nowMs > endMs) {
        if (machine.node!.isDrained) this.#history.inspector.drained(machine);
        machine.crash();
        schedule.after(dice.between(500, 5000), () => machine.boot());
        return;
      }
      schedule.after(100, look);
    };
    look();
  }

  /**
   * A disk is exchanged. Majorities survive that only where all others are there and know everything, so it
   * is not done at another time.
   */
  #wipe(target: Machine): void {
    const { machines, network, stats, schedule } = this.#history;
    const others = machines.filter((machine) => machine !== target);
    if (others.length < 2) return;
    const leader = this.#history.leader();
    const term = leader?.election?.leadership().term;
    const isQuiet = others.every((machine) => {
      const leadership = machine.election?.leadership();
      const follows = leadership?.term === term && leadership?.leader === leader?.name;
      const isWhole = machines.every(
        (other) => other === machine || !(network.isCut(machine, other) || network.isCut(other, machine)),
      );
      return machine.isUp && !machine.isPaused && follows && isWhole && machine.disk.vote.term === term;
    });
    if (leader === undefined || !isQuiet || !this.#isRecordedBy(target, others)) return;
    stats.wipes += 1;
    this.#history.trace(target.name, "killed, disk exchanged");
    target.crash();
    target.disk.wipe();
    schedule.after(3000, () => target.boot());
  }

  /** Whether all that a machine has on disk is on those of others, too. */
  #isRecordedBy(target: Machine, others: readonly Machine[]): boolean {
    return [...target.disk.said].every(([interval, register]) =>
      others.every(({ disk }) => {
        const other = disk.registers.get(interval);
        return other !== undefined && JSON.stringify(other) === JSON.stringify(register);
      }),
    );
  }

  #fillDisk(machine: Machine): void {
    const { dice, schedule } = this.#history;
    machine.disk.isFull = true;
    schedule.after(dice.between(2000, 20_000), () => {
      machine.disk.isFull = false;
    });
  }

  #slowDown(machine: Machine): void {
    const { machines, network, dice, schedule } = this.#history;
    const others = machines.filter((other) => other !== machine && dice.isHit(0.5));
    for (const other of others) network.setSlow(other, machine, true);
    schedule.after(dice.between(3000, 20_000), () => {
      for (const other of others) network.setSlow(other, machine, false);
    });
  }
}
