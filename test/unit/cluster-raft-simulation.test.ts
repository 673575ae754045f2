/** Elections in simulated time: loss, delay, repetition, partitions, pauses, crashes, slow and bad disks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ElectionMessage } from "../../cluster/election/election.ts";
import { RaftElection } from "../../cluster/election/raft.ts";
import type { Vote } from "../../cluster/world.ts";
import { type Random, seededRandom } from "../../shared/random.ts";

const TIMES = { heartbeatMs: 200, electionMinMs: 1000, electionMaxMs: 2000, leaseMs: 800 };
const FAULTY_MS = 60_000;
/** From the end of all faults until there has to be a leader, whoever it was that voted last. */
const HEALING_MS = 8000;
const TICK_MS = 50;

interface Faults {
  readonly loss: number;
  readonly repeat: number;
  readonly delayMs: number;
  readonly saveMs: number;
  readonly saveFailure: number;
  /** Kills, pauses, partitions, transfers: each as a share of what happens. */
  readonly shares: readonly [number, number, number, number];
  /** Chance of a crash at each saving of a vote. */
  readonly critical: number;
  /** Whether a disk forgets at a crash. */
  readonly isForgetful: boolean;
}

type Wire = ElectionMessage | { readonly kind: "take-over"; readonly term: number };

/** A process, its machine, and what has to hold over all its runs. */
class Machine {
  readonly name: string;
  /** Local clock: offset and rate. */
  readonly offsetMs: number;
  readonly rate: number;
  election: RaftElection | undefined;
  run = 0;
  disk: Vote = { term: 0, votedFor: undefined };
  isPaused = false;
  readonly waiting: (() => void)[] = [];
  /** Simulated time until which its threads may go by a lease that it announced. */
  announcedMs = 0;
  shownTerm = 0;
  readonly votes = new Map<number, string>();

  constructor(name: string, random: Random) {
    this.name = name;
    this.offsetMs = random.between(0, 1e6);
    this.rate = random.between(0.98, 1.02);
  }
}

class Simulation {
  readonly random: Random;
  readonly machines: Machine[];
  readonly leaders = new Map<number, string>();
  readonly violations: string[] = [];
  faults: Faults;
  nowMs = 0;
  elections = 0;
  kills = 0;
  #blocked = new Set<string>();
  #events: { atMs: number; order: number; act: () => void }[] = [];
  #order = 0;
  #isFaulty = true;

  constructor(seed: number, size: number, isForgetful: boolean) {
    const random = seededRandom(seed);
    this.random = random;
    const some = (max: number): number => (random.between(0, 1) < 0.5 ? 0 : random.between(0, max));
    const shares = [some(1), some(1), some(1), some(0.5)] as const;
    const rates = { loss: some(0.2), repeat: some(0.3), saveFailure: some(0.1), critical: some(0.1) };
    this.faults = {
      ...rates,
      delayMs: random.between(1, 100),
      saveMs: random.between(0, 100),
      shares,
      isForgetful,
    };
    this.machines = Array.from({ length: size }, (_, index) => new Machine(`m${index}`, random));
    for (const machine of this.machines) {
      this.boot(machine);
      this.#every(machine);
    }
    this.#later(this.random.between(0, 3000), () => this.#fault());
  }

  /** Simulates until a moment. */
  runTo(endMs: number): void {
    for (;;) {
      const next = this.#events[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#events.shift();
      this.nowMs = next.atMs;
      next.act();
    }
    this.nowMs = endMs;
  }

  /** Ends all faults. */
  heal(): void {
    this.#isFaulty = false;
    this.faults = {
      ...this.faults,
      loss: 0,
      repeat: 0,
      saveFailure: 0,
      critical: 0,
      delayMs: 20,
      saveMs: 20,
    };
    this.#blocked.clear();
    for (const machine of this.machines) {
      this.boot(machine);
      this.#resume(machine);
    }
  }

  /** The machine that leads with a lease, if there is exactly one. */
  leader(): string | undefined {
    const names = this.machines.filter((machine) => {
      const leadership = machine.election?.leadership();
      return leadership?.role === "leader" && leadership.leaseUntilMs > this.#localMs(machine);
    });
    return names.length === 1 ? names[0]?.name : undefined;
  }

  boot(machine: Machine): void {
    if (machine.election !== undefined) return;
    machine.run += 1;
    const { run } = machine;
    const members = this.machines.map(({ name }) => ({ name, isWitness: false }));
    const world = {
      random: this.random,
      send: (to: string, message: ElectionMessage) => this.#send(machine, to, message),
      saveVote: (vote: Vote, done: (isSaved: boolean) => void) => this.#save(machine, run, vote, done),
    };
    machine.election = new RaftElection({ name: machine.name, members, ...TIMES }, world, machine.disk);
    machine.election.setEligible(true);
  }

  #kill(machine: Machine): void {
    if (machine.election === undefined) return;
    this.kills += 1;
    machine.election = undefined;
    machine.run += 1;
    machine.announcedMs = 0;
    machine.isPaused = false;
    machine.waiting.length = 0;
    if (this.faults.isForgetful) machine.disk = { term: 0, votedFor: undefined };
    this.#later(this.random.between(0, 5000), () => this.boot(machine));
  }

  #resume(machine: Machine): void {
    machine.isPaused = false;
    for (const act of machine.waiting.splice(0)) this.#later(this.random.between(0, 5), act);
  }

  #save(machine: Machine, run: number, vote: Vote, done: (isSaved: boolean) => void): void {
    const { random } = this;
    const isFailing = random.between(0, 1) < this.faults.saveFailure;
    const isCritical = random.between(0, 1) < this.faults.critical;
    // A crash comes before the writing, or between it and the answer; a failed one may be on disk as well.
    const isWritten = isFailing || isCritical ? random.between(0, 1) < 0.5 : true;
    this.#later(random.between(0, this.faults.saveMs), () => {
      if (machine.run !== run) return;
      if (isWritten) machine.disk = vote;
      if (isCritical) this.#kill(machine);
      else this.#run(machine, () => done(!isFailing));
    });
  }

  #send(from: Machine, to: string, message: Wire): void {
    if (message.kind === "vote" && !message.isPre) {
      const earlier = from.votes.get(message.term) ?? to;
      if (earlier !== to) this.#fail(`${from.name} votes for ${earlier} and ${to} in term ${message.term}`);
      from.votes.set(message.term, to);
    }
    const receiver = this.machines.find(({ name }) => name === to);
    if (receiver === undefined || this.random.between(0, 1) < this.faults.loss) return;
    const copies = this.random.between(0, 1) < this.faults.repeat ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const isLate = this.random.between(0, 1) < 0.05;
      this.#later(this.random.between(1, this.faults.delayMs * (isLate ? 20 : 1)), () => {
        if (this.#blocked.has(`${from.name}>${to}`)) return;
        this.#run(receiver, (election) => {
          if (message.kind !== "take-over") {
            election.receive(from.name, message, this.#localMs(receiver));
          } else if (message.term === election.leadership().term) {
            election.takeOver(this.#localMs(receiver));
          }
        });
      });
    }
  }

  /** Runs something in a machine's process, when it is not paused, and looks at what came out. */
  #run(machine: Machine, act: (election: RaftElection) => void): void {
    const { run, election } = machine;
    if (election === undefined) return;
    if (machine.isPaused) {
      machine.waiting.push(() => {
        if (machine.run === run) this.#run(machine, act);
      });
      return;
    }
    act(election);
    if (machine.election === election) this.#inspect(machine, election);
  }

  #inspect(machine: Machine, election: RaftElection): void {
    const { role, term, leaseUntilMs } = election.leadership();
    if (term < machine.shownTerm && !this.faults.isForgetful) this.#fail(`${machine.name} goes back a term`);
    machine.shownTerm = term;
    if (role !== "leader") return;
    const known = this.leaders.get(term);
    if (known === undefined) this.elections += 1;
    if ((known ?? machine.name) !== machine.name) this.#fail(`${known}, ${machine.name} lead term ${term}`);
    this.leaders.set(term, machine.name);
    const untilMs = (leaseUntilMs - machine.offsetMs) / machine.rate;
    machine.announcedMs = Math.max(machine.announcedMs, untilMs);
    const holders = this.machines.filter(({ announcedMs }) => announcedMs > this.nowMs);
    if (holders.length > 1) this.#fail(`leases of ${holders.map(({ name }) => name).join(" and ")}`);
  }

  #every(machine: Machine): void {
    this.#later(this.random.between(TICK_MS * 0.9, TICK_MS * 1.2), () => {
      if (!machine.isPaused) this.#run(machine, (election) => election.tick(this.#localMs(machine)));
      this.#every(machine);
    });
  }

  #fault(): void {
    if (!this.#isFaulty) return;
    this.#later(this.random.between(500, 6000), () => this.#fault());
    const leading = this.machines.find(({ election }) => election?.leadership().role === "leader");
    const someone = this.machines[Math.floor(this.random.between(0, this.machines.length))]!;
    const target = leading !== undefined && this.random.between(0, 1) < 0.5 ? leading : someone;
    const [kill, pause, part, transfer] = this.faults.shares;
    const share = this.random.between(0, kill + pause + part + transfer);
    if (share < kill) this.#kill(target);
    else if (share < kill + pause) {
      target.isPaused = true;
      this.#later(this.random.between(100, 5000), () => this.#resume(target));
    } else if (share < kill + pause + part) this.#part(target);
    else if (leading !== undefined) this.#transfer(leading, someone);
  }

  /** Cuts a machine, and perhaps others with it, off from the rest, in one direction or both. */
  #part(target: Machine): void {
    const isOneWay = this.random.between(0, 1) < 0.4;
    const side = this.machines.filter((machine) => machine === target || this.random.between(0, 1) < 0.25);
    for (const near of side) {
      for (const far of this.machines.filter((machine) => !side.includes(machine))) {
        this.#blocked.add(`${near.name}>${far.name}`);
        if (!isOneWay) this.#blocked.add(`${far.name}>${near.name}`);
      }
    }
    this.#later(this.random.between(500, 10_000), () => this.#blocked.clear());
  }

  #transfer(leading: Machine, successor: Machine): void {
    this.#run(leading, (election) => {
      const { role, term } = election.leadership();
      if (role !== "leader" || successor === leading) return;
      election.resign();
      // As a node does: its threads write nothing more before the word goes out.
      leading.announcedMs = 0;
      this.#send(leading, successor.name, { kind: "take-over", term });
    });
  }

  #localMs(machine: Machine): number {
    return machine.offsetMs + this.nowMs * machine.rate;
  }

  #later(inMs: number, act: () => void): void {
    const event = { atMs: this.nowMs + inMs, order: this.#order++, act };
    let low = 0;
    for (let high = this.#events.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (this.#events[middle]!.atMs <= event.atMs) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  #fail(what: string): void {
    this.violations.push(`${this.nowMs.toFixed(0)} ms: ${what}`);
  }
}

/** Runs one seed through its faults and the healing after them. */
function simulate(seed: number, size: number, isForgetful = false): Simulation {
  const simulation = new Simulation(seed, size, isForgetful);
  simulation.runTo(FAULTY_MS);
  simulation.heal();
  simulation.runTo(FAULTY_MS + HEALING_MS);
  const leader = simulation.leader();
  if (leader === undefined) simulation.violations.push("no leader after healing");
  simulation.runTo(FAULTY_MS + HEALING_MS + 5000);
  if (simulation.leader() !== leader) simulation.violations.push("the leader changed without a fault");
  return simulation;
}

const SEEDS = Number(process.env.RAFT_SEEDS ?? 300);

for (const size of [2, 3, 5]) {
  test(`${size} members: one leader a term, no two leases, no second vote, a leader in the end`, () => {
    let elections = 0;
    let kills = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const simulation = simulate(seed * 10 + size, size);
      assert.deepEqual(simulation.violations, [], `seed ${seed * 10 + size}`);
      elections += simulation.elections;
      kills += simulation.kills;
    }
    assert.ok(kills > SEEDS && elections > 2 * SEEDS, `${kills} kills, ${elections} elections: too calm`);
  });
}

test("disks that forget votes are found out", () => {
  const seeds = Array.from({ length: SEEDS }, (_, index) => index + 1);
  const isFound = seeds.some((seed) =>
    simulate(seed, 3, true).violations.some((one) => /votes for/.test(one)),
  );
  assert.ok(isFound);
});
