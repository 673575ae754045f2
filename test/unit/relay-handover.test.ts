/** Known names stay where they are under a new plan, as long as it takes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Packer } from "../../relay/packer.ts";
import { STATE_SERVE, STATE_SKIP } from "../../shared/kernel/ring-codes.ts";
import { packAll } from "../support/packets.ts";
import { loadPacker, type PlanOptions } from "../support/plans.ts";

const THREE = ["h:1", "h:2", "h:3"];
const HASH_SEED = 7n;
/** The same ones behind a new one: most names move. */
const FOUR = ["h:9", ...THREE];
const NEW_INDEXES = [1, 2, 3];
const names = Array.from({ length: 400 }, (_, index) => `app.metric.${index}`);

/** Under this seed no two of the names share a place, of which one would be forgotten. */
function loadOld(): Promise<Packer> {
  return loadPacker({ entries: THREE }, { hashSeed: HASH_SEED });
}

/** Where names go, by name. */
function placesOf(packer: Packer, asked: readonly string[]): Map<string, number> {
  const places = new Map<string, number>();
  for (const { destination, payload } of packAll(packer, [
    Buffer.from(asked.map((n) => `${n}:1|c`).join("\n")),
  ])) {
    for (const line of payload.toString().split("\n"))
      places.set(line.slice(0, line.indexOf(":")), destination);
  }
  return new Map(asked.map((name) => [name, places.get(name) ?? -1]));
}

function heirOf(old: Packer, options: PlanOptions, states: readonly number[] = []): Promise<Packer> {
  return loadPacker(options, { hashSeed: old.exports.namesSeed(), states });
}

test("known names stay, new ones go by the new ring, and all do in the end", async () => {
  const old = await loadOld();
  const before = placesOf(old, names);
  const heir = await heirOf(old, { entries: FOUR });
  heir.inheritNames(old, NEW_INDEXES);
  const fresh = names.map((name) => `new.${name}`);
  const byNewRing = placesOf(await loadPacker({ entries: FOUR }), [...names, ...fresh]);
  for (const [name, place] of placesOf(heir, names))
    assert.equal(place, NEW_INDEXES[before.get(name)!], name);
  for (const [name, place] of placesOf(heir, fresh)) assert.equal(place, byNewRing.get(name), name);
  heir.exports.forgetNames();
  const after = placesOf(heir, names);
  for (const [name, place] of after) assert.equal(place, byNewRing.get(name), name);
  assert.ok(names.some((name) => after.get(name) !== NEW_INDEXES[before.get(name)!]));
});

test("names of a destination that is gone go by the new ring at once", async () => {
  const old = await loadOld();
  const before = placesOf(old, names);
  const heir = await heirOf(old, { entries: ["h:1", "h:3"] });
  heir.inheritNames(old, [0, -1, 1]);
  const byNewRing = placesOf(await loadPacker({ entries: ["h:1", "h:3"] }), names);
  for (const [name, place] of placesOf(heir, names)) {
    const was = before.get(name)!;
    assert.equal(place, was === 1 ? byNewRing.get(name) : was / 2, name);
  }
});

test("names stay as well after names were forgotten, which changes what they are stored under", async () => {
  const old = await loadOld();
  placesOf(old, names);
  old.setStates([STATE_SERVE, STATE_SKIP, STATE_SERVE]);
  const known = names.slice(0, 200);
  const before = placesOf(old, known);
  const heir = await heirOf(old, { entries: FOUR });
  heir.inheritNames(old, NEW_INDEXES);
  const byNewRing = placesOf(await loadPacker({ entries: FOUR }), names);
  for (const [name, place] of placesOf(heir, names)) {
    const was = before.get(name);
    assert.equal(place, was === undefined ? byNewRing.get(name) : NEW_INDEXES[was], name);
  }
});

test("names do not stay with a destination that is passed over", async () => {
  const old = await loadOld();
  const before = placesOf(old, names);
  const states = [STATE_SERVE, STATE_SERVE, STATE_SKIP, STATE_SERVE];
  const heir = await heirOf(old, { entries: FOUR }, states);
  heir.inheritNames(old, NEW_INDEXES);
  const byNewRing = placesOf(await loadPacker({ entries: FOUR }, { states }), names);
  for (const [name, place] of placesOf(heir, names)) {
    const was = before.get(name)!;
    assert.equal(place, was === 1 ? byNewRing.get(name) : NEW_INDEXES[was], name);
  }
});
