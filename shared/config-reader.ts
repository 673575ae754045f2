/** Texts from file and flags to the values of the option table. */
import { NAMED, type NamedConfig, type NamedKind } from "./config-named.ts";
import { OPTIONS, optionsOf, type SectionName } from "./config-options.ts";
import { type ConfigFault, type Place, show } from "./config-report.ts";
import {
  defaultOf,
  type InheritedListOption,
  type ListOption,
  listRule,
  type Option,
  parentOf,
  type SectionValues,
} from "./config-rows.ts";
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

  /** Adds a value to a key; the values of a list are split at blanks and commas, unless they are raw. */
  add(section: string, key: string, text: string, place: Place): void {
    const rule = listRule(optionOf(section, key));
    const texts = rule === undefined ? [text] : rule.isRaw === true ? [text] : text.split(/[\s,]+/);
    const items = rule === undefined ? texts : texts.filter((item) => item !== "");
    this.#append(section, key, items, place);
  }

  /** Sets a key to these values and forgets what it had. They are not split. */
  replace(section: string, key: string, texts: readonly string[], place: Place): void {
    assert(
      listRule(optionOf(section, key)) !== undefined || texts.length === 1,
      `one value for ${section}.${key}`,
    );
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
    // The rows that gave the type are the rows that the values were read with.
    return this.#section(name, OPTIONS[name]) as SectionValues<(typeof OPTIONS)[Name]>;
  }

  /** Does the same for the section [KIND.NAME]. */
  named<Kind extends NamedKind>(kind: Kind, name: string): NamedConfig<Kind> {
    return { name, ...this.#section(`${kind}.${name}`, NAMED[kind]) } as NamedConfig<Kind>;
  }

  #section(name: string, rows: Readonly<Record<string, Option>>): object {
    const values = Object.entries(rows).map(
      ([key, { property }]) => [property, this.#value(name, key)] as const,
    );
    return Object.fromEntries(values);
  }

  /** Whether file or flags say something about a key. path: `section.key`. */
  isSet(path: string): boolean {
    return this.#settings.has(path);
  }

  /** Whether what was said about a key that was read is no value for it. */
  isFaulty(path: string): boolean {
    return this.#values.has(path) && this.#values.get(path) === undefined;
  }

  /** Passes on a sentence about something that works and is probably not meant. */
  warn(text: string): void {
    this.#warn(text);
  }

  /**
   * Reports a fault that lies between two keys, at the first of them that was set. It is left out when
   * either is faulty by itself, because the value in its place is none that the operator chose. keys:
   * `section.key`, each with what is wrong from its point of view.
   */
  faultBetween(keys: ReadonlyMap<string, string>): void {
    if ([...keys.keys()].some((key) => this.isFaulty(key))) return;
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
    return read === undefined ? this.#fallback(section, key) : read.value;
  }

  /** The value that an option has when nothing sets it. */
  #fallback(section: string, key: string): unknown {
    const option = optionOf(section, key);
    const parent = parentOf(option);
    return parent === undefined ? defaultValue(option) : this.#value(parent, key);
  }

  /** Returns undefined when what was set is faulty. */
  #read(section: string, key: string): { readonly value: unknown } | undefined {
    const option = optionOf(section, key);
    const setting = this.#settings.get(`${section}.${key}`);
    if (setting === undefined) return { value: this.#fallback(section, key) };
    const path = `${section}.${key}`;
    if ("rule" in option) return this.#readList(path, option, setting);
    const [given] = setting.items;
    return this.#parse(path, option, given!);
  }

  #readList(
    path: string,
    option: ListOption<unknown> | InheritedListOption<unknown>,
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

  #withoutRepeats(path: string, option: Option, values: readonly unknown[]): unknown[] {
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
  if (!("line" in place)) return `"${show(text)}" ${what}`;
  return text === "" ? `${path}: ${what}` : `${path} = ${show(text)}: ${what}`;
}

function optionOf(section: string, key: string): Option {
  const option = optionsOf(section)?.get(key);
  assert(option !== undefined, `no option ${section}.${key}`);
  return option;
}

function defaultValue(option: Option): unknown {
  const read = (text: string): unknown => {
    const parsed = option.type.parse(text);
    assert("value" in parsed, `bad default ${text} of ${option.property}`);
    return parsed.value;
  };
  const written = defaultOf(option);
  if (listRule(option) === undefined) return read(written);
  return written === "" ? [] : written.split(" ").map(read);
}
