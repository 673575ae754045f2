/** The fields behind an event's text or a check's status: of each kind the last counts, wrong ones do not. */
import type { Cardinality, DogEvent, ServiceCheck } from "./event.ts";
import { readTags } from "./event-tags.ts";

type Mutable<Fields> = { -readonly [Key in keyof Fields]: Fields[Key] };
type WithoutTime<Item> = Omit<Item, "timestampSec" | "kind"> & { readonly timestampSec?: number };
type EventFields = Mutable<Omit<WithoutTime<DogEvent>, "title" | "text">>;
type CheckFields = Mutable<Omit<WithoutTime<ServiceCheck>, "name" | "status">>;
type CommonFields = Pick<
  EventFields,
  "timestampSec" | "host" | "tags" | "scope" | "device" | "container" | "external" | "cardinality"
>;

/** Takes a field's value; returns false for one that is not as it should be. */
type Setter<Fields> = (fields: Fields, value: string) => boolean;

/** Ten digits of seconds are enough until the year 2286. */
const TIMESTAMP = /^(?!0+$)\d{1,10}$/;

const COMMON: Readonly<Record<string, Setter<CommonFields>>> = {
  "d:": (fields, value) => {
    if (!TIMESTAMP.test(value)) return false;
    fields.timestampSec = Number(value);
    return true;
  },
  "h:": (fields, value) => {
    fields.host = value;
    return true;
  },
  "c:": (fields, value) => {
    if (value !== "") fields.container = value;
    return value !== "";
  },
  "e:": (fields, value) => {
    if (value !== "") fields.external = value;
    return value !== "";
  },
  "card:": (fields, value) => setWord(CARDINALITIES, value, (word) => (fields.cardinality = word)),
  "#": (fields, value) => {
    const { tags, scope, host, device } = readTags(value);
    fields.tags = tags;
    if (host !== undefined) fields.host = host;
    if (scope === undefined) delete fields.scope;
    else fields.scope = scope;
    if (device === undefined) delete fields.device;
    else fields.device = device;
    return true;
  },
};

const EVENT: Readonly<Record<string, Setter<EventFields>>> = {
  ...COMMON,
  "k:": (fields, value) => {
    fields.aggregationKey = value;
    return true;
  },
  "s:": (fields, value) => {
    fields.source = value;
    return true;
  },
  "p:": (fields, value) => setWord(PRIORITIES, value, (word) => (fields.priority = word)),
  "t:": (fields, value) => setWord(ALERTS, value, (word) => (fields.alert = word)),
};

const CHECK: Readonly<Record<string, Setter<CheckFields>>> = {
  ...COMMON,
  "m:": (fields, value) => {
    fields.message = value;
    return true;
  },
};

const CARDINALITIES: readonly Cardinality[] = ["none", "low", "orchestrator", "high"];
const PRIORITIES: readonly DogEvent["priority"][] = ["normal", "low"];
const ALERTS: readonly DogEvent["alert"][] = ["error", "warning", "info", "success"];

/** Reads an event's fields. skippedFields: those that are unknown, empty or wrong. */
export function readEventFields(sections: readonly string[]): { fields: EventFields; skippedFields: number } {
  const fields: EventFields = {
    host: "",
    tags: [],
    priority: "normal",
    alert: "info",
    aggregationKey: "",
    source: "",
  };
  return { fields, skippedFields: readFields(EVENT, fields, sections) };
}

/** Reads a check's fields. skippedFields: those that are unknown, empty or wrong. */
export function readCheckFields(sections: readonly string[]): { fields: CheckFields; skippedFields: number } {
  const fields: CheckFields = { host: "", tags: [], message: "" };
  return { fields, skippedFields: readFields(CHECK, fields, sections) };
}

function readFields<Fields>(
  setters: Readonly<Record<string, Setter<Fields>>>,
  fields: Fields,
  sections: readonly string[],
): number {
  let skippedFields = 0;
  for (const section of sections) {
    const key = /^(?:#|[a-z]+:)/.exec(section)?.[0] ?? "";
    const setter = Object.hasOwn(setters, key) ? setters[key] : undefined;
    if (setter === undefined || !setter(fields, section.slice(key.length))) skippedFields++;
  }
  return skippedFields;
}

function setWord<Word extends string>(
  words: readonly Word[],
  value: string,
  set: (word: Word) => void,
): boolean {
  const word = words.find((one) => one === value);
  if (word !== undefined) set(word);
  return word !== undefined;
}
