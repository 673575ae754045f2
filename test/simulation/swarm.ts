/**
 * What goes wrong in a history, and how often. Each seed draws its own mix, since faults that are always
 * there hide others; a scenario has one kind of fault only, on an otherwise quiet cluster of three.
 */
import type { Dice } from "./dice.ts";

/** Kinds of faults that come at random, by weight. */
export const FAULTS = [
  "kill",
  "pause",
  "partition",
  "jump",
  "sink",
  "connection",
  "leave",
  "transfer",
  "wipe",
  "diskFull",
  "slowLink",
] as const;
export type Fault = (typeof FAULTS)[number];

export interface Swarm {
  readonly dataNodes: number;
  readonly hasWitness: boolean;
  readonly intervalMs: number;
  readonly retainIntervals: number;
  readonly weights: Readonly<Record<Fault, number>>;
  /** Milliseconds between faults, in the mean. */
  readonly faultEveryMs: number;
  /** Who is hit: the leader, a follower, or anybody. */
  readonly target: "leader" | "follower" | "any";
  /** Chance that a message is lost, and that it comes twice. */
  readonly loss: number;
  readonly repeats: number;
  readonly delayMs: number;
  /** Whether messages between two nodes stay in order, as on one connection. */
  readonly isOrdered: boolean;
  /** Whether partitions may cut one direction only. */
  readonly isAsymmetric: boolean;
  /** Chance of a fault at each critical point. */
  readonly critical: number;
  /** Wall clocks differ by up to this. */
  readonly skewMs: number;
  /** Monotonic clocks differ in speed by up to this part. */
  readonly drift: number;
  /** Milliseconds of a disk's sync, in the mean; and the chance of one that takes seconds. */
  readonly diskMs: number;
  readonly diskStalls: number;
  /** Chances, for each chunk of rows. */
  readonly sinkSlow: number;
  readonly acksLost: number;
  readonly zombies: number;
  /** Chance that a sink gives a chunk up, counted, instead of trying again. */
  readonly givenUp: number;
  /** Milliseconds that the store takes to make rows, in the mean. */
  readonly storeMs: number;
  /** Sources outside the membership, that look for another member when one does not answer. */
  readonly agents: number;
  /** Whether people have chosen the leader, the first node. */
  readonly isStatic: boolean;
}

const NONE: Readonly<Record<Fault, number>> = Object.freeze(
  Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>,
);

const QUIET: Swarm = {
  dataNodes: 3,
  hasWitness: false,
  intervalMs: 10_000,
  retainIntervals: 24,
  weights: NONE,
  faultEveryMs: 30_000,
  target: "any",
  loss: 0,
  repeats: 0,
  delayMs: 5,
  isOrdered: true,
  isAsymmetric: false,
  critical: 0,
  skewMs: 0,
  drift: 0,
  diskMs: 2,
  diskStalls: 0,
  sinkSlow: 0,
  acksLost: 0,
  zombies: 0,
  givenUp: 0,
  storeMs: 5,
  agents: 0,
  isStatic: false,
};

const only = (fault: Fault): Record<Fault, number> => ({ ...NONE, [fault]: 1 });

/** Scenarios by name: one fault every half a minute or so. */
export const SCENARIOS: Readonly<Record<string, Partial<Swarm>>> = {
  none: {},
  "kill-leader": { weights: only("kill"), target: "leader" },
  "kill-follower": { weights: only("kill"), target: "follower" },
  "pause-leader": { weights: only("pause"), target: "leader" },
  "pause-follower": { weights: only("pause"), target: "follower" },
  "isolate-leader": { weights: only("partition"), target: "leader" },
  "isolate-follower": { weights: only("partition"), target: "follower" },
  "asymmetric-leader": { weights: only("partition"), target: "leader", isAsymmetric: true },
  "jump-clock": { weights: only("jump") },
  "jump-and-kill": { weights: { ...only("jump"), kill: 1 }, faultEveryMs: 8000 },
  "sink-down": { weights: only("sink"), faultEveryMs: 15_000 },
  "lose-connections": { weights: only("connection"), faultEveryMs: 5_000 },
  "slow-peer": { weights: only("slowLink"), target: "follower" },
  "chosen-leader": { isStatic: true, weights: { ...only("kill"), partition: 1, pause: 1 } },
  "rolling-restart": { weights: only("leave") },
  transfer: { weights: only("transfer"), faultEveryMs: 5_000 },
  "disk-full": { weights: only("diskFull") },
  "lossy-network": { loss: 0.05, repeats: 0.05, delayMs: 50, isOrdered: false },
  skew: { skewMs: 200 },
};

/** Draws the mix of a history. */
export function drawSwarm(dice: Dice): Swarm {
  const swarm = drawFaults(dice);
  // A chosen leader that was replaced and begins again is a second one, which nobody promises to prevent.
  return swarm.isStatic ? { ...swarm, weights: { ...swarm.weights, leave: 0, transfer: 0, wipe: 0 } } : swarm;
}

function drawFaults(dice: Dice): Swarm {
  const some = (chance: number): number => (dice.isHit(chance) ? dice.between(0, 1) : 0);
  const [dataNodes, hasWitness] = dice.pick([
    [1, false],
    [2, true],
    [2, true],
    [3, false],
    [3, false],
    [3, false],
    [3, false],
    [5, false],
  ] as const)!;
  return {
    dataNodes,
    hasWitness,
    intervalMs: dice.isHit(0.7) ? 10_000 : 5_000,
    retainIntervals: dice.isHit(0.85) ? 24 : 5,
    weights: {
      kill: some(0.6),
      pause: some(0.6),
      partition: some(0.6),
      jump: some(0.4),
      sink: some(0.4),
      connection: some(0.4),
      leave: some(0.3),
      transfer: some(0.3),
      wipe: some(0.2),
      diskFull: some(0.2),
      slowLink: some(0.2),
    },
    faultEveryMs: dice.between(3000, 10_000),
    target: dice.pick(["any", "any", "leader"] as const)!,
    loss: some(0.5) * 0.15,
    repeats: some(0.5) * 0.3,
    delayMs: dice.between(3, 60),
    isOrdered: dice.isHit(0.5),
    isAsymmetric: dice.isHit(0.5),
    critical: some(0.7) * 0.3,
    skewMs: some(0.6) * 800,
    drift: dice.isHit(0.3) ? 0.01 : 0.0001,
    diskMs: dice.isHit(0.3) ? 40 : 2,
    diskStalls: some(0.2) * 0.05,
    sinkSlow: some(0.4),
    acksLost: some(0.4) * 0.3,
    zombies: some(0.4) * 0.5,
    givenUp: some(0.1) * 0.2,
    storeMs: dice.isHit(0.3) ? 300 : 5,
    agents: dice.isHit(0.5) ? 1 : 0,
    isStatic: dice.isHit(0.05),
  };
}

/** The mix of a scenario; throws for one that does not exist. */
export function scenarioSwarm(name: string): Swarm {
  const scenario = SCENARIOS[name];
  if (scenario === undefined) {
    throw new Error(`no scenario ${name}; there are: ${Object.keys(SCENARIOS).join(" ")}`);
  }
  return { ...QUIET, ...scenario };
}
