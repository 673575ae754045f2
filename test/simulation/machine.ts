/**
 * A machine: clocks and a disk that last, and one process at a time of the production protocol. The process
 * may be killed or stopped between any two things that it does to the world.
 */
import type { Delta } from "../../cluster/delta.ts";
import type { Election } from "../../cluster/election/election.ts";
import { RaftElection } from "../../cluster/election/raft.ts";
import { StaticElection } from "../../cluster/election/static.ts";
import type { Message } from "../../cluster/message.ts";
import { ClusterNode } from "../../cluster/node.ts";
import { TIMES } from "../../cluster/options.ts";
import type { World } from "../../cluster/world.ts";
import type { History } from "./history.ts";
import { Intake } from "./intake.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import { Store } from "./store.ts";

/** Wall clocks do not begin at 0. */
const EPOCH_MS = 1_700_000_000_000;
const RAFT = { heartbeatMs: 200, electionMinMs: 1000, electionMaxMs: 2000, leaseMs: 800 };

export class Machine {
  readonly index: number;
  readonly name: string;
  readonly isWitness: boolean;
  readonly disk: SimulatedDisk;
  /** Wall clock minus true time. */
  wallOffsetMs: number;
  isUp = false;
  isPaused = false;
  /** Counts processes. */
  life = 0;
  /** True time at which the process of now began. */
  bootedMs = 0;
  node: ClusterNode | undefined;
  election: Election | undefined;
  store: Store | undefined;
  intake: Intake | undefined;
  readonly #history: History;
  readonly #monotonicBaseMs: number;
  readonly #speed: number;
  /** What waits until the process goes on. */
  #waiting: (() => void)[] = [];

  constructor(history: History, index: number, isWitness: boolean) {
    const { dice, swarm } = history;
    this.#history = history;
    this.index = index;
    this.name = isWitness ? "w" : "abcdefgh".charAt(index);
    this.isWitness = isWitness;
    this.disk = new SimulatedDisk(dice, swarm, (interval, register) => {
      history.ledger.say(interval, register);
    });
    this.wallOffsetMs = dice.between(-swarm.skewMs, swarm.skewMs);
    this.#monotonicBaseMs = dice.between(1, 1e7);
    this.#speed = 1 + dice.between(-swarm.drift, swarm.drift);
  }

  monotonicMs(): number {
    return this.#monotonicBaseMs + this.#history.schedule.nowMs * this.#speed;
  }

  wallMs(): number {
    return EPOCH_MS + this.#history.schedule.nowMs + this.wallOffsetMs;
  }

  /** Returns a question whether the process of now is still there. */
  isCurrent(): () => boolean {
    const { life } = this;
    return () => this.isUp && this.life === life;
  }

  /** Makes a callback that does nothing after the process's end, and waits while it is paused. */
  bound<Argument>(run: (argument: Argument) => void): (argument: Argument) => void {
    const isCurrent = this.isCurrent();
    return (argument) => {
      if (!isCurrent()) return;
      if (this.isPaused) this.#waiting.push(() => run(argument));
      else run(argument);
    };
  }

  /** Runs something in this process after a delay. */
  later(delayMs: number, run: () => void): void {
    this.#history.schedule.after(delayMs, this.bound<void>(run));
  }

  /** Does something to the process, at once or when it goes on. */
  process(act: (node: ClusterNode) => void): void {
    if (!this.isUp) return;
    if (this.isPaused) this.#waiting.push(() => this.process(act));
    else act(this.node!);
  }

  boot(): void {
    if (this.isUp) return;
    this.isUp = true;
    this.isPaused = false;
    this.life += 1;
    this.bootedMs = this.#history.schedule.nowMs;
    const { history, swarm } = { history: this.#history, swarm: this.#history.swarm };
    const incarnation = `${this.life}`;
    const { saved, disk } = this.disk.open(this);
    this.store = new Store(history, this, incarnation);
    const world: World = {
      clock: { monotonicMs: () => this.monotonicMs(), wallMs: () => this.wallMs() },
      random: history.dice,
      net: this.#net(),
      disk: {
        ...disk,
        saveVote: (vote, done) =>
          disk.saveVote(vote, (isSaved) => {
            history.faults.critical(this, "vote saved");
            if (!this.isUp) return;
            if (this.isPaused) this.later(0, () => done(isSaved));
            else done(isSaved);
          }),
      },
      writer: this.store,
      log: history.logOf(this),
    };
    const members = history.machines.map(({ name, isWitness }) => ({ name, isWitness }));
    const { saveVote } = world.disk;
    this.election = swarm.isStatic
      ? new StaticElection(
          { name: this.name, members, startsAsLeader: this.index === 0 },
          saveVote,
          saved.vote,
        )
      : new RaftElection(
          { name: this.name, members, ...RAFT },
          { random: world.random, send: world.net.send, saveVote },
          saved.vote,
        );
    const { intervalMs, retainIntervals } = swarm;
    const options = {
      name: this.name,
      members,
      incarnation,
      intervalMs,
      settleMs: 2000,
      retainIntervals,
      holdBytesMax: 2 ** 26,
      backlogBytesMax: 2 ** 24,
      quorum: swarm.isStatic ? "one" : "majority",
    } as const;
    this.node = new ClusterNode(options, world, this.election, saved);
    this.intake = this.isWitness ? undefined : new Intake(history, this, incarnation);
    this.node.start();
    this.#tick();
  }

  /** The process ends without a word; what it knew is gone. */
  crash(): void {
    if (!this.isUp) return;
    this.#history.inspector.ended(this);
    this.isUp = false;
    this.isPaused = false;
    this.#waiting = [];
    this.disk.crash();
    this.#history.ledger.uncutSamples += this.intake?.uncutSamples ?? 0;
    this.#history.ledger.releaseAll(this.index);
  }

  pause(): void {
    if (this.isUp) this.isPaused = true;
  }

  resume(): void {
    if (!this.isUp || !this.isPaused) return;
    this.isPaused = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach((act, index) => {
      this.#history.schedule.after(index * 0.01, this.bound<void>(act));
    });
  }

  /** People make it the leader, where they do that. */
  choose(): void {
    if (this.election instanceof StaticElection) this.election.setLeader(true);
  }

  /** A delta was made here. */
  add(delta: Delta): void {
    this.node!.add(delta);
  }

  #net(): World["net"] {
    const { network, machines, faults } = this.#history;
    const isCurrent = this.isCurrent();
    const carry = (to: string, message: Message): void => {
      if (!isCurrent()) return;
      if (this.isPaused) {
        this.#waiting.push(() => carry(to, message));
        return;
      }
      const machine = machines.find(({ name }) => name === to);
      if (machine === undefined || machine === this) return;
      network.send(this, machine, message);
      if (message.kind === "intent") faults.critical(this, "intent sent");
      else if (message.kind === "done") faults.critical(this, "done");
    };
    return {
      send: carry,
      pendingBytes: (to) => {
        const machine = machines.find(({ name }) => name === to);
        return machine === undefined ? 0 : network.pendingBytes(this, machine);
      },
    };
  }

  #tick(): void {
    this.intake?.tick();
    if (!this.isUp || this.isPaused) {
      this.later(0, () => this.#tick());
      return;
    }
    this.node!.tick();
    this.#history.inspector.ticked(this);
    this.later(TIMES.tickMs * this.#history.dice.between(0.95, 1.05), () => this.#tick());
  }
}
