/** Texts from file and flags to the values of the option table. */
import {
  type ListOption,
  OPTIONS,
  type Option,
  SECTIONS,
  type SectionName,
  type SectionValues,
} from "./config-options.ts";
import { type ConfigFault, type Place, show } from "./config-report.ts";
import type { Parsed } from "./config-values.ts";
import { assert } from "./errors.ts";

/** A text and where it stands. */
interface Given {
  readonly text: string;
  readonly place: Place;
}

/** What was set for a key. A list that was set to nothing has a place and no items. */
interface Setting {
  readonly place: Place;
  readonly items: Given[];
}

/** Reads values section by section, each key once, and gathers what is wrong with them. */
export class ConfigReader {
  readonly faults: ConfigFault[];
  readonly #warn: (text: string) => void;
  /** By `section.key`. */
  readonly #settings = new Map<string, Setting>();
  /** Values already read; undefined for those whose text is faulty. */
  readonly #values = new Map<string, { readonly value: unknown } | undefined>();

  /** faults: those known already. warn: takes a sentence about whatever was put right without asking. */
  constructor(faults: readonly ConfigFault[], warn: (text: string) => void) {
    this.faults = [...faults];
    this.#warn = warn;
  }

  /** Adds a value to a key; the values of a list are split at blanks and commas. */
  add(section: string, key: string, text: string, place: Place): void {
    const isList = optionOf(section, key).kind === "list";
    const texts = isList ? text.split(/[\s,]+/).filter((item) => item !== "") : [text];
    this.#append(section, key, texts, place);
  }

  /** Sets a key to these values and forgets what it had. They are not split. */
  replace(section: string, key: string, texts: readonly string[], place: Place): void {
    const isList = optionOf(section, key).kind === "list";
    assert(isList || texts.length === 1, `one value for ${section}.${key}`);
    this.#settings.delete(`${section}.${key}`);
    this.#append(section, key, texts, place);
  }

  #append(section: string, key: string, texts: readonly string[], place: Place): void {
    const setting = this.#settings.get(`${section}.${key}`) ?? { place, items: [] };
    for (const text of texts) setting.items.push({ text, place });
    this.#settings.set(`${section}.${key}`, setting);
  }

  /** Returns a section's values: as set, or their defaults where they are not set or faulty. */
  section<Name extends SectionName>(name: Name): SectionValues<(typeof OPTIONS)[Name]> {
    const rows = Object.entries<Option>(OPTIONS[name]);
    const values = rows.map(([key, option]) => [option.property, this.#value(name, key)] as const);
    // The rows that gave the type are the rows that the values were read with.
    return Object.fromEntries(values) as SectionValues<(typeof OPTIONS)[Name]>;
  }

  /**
   * Reports a fault that lies between two keys, at the first of them that was set. It is left out when
   * either is faulty by itself, because the value in its place is none that the operator chose. keys:
   * `section.key`, each with what is wrong from its point of view.
   */
  faultBetween(keys: ReadonlyMap<string, string>): void {
    for (const key of keys.keys()) if (this.#values.has(key) && this.#values.get(key) === undefined) return;
    for (const [key, what] of keys) {
      const setting = this.#settings.get(key);
      if (setting === undefined) continue;
      const text = setting.items.map((item) => item.text).join(" ");
      this.faults.push({ place: setting.place, what: describe(key, text, what, setting.place) });
      return;
    }
    assert(false, `the defaults of ${[...keys.keys()].join(" and ")} contradict each other`);
  }

  #value(section: string, key: string): unknown {
    const path = `${section}.${key}`;
    if (!this.#values.has(path)) this.#values.set(path, this.#read(section, key));
    const read = this.#values.get(path);
    return read === undefined ? defaultValue(optionOf(section, key)) : read.value;
  }

  /** Returns undefined when what was set is faulty. */
  #read(section: string, key: string): { readonly value: unknown } | undefined {
    const option = optionOf(section, key);
    const setting = this.#settings.get(`${section}.${key}`);
    if (setting === undefined) {
      return { value: option.kind === "inherited" ? this.#value(option.from, key) : defaultValue(option) };
    }
    const path = `${section}.${key}`;
    if (option.kind === "list") return this.#readList(path, option, setting);
    const [given] = setting.items;
    return this.#parse(path, option, given!);
  }

  #readList(
    path: string,
    option: ListOption<unknown>,
    { items, place }: Setting,
  ): { value: unknown } | undefined {
    const { empty, isUnique } = option.rule;
    const refuse = (text: string, what: string): undefined => {
      this.faults.push({ place, what: describe(path, text, what, place) });
    };
    if (items.length === 0 && empty !== "blank") {
      return refuse("", `is empty; name ${empty === "none" ? "some, or write none" : "at least one"}`);
    }
    const words = items.filter((item) => item.text === "none");
    if (empty === "none" && words.length > 0) {
      return items.length === 1 ? { value: [] } : refuse("none", "stands beside others; write none alone");
    }
    const parsed = items.map((item) => this.#parse(path, option, item));
    const values = parsed.flatMap((one) => (one === undefined ? [] : [one.value]));
    if (values.length < parsed.length) return undefined;
    return { value: isUnique ? this.#withoutRepeats(path, option, values) : values };
  }

  #withoutRepeats(path: string, option: ListOption<unknown>, values: readonly unknown[]): unknown[] {
    const unique = new Map<string, unknown>();
    for (const value of values) {
      const text = option.type.print(value);
      if (unique.has(text)) this.#warn(`${path} names ${text} more than once; it is taken once`);
      else unique.set(text, value);
    }
    return [...unique.values()];
  }

  #parse(path: string, option: Option, { text, place }: Given): { readonly value: unknown } | undefined {
    const parsed: Parsed<unknown> = option.type.parse(text);
    if ("value" in parsed) return parsed;
    this.faults.push({ place, what: describe(path, text, parsed.fault, place) });
    return undefined;
  }
}

/** A flag is known by its name, a line by the key in it. */
function describe(path: string, text: string, what: string, place: Place): string {
  if ("flag" in place) return `"${show(text)}" ${what}`;
  return text === "" ? `${path}: ${what}` : `${path} = ${show(text)}: ${what}`;
}

function optionOf(section: string, key: string): Option {
  const option = SECTIONS.get(section)?.get(key);
  assert(option !== undefined, `no option ${section}.${key}`);
  return option;
}

/** The value that an option has when nothing sets it, and no other section is asked. */
function defaultValue(option: Option): unknown {
  if (option.kind === "inherited") return undefined;
  const read = (text: string): unknown => {
    const parsed = option.type.parse(text);
    assert("value" in parsed, `bad default ${text} of ${option.property}`);
    return parsed.value;
  };
  if (option.kind === "scalar") return read(option.default);
  return option.default === "" ? [] : option.default.split(" ").map(read);
}
