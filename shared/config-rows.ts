/** Rows of the option table: what each says about its option, and how rows are written. */
import type { ValueType } from "./config-values.ts";

/** What every option has. */
interface OptionRow<Property extends string> {
  /** Name in the typed configuration: camelCase, unit last. */
  readonly property: Property;
  /** One line for --help. */
  readonly doc: string;
  /** Whether a running daemon could take a new value without closing a socket or dropping what it holds. */
  readonly isReloadable: boolean;
}

/** An option with one value. */
export interface ScalarOption<Value, Property extends string = string> extends OptionRow<Property> {
  readonly kind: "scalar";
  readonly type: ValueType<Value>;
  readonly default: string;
}

/** An option with any number of values, in order. */
export interface ListOption<Value, Property extends string = string> extends OptionRow<Property> {
  readonly kind: "list";
  readonly type: ValueType<Value>;
  /** The items, with blanks between them. */
  readonly default: string;
  readonly rule: ListRule;
}

/** Sections whose values others take where they do not say their own. */
export type ParentSection = "naming.default" | "relay" | "aggregator" | "carbon";

/** An option that is taken from the same key of another section where it is not set. */
export interface InheritedOption<Value, Property extends string = string> extends OptionRow<Property> {
  readonly kind: "inherited";
  readonly type: ValueType<Value>;
  readonly from: ParentSection;
}

/** The same for a list, which is inherited as a whole. */
export interface InheritedListOption<Value, Property extends string = string> extends OptionRow<Property> {
  readonly kind: "inherited-list";
  readonly type: ValueType<Value>;
  readonly rule: ListRule;
  readonly from: ParentSection;
}

/** What a list may look like. */
export interface ListRule {
  /** How an empty list is written: by nothing, by the word `none`, or not at all. */
  readonly empty: "blank" | "none" | "refused";
  /** Whether an item that comes again is left out, with a warning. */
  readonly isUnique: boolean;
  /** Whether --print-config writes it on one line, as suits short words. */
  readonly isInline: boolean;
  /** Whether each line is one item as it stands, because items may have blanks and commas. */
  readonly isRaw?: boolean;
}

export type Option =
  | ScalarOption<unknown>
  | ListOption<unknown>
  | InheritedOption<unknown>
  | InheritedListOption<unknown>;
export type Section = Readonly<Record<string, Option>>;

/** Values of a section by property. */
export type SectionValues<Rows> = {
  readonly [Key in keyof Rows as Rows[Key] extends OptionRow<infer Name> ? Name : never]: OptionValue<
    Rows[Key]
  >;
};
type OptionValue<Row> =
  Row extends ListOption<infer Value>
    ? readonly Value[]
    : Row extends InheritedListOption<infer Value>
      ? readonly Value[]
      : Row extends ScalarOption<infer Value> | InheritedOption<infer Value>
        ? Value
        : never;

/** Returns what a list may look like, undefined for an option with one value. */
export function listRule(option: Option): ListRule | undefined {
  return "rule" in option ? option.rule : undefined;
}

/** Returns the section that an option inherits from where it is not set, undefined for most. */
export function parentOf(option: Option): ParentSection | undefined {
  return option.kind === "inherited" || option.kind === "inherited-list" ? option.from : undefined;
}

/** Returns an option's default as INI text; empty for one that is inherited. */
export function defaultOf(option: Option): string {
  return "default" in option ? option.default : "";
}

/** One value. fallback: the default, as INI text. */
export function one<Value, const Property extends string>(
  property: Property,
  type: ValueType<Value>,
  fallback: string,
  doc: string,
  isReloadable = false,
): ScalarOption<Value, Property> {
  return { kind: "scalar", property, type, default: fallback, doc, isReloadable };
}

/** Many values. fallback: the default items, with blanks between them. */
export function many<Value, const Property extends string>(
  property: Property,
  type: ValueType<Value>,
  fallback: string,
  doc: string,
  rule: ListRule,
  isReloadable = false,
): ListOption<Value, Property> {
  return { kind: "list", property, type, default: fallback, doc, rule, isReloadable };
}

/** The row of a section that takes this value from the other one. */
export function inherit<Value, const Property extends string>(
  { property, type, doc, isReloadable }: ScalarOption<Value, Property>,
  from: ParentSection,
): InheritedOption<Value, Property> {
  return { kind: "inherited", property, type, from, doc, isReloadable };
}

/** Does for a list what inherit does for one value. */
export function inheritList<Value, const Property extends string>(
  { property, type, doc, rule, isReloadable }: ListOption<Value, Property>,
  from: ParentSection,
): InheritedListOption<Value, Property> {
  return { kind: "inherited-list", property, type, rule, from, doc, isReloadable };
}

/** Addresses, at least one of them; the same one may come again. */
export const ADDRESSES: ListRule = { empty: "refused", isUnique: false, isInline: false };
/** Addresses, or none. */
export const ADDRESSES_OR_NONE: ListRule = { ...ADDRESSES, empty: "blank" };
/** Different words, at least one. */
export const WORDS: ListRule = { empty: "refused", isUnique: true, isInline: true };
/** Different words, or the word `none`. */
export const WORDS_OR_NONE: ListRule = { ...WORDS, empty: "none" };
/** Items that take their whole line, in order; or none. */
export const RULES: ListRule = { empty: "blank", isUnique: false, isInline: false, isRaw: true };
