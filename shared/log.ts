/**
 * The log of a daemon: events with fields, one line each, on standard error. Standard output belongs to the
 * console sink and to --print-config.
 */
import { type DestinationStream, destination, pino, stdTimeFunctions } from "pino";
import { type Clock, systemClock } from "./clock.ts";
import type { LogConfig } from "./config.ts";

const STDERR = 2;
const RATE_MS = 1000;

/**
 * Levels from the most severe down. error: someone must act; warn: degraded, healing; info: state change.
 */
const LEVELS = ["error", "warn", "info", "debug"] as const;
type Level = (typeof LEVELS)[number];

/** Fields of every line; another field of such a name would be a second key of the same JSON object. */
const RESERVED = ["level", "time", "daemon", "event"];

/**
 * Takes events. event: a dotted noun.verb such as `peer.lost`. fields: names to values of any kind; an Error
 * is shown as its message. Lines are written before a method returns, so that none is lost in a crash.
 */
export interface Log {
  error(event: string, fields?: object): void;
  warn(event: string, fields?: object): void;
  info(event: string, fields?: object): void;
  debug(event: string, fields?: object): void;
}

/**
 * Makes a log that writes JSON lines or, for people, lines such as
 *
 *   12:00:01.123 INFO relay.started listen=udp://127.0.0.1:9125 threads=1
 *
 * daemon: the program's name, a field of every JSON line. output: takes whole lines; by default stderr.
 */
export function createLog(config: LogConfig, daemon: string, output: DestinationStream = openStderr()): Log {
  const stream = config.format === "json" ? output : new TextStream(output);
  const logger = pino(
    {
      level: config.level,
      base: { daemon },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    stream,
  );
  return fromLevels((level, event, fields) => logger[level]({ event, ...plain(fields) }));
}

/** A log that cannot be written, such as one on a full disk, must not end a daemon whose work goes on. */
function openStderr(): DestinationStream {
  return destination({ fd: STDERR, sync: true }).on("error", () => {});
}

function fromLevels(write: (level: Level, event: string, fields: object) => void): Log {
  return {
    error: (event, fields = {}) => write("error", event, fields),
    warn: (event, fields = {}) => write("warn", event, fields),
    info: (event, fields = {}) => write("info", event, fields),
    debug: (event, fields = {}) => write("debug", event, fields),
  };
}

/** Makes fields fit for JSON. An Error would be empty, as its properties are not enumerable. */
function plain(fields: object): object {
  const entries = Object.entries(fields).map(([name, value]) => {
    return [RESERVED.includes(name) ? `${name}_` : name, value instanceof Error ? value.message : value];
  });
  return Object.fromEntries(entries);
}

/** Rewrites JSON lines for people. Slower than JSON, which is fine where no line is written per datagram. */
class TextStream implements DestinationStream {
  readonly #output: DestinationStream;

  constructor(output: DestinationStream) {
    this.#output = output;
  }

  write(line: string): void {
    const { level, time, daemon: _, event, ...fields }: Record<string, unknown> = JSON.parse(line);
    const parts = Object.entries(fields).map(([name, value]) => `${name}=${printValue(value)}`);
    const head = [clockTime(new Date(String(time))), String(level).toUpperCase(), printValue(event)];
    this.#output.write(`${[...head, ...parts].join(" ")}\n`);
  }
}

/** Time of day in this machine's time zone, as 12:00:01.123. */
function clockTime(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}

/** Plain words stay as they are; whatever has blanks, quotes or control characters becomes JSON. */
function printValue(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=\p{C}]+$/u.test(value)) return value;
  if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string")) {
    if (value.every((item) => /^[^\s",=\p{C}]+$/u.test(item))) return value.join(",");
  }
  return JSON.stringify(value).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/**
 * Wraps a log so that each event writes at most one line in perMs milliseconds. The next line of an event
 * has the field `suppressed` with the number of lines that were left out before it.
 */
export function rateLimited(log: Log, perMs: number = RATE_MS, clock: Clock = systemClock): Log {
  // Events are constants of the program, so this map stays small.
  const states = new Map<string, { nextMs: number; suppressed: number }>();
  return fromLevels((level, event, fields) => {
    const nowMs = clock.monotonicMs();
    const state = states.get(event);
    if (state !== undefined && nowMs < state.nextMs) {
      state.suppressed++;
      return;
    }
    states.set(event, { nextMs: nowMs + perMs, suppressed: 0 });
    const suppressed = state?.suppressed ?? 0;
    log[level](event, suppressed === 0 ? fields : { ...fields, suppressed });
  });
}
