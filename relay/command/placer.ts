/** Answers where names go under a plan: by the kernel that routes them, outside of any traffic. */
import { assert } from "../../shared/errors.ts";
import { SLOT_BYTES } from "../../shared/kernel/layout.ts";
import { showName } from "../../shared/name-text.ts";
import { Packer } from "../packer.ts";
import { type Plan, type RoutePlan, servingRoutes } from "../plan.ts";
import { explain } from "../shaping/describe.ts";
import type { PlacedRing, Placement, PlacementTarget, Placer } from "./placement.ts";

/** Longest name that is placed, in bytes; a datagram holds no longer one. */
const NAME_BYTES_MAX = 60_000;
const SEMICOLON = 59;
const COMMA = 44;

/** Makes a placer of a plan. It holds a kernel of its own; drop it when it is not needed any more. */
export async function makePlacer(plan: Plan): Promise<Placer> {
  const packer = await Packer.load(plan, { addressOf: () => 0n });
  return new KernelPlacer(plan, packer);
}

class KernelPlacer implements Placer {
  readonly rings: readonly PlacedRing[];
  readonly #plan: Plan;
  readonly #packer: Packer;
  /** The kernel's receive slots stand idle here: names are written to the first ones. */
  readonly #name: Uint8Array;
  readonly #key: Uint8Array;
  readonly #chosen: Uint32Array;

  constructor(plan: Plan, packer: Packer) {
    this.#plan = plan;
    this.#packer = packer;
    const { slots } = packer.batch;
    const { buffer } = packer.memory;
    this.#name = new Uint8Array(buffer, slots, SLOT_BYTES);
    this.#key = new Uint8Array(buffer, slots + SLOT_BYTES, SLOT_BYTES);
    this.#chosen = new Uint32Array(buffer, slots + 2 * SLOT_BYTES, 64);
    this.rings = servingRoutes(plan).map(({ ring, buckets }) => ({
      name: ring.name,
      fingerprint: ring.fingerprint,
      hash: ring.hash,
      key: ring.key,
      buckets: buckets.length,
      replicas: ring.replicas,
      destinations: buckets.map((index) => plan.destinations[index]!.text),
    }));
  }

  place(name: Uint8Array): Placement {
    const bounded = name.subarray(0, NAME_BYTES_MAX);
    const given = showName(bounded);
    const { rules } = this.#packer;
    const isInShare = (route: number): boolean => this.#isInShare(bounded, route);
    if (rules === undefined) {
      const targets = this.#routesByShare(bounded).map((route) => this.#target(route, bounded, []));
      if (targets.length > 0) return { given, targets };
      return { given, drop: { reason: "no_route", why: ["no route takes the name"] }, targets };
    }
    const { targets, others } = explain(rules, bounded, isInShare);
    if (targets.length > 0) {
      const placed = targets.map(({ route, name: renamed, why }) =>
        this.#target(route, renamed ?? bounded, why),
      );
      return { given, targets: placed };
    }
    const findings = rules.examine(bounded, isInShare);
    const isFiltered = findings.some(({ decision }) => decision.kind === "refused");
    return { given, drop: { reason: isFiltered ? "filtered" : "no_route", why: others }, targets: [] };
  }

  /** Routes as the kernel asks them where there are no rules; see shared/kernel/route.ts. */
  #routesByShare(name: Uint8Array): number[] {
    const taken: number[] = [];
    for (const [index, route] of this.#plan.routes.entries()) {
      if (index === 0 || !this.#isInShare(name, index)) continue;
      taken.push(index);
      if (route.isMoving) return taken;
    }
    return this.#isInShare(name, 0) ? [...taken, 0] : taken;
  }

  #isInShare(name: Uint8Array, route: number): boolean {
    this.#name.set(name);
    return this.#packer.exports.isNameInShare(this.#name.byteOffset, name.length, route) !== 0;
  }

  #target(index: number, name: Uint8Array, why: readonly string[]): PlacementTarget {
    const { exports } = this.#packer;
    const route = this.#plan.routes[index];
    assert(route !== undefined, `there is a route ${index}`);
    const leaving = leavingName(route, name);
    this.#name.set(leaving);
    const keyBytes = exports.copyKey(index, this.#name.byteOffset, leaving.length, this.#key.byteOffset);
    const hash = BigInt.asUintN(64, exports.hashOf(index, this.#key.byteOffset, keyBytes));
    const bucket = exports.bucketOfHash(index, hash);
    const count = exports.chooseByHash(index, hash, this.#chosen.byteOffset);
    const destinations = [...this.#chosen.subarray(0, count)];
    return {
      ring: route.ring.name,
      fingerprint: route.ring.fingerprint,
      key: showName(this.#key.slice(0, keyBytes)),
      hash: hash.toString(16).padStart(16, "0"),
      buckets: route.buckets.length,
      bucket,
      destinations: destinations.map((destination) => this.#plan.destinations[destination]!.text),
      sentAs: showName(leaving),
      why: [...why, ...describeTags(this.#plan)],
    };
  }
}

/** That a name is placed with the tags of its line, which whoever asks must then have given. */
function describeTags({ tagFormat }: Plan): string[] {
  if (tagFormat === "keep") return [];
  const form = tagFormat === "graphite" ? "NAME;k=v" : "NAME.__k=v";
  return [`tag-format is ${tagFormat}: a line with |#k:v is placed as ${form}, so ask for that`];
}

/** A name as it leaves along a route; see shared/kernel/rewrite.ts. */
function leavingName({ prefix, suffix }: RoutePlan, name: Uint8Array): Uint8Array {
  const mark = suffix === "" ? -1 : name.findIndex((byte) => byte === SEMICOLON || byte === COMMA);
  const base = mark < 0 ? name.length : mark;
  return Buffer.concat([
    Buffer.from(prefix === "" ? "" : `${prefix}.`),
    name.subarray(0, base),
    Buffer.from(suffix === "" ? "" : `.${suffix}`),
    name.subarray(base),
  ]);
}
