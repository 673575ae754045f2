/**
 * Reads DogStatsD's event and service check lines, protocol 1.6. Lengths count bytes, so a title may hold
 * bars; whatever is wrong behind the text costs its field and not the event.
 *
 *   _e{5,4}:title|text|d:1700000000|h:host|k:key|p:low|s:source|t:error|#k:v,k2|c:ID|e:EXTERNAL|card:low
 *   _sc|name|2|d:1700000000|h:host|#k:v,k2|c:ID|e:EXTERNAL|card:low|m:message
 */
import { isUtf8 } from "node:buffer";
import { DROP_BAD_CHECK, DROP_BAD_EVENT, DROP_BAD_UTF8 } from "../../shared/kernel/reasons.ts";
import type { DogItem, ServiceCheck } from "./event.ts";
import { readCheckFields, readEventFields } from "./event-fields.ts";

/** What can be wrong with a line, for people; counters know only of events, checks and UTF-8. */
export type EventFault =
  | "bad-header"
  | "bad-prefix"
  | "bad-status"
  | "bad-utf8"
  | "empty-name"
  | "empty-title"
  | "no-status"
  | "text-length"
  | "title-length"
  | "too-short";

/** A line read: what it says, or why it is dropped. */
export type ReadEvent =
  | {
      readonly item: DogItem;
      /** Fields that are unknown, empty or wrong, and were passed over. */
      readonly skippedFields: number;
    }
  | {
      readonly fault: EventFault;
      /** The code of shared/kernel/reasons.ts under which it is counted. */
      readonly reason: number;
    };

/** Lengths of a header that need more than this cannot be those of a line. */
const HEADER_BYTES_MAX = 64;
const BAR = 0x7c;

/**
 * Reads one line, without its line end. line: any bytes; what begins neither like an event nor like a check
 * is `bad-prefix`. nowSec: the timestamp, in seconds since 1970, of what has none. Never throws.
 */
export function readEvent(line: Uint8Array, nowSec: number): ReadEvent {
  const bytes = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
  if (!isUtf8(bytes)) return { fault: "bad-utf8", reason: DROP_BAD_UTF8 };
  const isEvent = bytes.toString("latin1", 0, 3) === "_e{";
  return isEvent ? readDogEvent(bytes, nowSec) : readCheck(bytes.toString("utf8"), nowSec);
}

function readDogEvent(bytes: Buffer, nowSec: number): ReadEvent {
  const header = /^_e\{(\d+),(\d+)\}:/.exec(bytes.toString("latin1", 0, HEADER_BYTES_MAX));
  if (header === null) return badEvent("bad-header");
  const titleStart = header[0].length;
  const titleBytes = Number(header[1]);
  if (titleBytes === 0) return badEvent("empty-title");
  const titleEnd = titleStart + titleBytes;
  const textEnd = titleEnd + 1 + Number(header[2]);
  if (textEnd > bytes.length) return badEvent("too-short");
  if (bytes[titleEnd] !== BAR) return badEvent("title-length");
  if (textEnd < bytes.length && bytes[textEnd] !== BAR) return badEvent("text-length");

  const { fields, skippedFields } = readEventFields(sectionsOf(bytes.toString("utf8", textEnd)));
  const title = withLineFeeds(bytes.toString("utf8", titleStart, titleEnd));
  const text = withLineFeeds(bytes.toString("utf8", titleEnd + 1, textEnd));
  return { item: { kind: "event", title, text, ...withTime(fields, nowSec) }, skippedFields };
}

function readCheck(line: string, nowSec: number): ReadEvent {
  const [prefix, name, status, ...sections] = line.split("|");
  if (prefix !== "_sc") return badCheck("bad-prefix");
  if (name === undefined || name === "") return badCheck("empty-name");
  if (status === undefined) return badCheck("no-status");
  if (!/^[0-3]$/.test(status)) return badCheck("bad-status");

  const { fields, skippedFields } = readCheckFields(sections);
  const message = withLineFeeds(fields.message);
  const checkStatus = Number(status) as ServiceCheck["status"];
  const item: DogItem = { kind: "check", name, status: checkStatus, ...withTime(fields, nowSec), message };
  return { item, skippedFields };
}

/** tail: empty, or a bar and what follows. */
function sectionsOf(tail: string): string[] {
  return tail === "" ? [] : tail.slice(1).split("|");
}

function withTime<Fields extends { readonly timestampSec?: number }>(fields: Fields, nowSec: number) {
  return { ...fields, timestampSec: fields.timestampSec ?? nowSec };
}

/** Clients write a line feed as two characters. */
function withLineFeeds(text: string): string {
  return text.replaceAll("\\n", "\n");
}

function badEvent(fault: EventFault): ReadEvent {
  return { fault, reason: DROP_BAD_EVENT };
}

function badCheck(fault: EventFault): ReadEvent {
  return { fault, reason: DROP_BAD_CHECK };
}
