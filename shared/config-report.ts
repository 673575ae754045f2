/** Faults of a configuration, gathered into the one report that the operator gets. */
import { EXIT_CONFIG, EXIT_USAGE, OperatorError } from "./errors.ts";

/**
 * Where something was said: a line of the file, counted from 1, a flag such as `--threads`, or an environment
 * variable.
 */
export type Place = { readonly line: number } | { readonly flag: string } | { readonly variable: string };

/** One fault. what: `relay.threads = 0: is too small; choose within 1..64`. */
export interface ConfigFault {
  /** Absent for a fault of the file as a whole. */
  readonly place?: Place;
  readonly what: string;
}

/** More faults than this in a file say that it is no configuration at all. */
export const FAULTS_MAX = 100;
const SHOWN_LENGTH_MAX = 60;

/** Shows a text from outside on one line: shortened, and without anything that a terminal would obey. */
export function show(text: string): string {
  const short = text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}...` : text;
  return short.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => {
    return `\\u{${char.codePointAt(0)!.toString(16)}}`;
  });
}

/**
 * Throws when there are faults: one OperatorError whose message is the whole report, the file's lines first.
 * It exits with 2 when the flags alone are at fault, otherwise with 78.
 */
export function throwFaults(faults: readonly ConfigFault[], fileName: string | undefined): void {
  if (faults.length === 0) return;
  const ofFlags = faults.filter(isOfFlag);
  const ofVariables = faults.filter(({ place }) => place !== undefined && "variable" in place);
  const ofFile = faults
    .filter((fault) => !isOfFlag(fault) && !ofVariables.includes(fault))
    .sort((a, b) => lineOf(a) - lineOf(b));
  const about = [
    ...(ofFile.length > 0 ? [fileName ?? "configuration"] : []),
    ...(ofVariables.length > 0 ? ["environment"] : []),
    ...(ofFlags.length > 0 ? ["command line"] : []),
  ].join(" and ");
  const lines = [...ofFile, ...ofVariables, ...ofFlags].map((fault) => `  ${placeOf(fault)}${fault.what}`);
  const message = `${about}: ${faults.length} fault${faults.length > 1 ? "s" : ""}\n${lines.join("\n")}`;
  throw new OperatorError(message, ofFlags.length < faults.length ? EXIT_CONFIG : EXIT_USAGE);
}

function isOfFlag({ place }: ConfigFault): boolean {
  return place !== undefined && "flag" in place;
}

function lineOf({ place }: ConfigFault): number {
  return place !== undefined && "line" in place ? place.line : 0;
}

function placeOf({ place }: ConfigFault): string {
  if (place === undefined) return "";
  if ("line" in place) return `line ${place.line}: `;
  return `${"flag" in place ? place.flag : place.variable}: `;
}
