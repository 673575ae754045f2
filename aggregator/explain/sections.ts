/** The sections behind a line's type, for people. What becomes of them is the kernel's business. */

/** What a line says beside name, values and type. */
export interface LineSections {
  /** The sampling rate as written. */
  readonly rate?: string;
  /** DogStatsD tags as written. */
  readonly tags?: string;
  readonly container?: string;
  /** Seconds since 1970, as written. */
  readonly timestamp?: string;
  readonly externalData?: string;
  readonly cardinality?: string;
  /** Sections that nobody knows, as written. */
  readonly unknown?: readonly string[];
}

/** Prefixes of sections, longest first where one begins like another. */
const KINDS: readonly (readonly [string, keyof Omit<LineSections, "unknown">])[] = [
  ["@", "rate"],
  ["#", "tags"],
  ["card:", "cardinality"],
  ["c:", "container"],
  ["e:", "externalData"],
  ["T", "timestamp"],
];

/**
 * Reads the sections of a line. Of one that comes twice the last is shown; of a line in segments, each of
 * which has its own, only tags, which are the last thing that it can say.
 */
export function readSections(line: string): LineSections {
  const colon = line.indexOf(":");
  const [, type = "", ...parts] = line.slice(colon + 1).split("|");
  if (type.includes(":") || parts.some((part) => /^@[^:]*:/.test(part))) {
    const tags = parts.find((part) => part.startsWith("#"));
    return tags === undefined ? {} : { tags: tags.slice(1) };
  }
  const sections: Record<string, string> = {};
  const unknown: string[] = [];
  for (const part of parts) {
    const [prefix, kind] = KINDS.find(([start]) => part.startsWith(start)) ?? [];
    if (prefix !== undefined && kind !== undefined) sections[kind] = part.slice(prefix.length);
    else unknown.push(part);
  }
  return { ...sections, ...(unknown.length > 0 ? { unknown } : {}) };
}
