/**
 * Manifests as short texts. Deltas are folded as they come, so that a manifest has about as many runs as
 * deltas; as JSON they would make what a member tells a new leader larger than any message may be.
 *
 *   sources, by blanks | runs, by commas: source's index [.deltas skipped] [+deltas that follow]
 *
 * Numbers are of base 36. What is skipped is counted from the last delta of that source in the same manifest,
 * at first from 0, and is negative where it goes back. So a run of one delta that follows is its source
 * alone.
 */
import type { Manifest, Run } from "../manifest.ts";

const SEPARATORS = /[\s|]/;
const RUN = /^([0-9a-z]{1,6})(?:\.(-?[0-9a-z]{1,11}))?(?:\+([0-9a-z]{1,11}))?$/;

function isRun(value: unknown): value is Run {
  return typeof value === "object" && value !== null && "source" in value && "from" in value;
}

/** Whether a value of a message is a manifest with anything in it. */
export function isManifest(value: unknown): value is Manifest {
  return Array.isArray(value) && isRun(value[0]);
}

/** Returns the manifest itself where a source has characters that nobody's has. */
export function writeManifest(manifest: Manifest): string | Manifest {
  const indices = new Map<string, string>();
  const next = new Map<string, number>();
  const runs: string[] = [];
  for (const { source, from, to } of manifest) {
    let index = indices.get(source);
    if (index === undefined) {
      if (source === "" || SEPARATORS.test(source)) return manifest;
      index = indices.size.toString(36);
      indices.set(source, index);
    }
    const skipped = from - (next.get(source) ?? 0);
    const more = to - from;
    const gap = skipped === 0 ? "" : `.${skipped.toString(36)}`;
    runs.push(`${index}${gap}${more === 0 ? "" : `+${more.toString(36)}`}`);
    next.set(source, to + 1);
  }
  return `${[...indices.keys()].join(" ")}|${runs.join(",")}`;
}

/** Reads a text of at most so many runs; undefined for what is none. Runs are as they are said to be. */
export function readManifest(written: string, runsMax: number): Run[] | undefined {
  const bar = written.indexOf("|");
  if (bar < 0) return undefined;
  const sources = written.slice(0, bar).split(" ");
  const texts = written.slice(bar + 1).split(",", runsMax + 1);
  if (texts.length > runsMax) return undefined;
  const next = new Map<string, number>();
  const runs: Run[] = [];
  for (const one of texts) {
    const [, index, skipped, more] = RUN.exec(one) ?? [];
    const source = sources[Number.parseInt(index ?? "", 36)];
    if (source === undefined) return undefined;
    const from = (next.get(source) ?? 0) + Number.parseInt(skipped ?? "0", 36);
    const to = from + Number.parseInt(more ?? "0", 36);
    runs.push({ source, from, to });
    next.set(source, to + 1);
  }
  return runs;
}
