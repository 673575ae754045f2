/**
 * What somebody should look at in a cluster, as one node sees it: in words for the pages, and once for each
 * change in the log.
 */
import type { Log } from "../shared/log.ts";
import type { ClusterStanding, LinkStanding } from "./cluster-messages.ts";

interface Alarm {
  /** Stays the same while the text may change. */
  readonly key: string;
  readonly text: string;
  /** How long it had lasted when it became an alarm, for one that has to last; in milliseconds. */
  readonly lastedMs?: number;
}

interface Raised {
  text: string;
  /** When it began, which may be before the alarm. */
  readonly sinceMs: number;
  seenMs: number;
}

/** A peer that is away for longer raises an alarm. */
const AWAY_INTERVALS = 3;
/** Of the newest intervals, how many are looked at. */
const INTERVALS_SHOWN = 3;
/** An alarm that comes back sooner is the same one, so that one that flaps cannot fill a log. */
const HOLD_MS = 10_000;

export class ClusterAlarms {
  readonly #log: Pick<Log, "error" | "info">;
  readonly #raised = new Map<string, Raised>();
  /** Since when what should be there is not, by key; milliseconds of the monotonic clock. */
  readonly #missing = new Map<string, number>();
  #texts: readonly string[] = [];

  constructor(log: Pick<Log, "error" | "info">) {
    this.#log = log;
  }

  /** Those that stand, in words. */
  get texts(): readonly string[] {
    return this.#texts;
  }

  /** Looks at the standing. nowMs: a clock that never goes back. */
  look(standing: ClusterStanding, intervalMs: number, nowMs: number): void {
    const awayMs = AWAY_INTERVALS * intervalMs;
    const alarms = [
      ...ownAlarms(standing),
      ...linkAlarms(standing),
      ...this.#lasting(missingOf(standing), awayMs, nowMs),
    ];
    this.#texts = alarms.map(inWords);
    for (const alarm of alarms) this.#raise(alarm, nowMs);
    for (const [key, { text, sinceMs, seenMs }] of this.#raised) {
      if (nowMs - seenMs < HOLD_MS) continue;
      this.#raised.delete(key);
      this.#log.info("cluster.alarm_over", { alarm: text, forMs: Math.round(seenMs - sinceMs) });
    }
  }

  #raise({ key, text, lastedMs = 0 }: Alarm, nowMs: number): void {
    const raised = this.#raised.get(key);
    if (raised !== undefined) {
      raised.text = text;
      raised.seenMs = nowMs;
      return;
    }
    this.#raised.set(key, { text, sinceMs: nowMs - lastedMs, seenMs: nowMs });
    const lasted = lastedMs > 0 ? { forMs: Math.round(lastedMs) } : {};
    this.#log.error("cluster.alarm", { alarm: text, ...lasted });
  }

  /** Those that have been missing for so long. */
  #lasting(missing: readonly Alarm[], forMs: number, nowMs: number): Alarm[] {
    const keys = new Set(missing.map(({ key }) => key));
    for (const key of this.#missing.keys()) if (!keys.has(key)) this.#missing.delete(key);
    return missing.flatMap(({ key, text }) => {
      const sinceMs = this.#missing.get(key) ?? nowMs;
      this.#missing.set(key, sinceMs);
      const lastedMs = nowMs - sinceMs;
      return lastedMs > forMs ? { key, text, lastedMs } : [];
    });
  }
}

/** For people. In the log the time is a field, so the line of an alarm and that of its end say the same. */
function inWords({ text, lastedMs }: Alarm): string {
  return lastedMs === undefined ? text : `${text} for ${Math.floor(lastedMs / 1000)} s`;
}

/** What the protocol itself has found. */
function ownAlarms({ view }: ClusterStanding): Alarm[] {
  if (view === undefined) return [];
  const alarms = view.alarms.map((text): Alarm => ({ key: text, text }));
  const degraded = view.intervals
    .filter(({ state }) => state !== "open" && state !== "due")
    .slice(-INTERVALS_SHOWN)
    .filter(({ isDegraded }) => isDegraded);
  if (degraded.length > 0) {
    const text = "intervals are written of which no second member has everything";
    alarms.push({ key: "degraded", text });
  }
  return alarms;
}

/** What differs between this node and others, which takes a person to mend. */
function linkAlarms({ role, links }: ClusterStanding): Alarm[] {
  return links.flatMap(({ name, refusal, warning }) => {
    if (refusal !== undefined) {
      // An agent goes from one to the next, and does not wait for a certain one.
      const who = role === "agent" ? "members" : name;
      return { key: `refusal ${name}`, text: `${who} and this node turn each other away: ${refusal}` };
    }
    return warning === undefined ? [] : { key: `warning ${name}`, text: `${name}: ${warning}` };
  });
}

/** What should be there, and is not. */
function missingOf({ role, agent, links }: ClusterStanding): Alarm[] {
  if (role === "agent") {
    // An agent needs any one of them.
    const isAlone = agent !== undefined && agent.member === undefined;
    return isAlone ? [{ key: "alone", text: "no member has taken this agent's snapshots" }] : [];
  }
  return links.flatMap((link) => {
    const text = link.refusal === undefined ? missingWays(link) : undefined;
    return text === undefined ? [] : { key: `away ${link.name}`, text };
  });
}

function missingWays({ name, isOutgoingUp, isIncomingUp }: LinkStanding): string | undefined {
  if (isOutgoingUp && isIncomingUp) return undefined;
  if (isOutgoingUp) return `${name} has had no connection to this node`;
  return isIncomingUp ? `this node has had no connection to ${name}` : `${name} has been away`;
}
