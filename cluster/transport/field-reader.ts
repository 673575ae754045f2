/**
 * Readers of values that came as JSON from somewhere else. Each returns a value of its own making, with the
 * fields that it knows and no others, or undefined for anything else. None throws.
 */

/** What a message may still spend; shared by all readers of one message. */
export interface Allowance {
  /** Deltas that its manifests name: somebody will visit each. */
  deltas: number;
}

/** undefined stands for a value that is not what it should be. */
export type Reader<T> = (value: unknown, allowance: Allowance) => T | undefined;

/** A field that may be missing. */
export interface OptionalField<T> {
  readonly optional: Reader<T>;
}

/** A reader for each field of T; only those that may be missing may be optional. */
export type Fields<T> = {
  readonly [K in keyof T]-?: undefined extends T[K]
    ? OptionalField<Exclude<T[K], undefined>>
    : object extends Pick<T, K>
      ? OptionalField<T[K]>
      : Reader<T[K]>;
};

/** A whole number that doubles hold exactly, within bounds that are both included. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Reader<number> {
  return (value) => {
    return typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : undefined;
  };
}

export const finiteNumber: Reader<number> = (value) => {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
};

export const boolean: Reader<boolean> = (value) => (typeof value === "boolean" ? value : undefined);

/** Text of at most so many UTF-16 units. */
export function text(lengthMax: number): Reader<string> {
  return (value) => (typeof value === "string" && value.length <= lengthMax ? value : undefined);
}

/** One of a few words, or the one word. */
export function word<const T extends string>(...words: readonly T[]): Reader<T> {
  return (value) => words.find((one) => one === value);
}

/** A list of at most so many. */
export function list<T>(item: Reader<T>, countMax: number): Reader<readonly T[]> {
  return (value, allowance) => {
    if (!Array.isArray(value) || value.length > countMax) return undefined;
    const items: T[] = [];
    for (const one of value) {
      const read = item(one, allowance);
      if (read === undefined) return undefined;
      items.push(read);
    }
    return items;
  };
}

/** A list of exactly two. */
export function pair<A, B>(first: Reader<A>, second: Reader<B>): Reader<readonly [A, B]> {
  return (value, allowance) => {
    if (!Array.isArray(value) || value.length !== 2) return undefined;
    const left = first(value[0], allowance);
    const right = second(value[1], allowance);
    return left === undefined || right === undefined ? undefined : [left, right];
  };
}

export function optional<T>(reader: Reader<T>): OptionalField<T> {
  return { optional: reader };
}

/** An object of known fields. Others are left out: a newer version may have more. */
export function object<T extends object>(fields: Fields<T>): Reader<T> {
  const entries = Object.entries(fields) as [string, Reader<unknown> | OptionalField<unknown>][];
  return (value, allowance) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const result: Record<string, unknown> = {};
    for (const [name, field] of entries) {
      const given = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
      if (typeof field !== "function" && given === undefined) continue;
      const read = typeof field === "function" ? field(given, allowance) : field.optional(given, allowance);
      if (read === undefined) return undefined;
      result[name] = read;
    }
    return result as T;
  };
}

/** Parses JSON. Returns undefined for what is none; JSON itself has no undefined. */
export function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
