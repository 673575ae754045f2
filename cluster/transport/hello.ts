/** What two nodes tell each other first, and whether they may go on. */
import { createHash } from "node:crypto";
import { integer, list, object, parseJson, type Reader, text, word } from "./field-reader.ts";
import { newPacket, PACKET_HEADER_BYTES, packetKindOf } from "./packet.ts";

/** Raised with any message that an older node would take for something else. One step apart is accepted. */
export const PROTOCOL_VERSION = 1;

export interface Hello {
  /** PROTOCOL_VERSION of who says it. */
  readonly version: number;
  readonly node: string;
  /** Tells this run of its process from others. */
  readonly incarnation: string;
  readonly role: "member" | "witness" | "agent";
  /** Names of all members, itself included; nothing for agents. */
  readonly members: readonly string[];
  /** What must be equal everywhere, by its path in the configuration, such as `aggregation.timer`. */
  readonly settings: Readonly<Record<string, string>>;
}

/** A hello as it is sent. */
export interface SpokenHello {
  readonly hello: Hello;
  readonly packet: Uint8Array;
  /** SHA-256 of the packet in hex, which the proof of access covers. */
  readonly digest: string;
}

/** Largest hello in bytes. */
export const HELLO_BYTES_MAX = 256 * 1024;
const MEMBERS_MAX = 1000;
const SETTINGS_MAX = 4096;
const SETTING_LENGTH_MAX = 64 * 1024;
/** A name stands in headers and logs. */
const NODE_NAME = /^[A-Za-z0-9_][\w.:@-]{0,127}$/;
/** Differences that a refusal names. */
const DIFFERENCES_SHOWN = 3;
/** Characters of a setting that a refusal shows. */
const SHOWN_LENGTH = 40;

/** Whether a text can be a node's name: letters, digits and `_ . : @ -`, 1..128 of them. */
export function isNodeName(name: string): boolean {
  return NODE_NAME.test(name);
}

const nodeName: Reader<string> = (value) => {
  return typeof value === "string" && isNodeName(value) ? value : undefined;
};

const settings: Reader<Readonly<Record<string, string>>> = (value) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  if (entries.length > SETTINGS_MAX) return undefined;
  const isSound = entries.every(([path, setting]) => {
    return path.length <= SETTING_LENGTH_MAX && isText(setting);
  });
  // fromEntries defines fields, so that one named __proto__ is nothing but a field.
  return isSound ? (Object.fromEntries(entries) as Record<string, string>) : undefined;
};

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= SETTING_LENGTH_MAX;
}

const helloReader = object<Hello>({
  version: integer(1),
  node: nodeName,
  incarnation: text(256),
  role: word("member", "witness", "agent"),
  members: list(nodeName, MEMBERS_MAX),
  settings,
});

/** Writes a hello. */
export function speakHello(hello: Hello): SpokenHello {
  const packet = newPacket("hello", Buffer.from(JSON.stringify(hello)));
  return { hello, packet, digest: helloDigest(packet) };
}

/** SHA-256 of a hello's packet in hex. */
export function helloDigest(packet: Uint8Array): string {
  return createHash("sha256").update(packet).digest("hex");
}

/** Reads a packet of kind "hello". Returns undefined for anything else. */
export function readHello(packet: Uint8Array): Hello | undefined {
  if (packet.length > HELLO_BYTES_MAX || packetKindOf(packet) !== "hello") return undefined;
  const json = Buffer.from(packet.subarray(PACKET_HEADER_BYTES)).toString("utf8");
  return helloReader(parseJson(json), { deltas: 0 });
}

/**
 * Whether two nodes fit together. Returns undefined, or in words why not, as `own` sees it. Settings that
 * only one of them knows do not count, since versions differ in them.
 */
export function compareHello(own: Hello, other: Hello): string | undefined {
  if (Math.abs(own.version - other.version) > 1) {
    const versions = `${own.version} here and ${other.version} there`;
    return `protocol version is ${versions}; upgrade one version at a time`;
  }
  if (other.node === own.node || (other.role === "agent" && own.members.includes(other.node))) {
    return `two nodes claim the name "${other.node}"; give each node its own`;
  }
  return compareMembers(own, other) ?? compareSettings(own, other);
}

function compareMembers(own: Hello, other: Hello): string | undefined {
  if (own.role === "agent" || other.role === "agent") return undefined;
  if (!own.members.includes(other.node)) return `"${other.node}" is no member of the cluster here`;
  if (!other.members.includes(own.node)) return `"${own.node}" is no member of the cluster there`;
  // One may differ, so that a membership can be changed node by node.
  if (memberDifferences(own, other).length <= 1) return undefined;
  return `members are ${own.members.join(", ")} here and ${other.members.join(", ")} there`;
}

/** Names of members that only one of two nodes has. */
export function memberDifferences(own: Hello, other: Hello): string[] {
  if (own.role === "agent" || other.role === "agent") return [];
  return [
    ...own.members.filter((name) => !other.members.includes(name)),
    ...other.members.filter((name) => !own.members.includes(name)),
  ];
}

function compareSettings(own: Hello, other: Hello): string | undefined {
  const differing = Object.keys(own.settings).filter((path) => {
    return Object.hasOwn(other.settings, path) && own.settings[path] !== other.settings[path];
  });
  if (differing.length === 0) return undefined;
  const shown = differing.slice(0, DIFFERENCES_SHOWN).map((path) => {
    const [here, there] = showDifference(own.settings[path]!, other.settings[path]!);
    return `${path} is ${here} here and ${there} there`;
  });
  const more = differing.length - shown.length;
  return `${shown.join("; ")}${more > 0 ? `; and ${more} more differ` : ""}`;
}

/** Quotes two texts that differ; of long ones the part where they do. */
function showDifference(here: string, there: string): [string, string] {
  let same = 0;
  while (same < here.length && here[same] === there[same]) same += 1;
  const isLong = Math.max(here.length, there.length) > SHOWN_LENGTH;
  const from = isLong ? Math.max(0, same - SHOWN_LENGTH / 2) : 0;
  const show = (whole: string): string => {
    const cut = whole.slice(from, from + SHOWN_LENGTH);
    const behind = whole.length > from + SHOWN_LENGTH ? "..." : "";
    return JSON.stringify(`${from > 0 ? "..." : ""}${cut}${behind}`);
  };
  return [show(here), show(there)];
}
