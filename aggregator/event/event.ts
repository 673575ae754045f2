/**
 * DogStatsD's events and service checks: what is neither added up nor named, but carried to sinks as it is.
 */

/** Which tags `veneurlocalonly` and `veneurglobalonly` asked for. */
export type Scope = "local" | "global";

/** How many tags a client wants the agent to add; nobody adds any here, so it is only handed on. */
export type Cardinality = "none" | "low" | "orchestrator" | "high";

interface Carried {
  /** In seconds since 1970: the client's, or the moment of arrival. */
  readonly timestampSec: number;
  /** May be empty, which says that there is none. */
  readonly host: string;
  /** `key:value` or bare; without duplicates, sorted by their bytes. */
  readonly tags: readonly string[];
  readonly scope?: Scope;
  readonly device?: string;
  /** The container id as sent, as in `ci-1234,in-4026531835`. */
  readonly container?: string;
  /** External data as sent, as in `it-false,cn-nginx,pu-75a2b6d5`. */
  readonly external?: string;
  readonly cardinality?: Cardinality;
}

/** `_e{...}`. Texts are decoded, with line feeds where the client wrote `\n`. */
export interface DogEvent extends Carried {
  readonly kind: "event";
  /** Never empty. */
  readonly title: string;
  readonly text: string;
  readonly priority: "normal" | "low";
  readonly alert: "error" | "warning" | "info" | "success";
  /** Events of one key belong together; empty for none. */
  readonly aggregationKey: string;
  readonly source: string;
}

/** `_sc|...`. */
export interface ServiceCheck extends Carried {
  readonly kind: "check";
  /** Never empty. */
  readonly name: string;
  /** 0 ok, 1 warning, 2 critical, 3 unknown. */
  readonly status: 0 | 1 | 2 | 3;
  readonly message: string;
}

/** What sinks that can carry such things take. */
export type DogItem = DogEvent | ServiceCheck;

/** Bytes that an item takes in memory, roughly: for queues that are bounded. */
export function itemBytes(item: DogItem): number {
  const texts = item.kind === "event" ? [item.title, item.text, item.aggregationKey, item.source] : [];
  const check = item.kind === "check" ? [item.name, item.message] : [];
  const carried = [item.host, item.device ?? "", item.container ?? "", item.external ?? "", ...item.tags];
  const characters = [...texts, ...check, ...carried].reduce((sum, text) => sum + text.length + 16, 0);
  return characters * 2 + 256;
}
