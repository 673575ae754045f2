/** Compares two configurations by where names go: what moves when one takes the other's place. */
import { setImmediate } from "node:timers/promises";
import type { PlacedRing, Placement, PlacementTarget, Placer } from "./placement.ts";

/** Names that go from one destination of a ring to another. */
export interface RingMove {
  /** Destination, or NOWHERE. */
  readonly from: string;
  readonly to: string;
  readonly names: number;
}

/** What one destination of a ring gets, as shares (0..1) of all copies. */
export interface DestinationLoad {
  readonly destination: string;
  readonly before: number;
  readonly after: number;
}

/** One ring before and after. */
export interface RingDiff {
  readonly ring: string;
  /** Undefined where one side does not have the ring. */
  readonly fingerprintBefore: string | undefined;
  readonly fingerprintAfter: string | undefined;
  /** Names that the ring took before. */
  readonly names: number;
  /** Those of them that go to other destinations of the ring now, or no longer to the ring. */
  readonly moved: number;
  /** moved / names, 0 where there are none. */
  readonly movedShare: number;
  /**
   * The least share that must move to give each destination its new part of the ring; with replicas a lower
   * bound. What a ring with a consistent hash moves when a destination is appended.
   */
  readonly leastShare: number;
  /** Names that the ring takes only now. */
  readonly entered: number;
  /** Names that the ring no longer takes; they are among the moved. */
  readonly left: number;
  /** Names that leave under another name than before. */
  readonly renamed: number;
  /** Most names first. */
  readonly moves: readonly RingMove[];
  /** In the order of the old ring, then what is new. */
  readonly loads: readonly DestinationLoad[];
}

/** How long names are compared before others of the thread have their turn, in milliseconds. */
const TURN_MS = 20;

/** Stands for no destination in a move. */
export const NOWHERE = "(none)";

/** Counts of one ring while names are compared. */
class RingTally {
  names = 0;
  moved = 0;
  entered = 0;
  left = 0;
  renamed = 0;
  copiesBefore = 0;
  copiesAfter = 0;
  readonly loads = new Map<string, { before: number; after: number }>();
  /** Names by destination from, then to. */
  readonly moves = new Map<string, Map<string, number>>();

  constructor(before: PlacedRing | undefined, after: PlacedRing | undefined) {
    for (const destination of [...(before?.destinations ?? []), ...(after?.destinations ?? [])]) {
      this.loads.set(destination, { before: 0, after: 0 });
    }
  }

  /** Counts one name by its targets in this ring. */
  count(before: PlacementTarget | undefined, after: PlacementTarget | undefined): void {
    if (before === undefined && after === undefined) return;
    const from = new Set(before?.destinations);
    const to = new Set(after?.destinations);
    for (const destination of from) this.#load(destination).before++;
    for (const destination of to) this.#load(destination).after++;
    this.copiesBefore += from.size;
    this.copiesAfter += to.size;
    if (before === undefined) this.entered++;
    else this.names++;
    if (after === undefined) this.left++;
    if (before !== undefined && after !== undefined && before.sentAs !== after.sentAs) this.renamed++;
    const lost = [...from].filter((destination) => !to.has(destination));
    const gained = [...to].filter((destination) => !from.has(destination));
    if (before !== undefined && (lost.length > 0 || gained.length > 0)) this.moved++;
    for (let i = 0; i < Math.max(lost.length, gained.length); i++) {
      this.#move(lost[i] ?? NOWHERE, gained[i] ?? NOWHERE);
    }
  }

  #load(destination: string): { before: number; after: number } {
    const known = this.loads.get(destination);
    if (known !== undefined) return known;
    const load = { before: 0, after: 0 };
    this.loads.set(destination, load);
    return load;
  }

  #move(from: string, to: string): void {
    const row = this.moves.get(from) ?? new Map<string, number>();
    this.moves.set(from, row);
    row.set(to, (row.get(to) ?? 0) + 1);
  }
}

/** Two configurations, and what becomes of names that are placed in both. */
class Comparison {
  readonly #before: Placer;
  readonly #after: Placer;
  readonly #ringsBefore: ReadonlyMap<string, PlacedRing>;
  readonly #ringsAfter: ReadonlyMap<string, PlacedRing>;
  readonly #tallies: ReadonlyMap<string, RingTally>;

  constructor(before: Placer, after: Placer) {
    this.#before = before;
    this.#after = after;
    this.#ringsBefore = new Map(before.rings.map((ring) => [ring.name, ring]));
    this.#ringsAfter = new Map(after.rings.map((ring) => [ring.name, ring]));
    const ringNames = [...new Set([...this.#ringsBefore.keys(), ...this.#ringsAfter.keys()])];
    this.#tallies = new Map(
      ringNames.map((name) => [name, new RingTally(this.#ringsBefore.get(name), this.#ringsAfter.get(name))]),
    );
  }

  place(name: Uint8Array): void {
    const [from, to] = [this.#before.place(name), this.#after.place(name)];
    for (const [ring, tally] of this.#tallies) tally.count(targetIn(from, ring), targetIn(to, ring));
  }

  diffs(): RingDiff[] {
    return [...this.#tallies].map(([name, tally]) =>
      summarize(name, tally, this.#ringsBefore.get(name), this.#ringsAfter.get(name)),
    );
  }
}

/**
 * Places every name in both configurations and says what moves, ring by ring. Rings are known by name.
 * names: bytes before the first colon; gone through once. Each is placed twice, so mind how many there are.
 */
export function diffRings(before: Placer, after: Placer, names: Iterable<Uint8Array>): RingDiff[] {
  const comparison = new Comparison(before, after);
  for (const name of names) comparison.place(name);
  return comparison.diffs();
}

/**
 * The share of names (0..1) that move, by ring, of the rings that there were before: what a reload reports
 * and limits. Rules can make it last seconds, so others of the thread have their turn meanwhile.
 */
export async function movedShare(
  before: Placer,
  after: Placer,
  names: Iterable<Uint8Array>,
): Promise<Record<string, number>> {
  const comparison = new Comparison(before, after);
  let turnEndMs = performance.now() + TURN_MS;
  for (const name of names) {
    comparison.place(name);
    if (performance.now() < turnEndMs) continue;
    await setImmediate();
    turnEndMs = performance.now() + TURN_MS;
  }
  const diffs = comparison.diffs().filter((one) => one.fingerprintBefore !== undefined);
  return Object.fromEntries(diffs.map((one) => [one.ring, one.movedShare]));
}

function targetIn({ targets }: Placement, ring: string): PlacementTarget | undefined {
  return targets.find((target) => target.ring === ring);
}

function summarize(
  ring: string,
  tally: RingTally,
  before: PlacedRing | undefined,
  after: PlacedRing | undefined,
): RingDiff {
  const moves = [...tally.moves].flatMap(([from, row]) =>
    [...row].map(([to, names]): RingMove => ({ from, to, names })),
  );
  const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  return {
    ring,
    fingerprintBefore: before?.fingerprint,
    fingerprintAfter: after?.fingerprint,
    names: tally.names,
    moved: tally.moved,
    movedShare: share(tally.moved, tally.names),
    leastShare: leastMovedShare(before, after),
    entered: tally.entered,
    left: tally.left,
    renamed: tally.renamed,
    moves: moves.sort((one, other) => other.names - one.names),
    loads: [...tally.loads].map(([destination, load]) => ({
      destination,
      before: share(load.before, tally.copiesBefore),
      after: share(load.after, tally.copiesAfter),
    })),
  };
}

/**
 * The least share of names that any placement must move so that each destination's part becomes its weight's.
 * A ring that comes moves nothing; one that goes moves everything.
 */
export function leastMovedShare(before: PlacedRing | undefined, after: PlacedRing | undefined): number {
  if (before === undefined || before.destinations.length === 0) return 0;
  if (after === undefined || after.destinations.length === 0) return 1;
  const [from, to] = [partsOf(before), partsOf(after)];
  const lost = [...from].map(([destination, part]) => Math.max(0, part - (to.get(destination) ?? 0)));
  // A name that changes several of its copies moves once, so with replicas the losses may coincide.
  const sum = lost.reduce((total, part) => total + part, 0);
  return Math.min(1, Math.max(sum / before.replicas, ...lost));
}

/** For each destination the share of names that have a copy there, were the ring perfectly even. */
function partsOf({ destinations, replicas }: PlacedRing): Map<string, number> {
  const counts = new Map<string, number>();
  for (const destination of destinations) counts.set(destination, (counts.get(destination) ?? 0) + 1);
  return new Map(
    [...counts].map(([destination, count]) => [
      destination,
      Math.min(1, (replicas * count) / destinations.length),
    ]),
  );
}
