/** How an intake reads lines: the settings of its listener, and the codes by which the kernel knows them. */

/** The index is the code in kernel/parse.ts. */
export const DIALECTS = ["auto", "statsd", "dogstatsd", "bioyino"] as const;
/** The index is the code in kernel/text.ts. */
export const SANITIZE_MODES = ["bioyino", "etsy", "off"] as const;

/** Settings of `[aggregator]` or a `[listener.NAME]` that the kernel reads lines by. */
export interface ReadingOptions {
  readonly dialect: (typeof DIALECTS)[number];
  readonly sanitize: (typeof SANITIZE_MODES)[number];
  /** Whether `name,k=v` is a name with tags. */
  readonly influxTags: boolean;
  readonly unknownType: "drop" | "counter";
  /** Whether a tagged line counts under its bare name as well. */
  readonly untaggedCopy: boolean;
}

/** What an intake reads by when nothing else is said. */
export const DEFAULT_READING: ReadingOptions = {
  dialect: "auto",
  sanitize: "bioyino",
  influxTags: false,
  unknownType: "drop",
  untaggedCopy: false,
};

/** Returns the arguments of the kernel's setReading(). */
export function readingCodes(options: ReadingOptions): {
  readonly dialect: number;
  readonly sanitize: number;
  readonly flags: number;
} {
  const { influxTags, unknownType, untaggedCopy } = options;
  return {
    dialect: DIALECTS.indexOf(options.dialect),
    sanitize: SANITIZE_MODES.indexOf(options.sanitize),
    flags: (influxTags ? 1 : 0) | (unknownType === "counter" ? 2 : 0) | (untaggedCopy ? 4 : 0),
  };
}
