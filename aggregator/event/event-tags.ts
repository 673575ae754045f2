/** The tags of an event or a service check. */
import type { Scope } from "./event.ts";

/** A tag list taken apart. */
export interface TagList {
  /** Without empty ones and duplicates, sorted by their bytes. */
  readonly tags: readonly string[];
  readonly scope: Scope | undefined;
  /** Values of the tags that say what sent it; undefined where there is none. */
  readonly host: string | undefined;
  readonly device: string | undefined;
}

const MAGIC: ReadonlyMap<string, Scope> = new Map([
  ["veneurlocalonly", "local"],
  ["veneurglobalonly", "global"],
]);
const HOST = "host:";
const DEVICE = "device:";

/**
 * Reads `key:value,bare,...`. Of several magic tags the first decides, and none stays in the list; of several
 * hosts or devices the last counts.
 */
export function readTags(text: string): TagList {
  const tags = new Set<string>();
  let scope: Scope | undefined;
  let host: string | undefined;
  let device: string | undefined;
  for (const tag of text.split(",")) {
    const magic = MAGIC.get(tag.split(":", 1)[0]!);
    if (magic !== undefined) scope ??= magic;
    else if (tag.startsWith(HOST)) host = tag.slice(HOST.length);
    else if (tag.startsWith(DEVICE)) device = tag.slice(DEVICE.length);
    else if (tag !== "") tags.add(tag);
  }
  return { tags: sortByBytes([...tags], text), scope, host, device };
}

/** The order of UTF-16 is that of the bytes but for characters that are written as two. */
function sortByBytes(tags: string[], text: string): string[] {
  if (!/[\ud800-\udbff]/.test(text)) return tags.sort();
  return tags.sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
}
