/** Which series the store takes: the bounds of [aggregator], as the kernel knows them. */
import { assert } from "../shared/errors.ts";
import { type AggregatorKernel, addressOf } from "./kernel.ts";

/** Why a sample did not get into a series of its own; the index is the kernel's code. */
export const REFUSALS = ["series", "sender", "prefix", "cap", "memory", "timer_samples"] as const;
export type Refusal = (typeof REFUSALS)[number];

/** What is not said does not bound. */
export interface LimitOptions {
  /** Series that one interval may have. */
  readonly seriesMax: number;
  /** Series that one sender's lines may make; 0 for any number. */
  readonly seriesPerSenderMax?: number;
  /** Series of one prefix; 0 for any number. */
  readonly seriesPerPrefixMax?: number;
  /** Dotted parts of a name that are its prefix. */
  readonly prefixParts?: number;
  /** Series of names that begin in some way. */
  readonly seriesCaps?: readonly { readonly prefix: string; readonly count: number }[];
  /** Samples that one timer may have; 0 for any number. */
  readonly timerSamplesMax?: number;
  /** Name of the series that gets what was refused; empty for none. */
  readonly overflowName?: string;
}

const PREFIX_PARTS = 2;

/** Tells a kernel its bounds; its table must be emptied afterwards. */
export function applyLimits(kernel: AggregatorKernel, options: LimitOptions): void {
  const { exports } = kernel;
  exports.setLimits(
    options.seriesMax,
    options.seriesPerSenderMax ?? 0,
    options.seriesPerPrefixMax ?? 0,
    options.prefixParts ?? PREFIX_PARTS,
    options.timerSamplesMax ?? 0,
  );
  for (const { prefix, count } of options.seriesCaps ?? []) {
    const isAdded = exports.addCap(putText(kernel, prefix), count);
    assert(isAdded !== 0, `there is room for the cap of ${prefix}`);
  }
  const overflowName = options.overflowName ?? "";
  assert(
    exports.setOverflowName(putText(kernel, overflowName)) !== 0,
    "the overflow series has a short name",
  );
}

/** Puts a text where the kernel reads it; returns its bytes. */
function putText({ exports, memory }: AggregatorKernel, text: string): number {
  const bytes = Buffer.from(text);
  new Uint8Array(memory.buffer).set(bytes, addressOf(exports.inputAddress()));
  return bytes.length;
}
