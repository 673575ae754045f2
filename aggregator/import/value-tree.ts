/** Reads a tree of values from a configuration of another program, and gathers what is wrong with it. */
import { nearest } from "../../shared/config-nearest.ts";
import { show } from "../../shared/config-report.ts";

/** A table of TOML or an object of JSON. */
export type Table = Readonly<Record<string, unknown>>;

/** Kinds of values that options have, and what they are in TypeScript. */
export interface Kinds {
  readonly text: string;
  /** A whole number from 0 on. */
  readonly whole: number;
  readonly number: number;
  readonly truth: boolean;
  readonly texts: readonly string[];
  /** Texts by name. */
  readonly names: Readonly<Record<string, string>>;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

const CHECKS: { readonly [Kind in keyof Kinds]: (value: unknown) => value is Kinds[Kind] } = {
  text: isText,
  whole: (value): value is number => isNumber(value) && Number.isSafeInteger(value) && value >= 0,
  number: isNumber,
  truth: (value) => typeof value === "boolean",
  texts: (value): value is readonly string[] => Array.isArray(value) && value.every(isText),
  names: (value): value is Readonly<Record<string, string>> =>
    isTable(value) && Object.values(value).every(isText),
};

const NOUNS: Readonly<Record<keyof Kinds, string>> = {
  text: "text in quotes",
  whole: "whole number from 0 on",
  number: "number",
  truth: "true or false",
  texts: "list of texts",
  names: "table of texts",
};

/** Whether a value is a table, and no list. */
export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Shows a value on one line, shortened. */
export function showValue(value: unknown): string {
  return show(JSON.stringify(value) ?? String(value));
}

/** One table of the tree, whose keys are taken one by one; what nobody took is unknown. */
export class ValueTree {
  /** Sentences: `network.bufsize = "x": is no whole number from 0 on`. Shared by all tables of a tree. */
  readonly faults: string[];
  readonly #table: Table;
  readonly #path: string;
  readonly #taken = new Set<string>();

  constructor(table: Table, path = "", faults: string[] = []) {
    this.#table = table;
    this.#path = path;
    this.faults = faults;
  }

  /** Names of the keys that are there. */
  get keys(): string[] {
    return Object.keys(this.#table);
  }

  /** Whether a key is there. */
  has(key: string): boolean {
    return Object.hasOwn(this.#table, key);
  }

  /** Returns a key's value whatever it is, and takes it. */
  any(key: string): unknown {
    this.#taken.add(key);
    return this.has(key) ? this.#table[key] : undefined;
  }

  /** Returns a key's value; undefined where it is not there, or is of another kind, which is a fault. */
  take<Kind extends keyof Kinds>(key: string, kind: Kind): Kinds[Kind] | undefined {
    const value = this.any(key);
    if (!this.has(key)) return undefined;
    const isRight: (value: unknown) => value is Kinds[Kind] = CHECKS[kind];
    if (isRight(value)) return value;
    this.fault(key, `is no ${NOUNS[kind]}`);
    return undefined;
  }

  /** Returns the table below a key; an empty one where there is none. */
  table(key: string): ValueTree {
    const value = this.any(key);
    const path = this.#pathOf(key);
    if (isTable(value)) return new ValueTree(value, path, this.faults);
    if (this.has(key)) this.fault(key, "is no table");
    return new ValueTree({}, path, this.faults);
  }

  /** Adds a fault of a key's value. */
  fault(key: string, what: string): void {
    this.faults.push(`${this.#pathOf(key)} = ${showValue(this.#table[key])}: ${what}`);
  }

  /** Adds a fault for each key that nobody took. known: those that could have been there. */
  finish(known: readonly string[]): void {
    for (const key of this.keys.filter((one) => !this.#taken.has(one))) {
      const close = nearest(key, known);
      const remedy = close === undefined ? "remove it" : `did you mean ${close}?`;
      this.faults.push(`${this.#pathOf(key)}: is an unknown key; ${remedy}`);
    }
  }

  #pathOf(key: string): string {
    const name = show(key);
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }
}
