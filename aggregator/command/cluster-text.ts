/** What a node says of its cluster, for people. What is not as expected is shown as it is. */
import { showText } from "../../shared/name-text.ts";
import { describeValue } from "../../shared/terminal/value-text.ts";
import type { ClusterStatus, IntervalStatus, MemberStatus, MembersPage } from "../page/cluster-status.ts";
import { formatAge, formatBytes } from "./amount-text.ts";
import { textTable } from "./text-table.ts";

/** Intervals that are listed one by one. */
const INTERVALS_SHOWN = 8;
const MEMBER_COLUMNS = [
  { title: "node" },
  { title: "role" },
  { title: "connected" },
  { title: "heard", isRight: true },
  { title: "lag", isRight: true },
  { title: "backlog", isRight: true },
  { title: "acked", isRight: true },
];
const INTERVAL_COLUMNS = [
  { title: "interval (UTC)" },
  { title: "state" },
  { title: "revision", isRight: true },
  { title: "snapshots", isRight: true },
  { title: "samples", isRight: true },
  { title: "closed by" },
  { title: "sinks" },
];
const GROUPED = new Intl.NumberFormat("en-US");

/** Describes GET /members. */
export function describeMembers(value: unknown): string {
  const page = value as MembersPage;
  if (!areRecords(page?.members) || !areTexts(page.alarms)) return describeValue(value);
  const alarms = page.alarms.map((alarm) => `ALARM ${alarm}`);
  const lines = [describeLeader(page), ...alarms, "", ...describeNodes(page)];
  return `${lines.map(showText).join("\n")}\n`;
}

/**
 * Describes GET /status: the cluster, where there is one, stands below the rest, and alarms at the end, where
 * a terminal shows them.
 */
export function describeStatus(value: unknown): string {
  const { cluster, alarms, ...rest } = Object(value) as Record<"cluster" | "alarms", unknown>;
  if (!areTexts(alarms) || (cluster !== undefined && !isCluster(cluster))) return describeValue(value);
  const block = cluster === undefined ? "" : `cluster\n${describeCluster(cluster)}`;
  const lines = alarms.map((alarm) => `ALARM ${showText(alarm)}\n`);
  return `${describeValue(rest)}${block}${lines.join("")}`;
}

function describeCluster(cluster: ClusterStatus): string {
  const lines = [describeLeader(cluster), "", ...describeNodes(cluster)];
  const { role, intervals, counts } = cluster;
  if (intervals.length > 0) lines.push("", ...intervalTable(intervals));
  if (role !== "agent") lines.push("", ...linesOf(stateOf(cluster)));
  const counted = Object.entries(Object(counts) as object).filter(([, count]) => count !== 0);
  if (counted.length > 0) lines.push(...linesOf({ counts: Object.fromEntries(counted) }));
  return lines.map((line) => (line === "" ? "\n" : `  ${showText(line)}\n`)).join("");
}

function stateOf(cluster: ClusterStatus): object {
  const { incarnation, hasState, isEligible, clockOffsetMs, heldBytes, incompleteTables } = cluster;
  return { incarnation, hasState, isEligible, clockOffsetMs, heldBytes, incompleteTables };
}

function linesOf(value: object): string[] {
  return describeValue(value).trimEnd().split("\n");
}

/** All members; of an agent how it gets rid of what it takes. */
function describeNodes({ role, agent, members }: Pick<MembersPage, "role" | "agent" | "members">): string[] {
  return role === "agent" ? linesOf(Object(agent)) : memberTable(members);
}

/** `node-a leads in term 7; this node is node-b, a follower` */
function describeLeader({
  node,
  role,
  leader,
  term,
  leaseMs,
}: Omit<MembersPage, "alarms" | "members">): string {
  const self = showText(String(node));
  if (role === "agent") return `${self} is an agent`;
  if (role === "leader") {
    const lease = leaseMs === null ? "" : `; ${formatAge(leaseMs)} are left of its lease`;
    return `${self}, this node, leads in term ${term}${lease}`;
  }
  const who = leader === null ? "nobody is known to lead" : `${showText(String(leader))} leads`;
  return `${who} in term ${term}; this node is ${self}, a ${showText(String(role))}`;
}

function memberTable(members: readonly MemberStatus[]): string[] {
  const lines = textTable(MEMBER_COLUMNS, members.map(memberRow));
  const [head = "", ...rows] = lines;
  return [head, ...rows.flatMap((row, index) => [row, ...notesOf(members[index]!)])];
}

function memberRow(member: MemberStatus): string[] {
  const { node, role, isSelf, heardMs, lagMs, backlogDeltas, backlogBytes, ackedDeltas } = member;
  const name = showText(String(node));
  if (isSelf) return [`${name} *`, showText(String(role)), "this node"];
  const ways = connectedWays(member);
  const heard = heardMs === null ? "never" : formatAge(heardMs);
  // A witness is sent none.
  if (role === "witness") return [name, role, ways, heard];
  const backlog =
    backlogDeltas === 0 ? "0" : `${GROUPED.format(backlogDeltas)} (${formatBytes(backlogBytes)})`;
  return [name, showText(String(role)), ways, heard, formatAge(lagMs), backlog, GROUPED.format(ackedDeltas)];
}

function connectedWays({ isOutgoingUp, isIncomingUp }: MemberStatus): string {
  if (isOutgoingUp && isIncomingUp) return "both ways";
  if (isOutgoingUp) return "only to it";
  return isIncomingUp ? "only from it" : "no";
}

function notesOf({ fault, warning }: MemberStatus): string[] {
  return [fault, warning].flatMap((note) => (typeof note === "string" ? `    ${showText(note)}` : []));
}

function intervalTable(intervals: readonly IntervalStatus[]): string[] {
  const shown = intervals.slice(-INTERVALS_SHOWN);
  const lines = textTable(INTERVAL_COLUMNS, shown.map(intervalRow));
  const older = intervals.length - shown.length;
  return older === 0 ? lines : [...lines, `${older} older ones`];
}

function intervalRow(one: IntervalStatus): string[] {
  const { timestampSec, state, revision, deltas, samples, closedBy, closedOf, deliveredTo } = one;
  const time = new Date(timestampSec * 1000).toISOString().slice(0, 19).replace("T", " ");
  const notes = [one.isDegraded ? "degraded" : [], one.isInDoubt ? "in doubt" : []].flat();
  return [
    time,
    [showText(String(state)), ...notes].join(", "),
    String(revision),
    GROUPED.format(deltas),
    GROUPED.format(samples),
    `${closedBy} of ${closedOf}`,
    deliveredTo.map(showText).join(" "),
  ];
}

/** What is drawn must be there, whoever answers. */
function isCluster(value: unknown): value is ClusterStatus {
  const { members, intervals } = Object(value) as Record<string, unknown>;
  return areRecords(members) && areRecords(intervals) && (intervals as IntervalStatus[]).every(isInterval);
}

/** The time must be one that there is. */
function isInterval({ timestampSec, deliveredTo }: IntervalStatus): boolean {
  return Math.abs(timestampSec) < 1e11 && areTexts(deliveredTo);
}

function areRecords(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === "object" && one !== null);
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}
