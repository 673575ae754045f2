/** Says what becomes of names, for the operator who asks where one went. */
import { readName } from "../../shared/name-text.ts";
import type { Placement, PlacementTarget, Placer } from "./placement.ts";

const INDENT = "  ";
const LABEL_WIDTH = 12;

/** Places names as people write them: whole lines are fine, and so is `\xHH` for a byte. */
export function placeNames(placer: Placer, names: readonly string[]): Placement[] {
  return names.map((name) => placer.place(readName(name)));
}

/** Describes placements, a block of lines for each, parted by blank lines. */
export function describePlacements(placements: readonly Placement[]): string {
  return `${placements.map((placement) => describePlacement(placement).join("\n")).join("\n\n")}\n`;
}

function describePlacement({ given, drop, targets }: Placement): string[] {
  const head = `name ${given === "" ? "(empty)" : given}`;
  if (drop !== undefined) return [head, ...field(1, "dropped", drop.reason), ...reasons(1, drop.why)];
  if (targets.length === 0) return [head, `${INDENT}goes nowhere: no ring takes it`];
  return [head, ...targets.flatMap(describeTarget)];
}

function describeTarget(target: PlacementTarget): string[] {
  const { ring, fingerprint, key, hash, buckets, bucket, destinations, sentAs, why } = target;
  const [first, ...replicas] = destinations;
  return [
    `${INDENT}ring ${ring} (${fingerprint})`,
    ...field(2, "key", key),
    ...field(2, "hash", hash),
    // Counted from 0, as in the configuration's list and in all metrics.
    ...field(2, "bucket", `${bucket} of 0..${buckets - 1}`),
    ...field(2, "destination", first ?? "none"),
    ...replicas.flatMap((replica) => field(2, "replica", replica)),
    ...field(2, "sent as", sentAs),
    ...reasons(2, why),
  ];
}

function field(depth: number, label: string, value: string): string[] {
  return [`${INDENT.repeat(depth)}${label.padEnd(LABEL_WIDTH)} ${value}`.trimEnd()];
}

function reasons(depth: number, why: readonly string[]): string[] {
  return why.flatMap((reason, index) => field(depth, index === 0 ? "because" : "", reason));
}
