/** `statsrelay top`: asks a relay each second and draws what it says, until somebody has seen enough. */
import { type Clock, systemClock } from "../../shared/clock.ts";
import { OperatorError } from "../../shared/errors.ts";
import { fetchPage } from "../../shared/management-client.ts";
import { pollPages } from "../../shared/terminal/poll.ts";
import type { Terminal } from "../../shared/terminal/terminal.ts";
import { renderScreen, type TopPage } from "./screen.ts";

/** How to watch. */
export interface TopOptions {
  /** HOST:PORT of the relay's management pages. */
  readonly management: string;
  /** How long; undefined until it is told to leave. */
  readonly seconds: number | undefined;
  /** Prints what is known at the end of that time, and only that. */
  readonly isOnce: boolean;
  /** Prints pages as they come, one JSON text a line. */
  readonly isJson: boolean;
}

/** How long a relay is asked to look before one screen is printed: it begins only when it is asked. */
const ONCE_SECONDS = 3;
const LISTS = ["names", "prefixes", "senders"] as const;
const COUNTS = ["seconds", "lines", "sampled"] as const;

/**
 * Watches until the time is over or the terminal asks to leave.
 * Throws OperatorError when no relay answers at first; later silence is shown, since relays are restarted.
 */
export async function watchTop(
  options: TopOptions,
  terminal: Terminal,
  clock: Clock = systemClock,
): Promise<void> {
  const { isOnce, isJson, management, seconds } = options;
  const limitMs = (seconds ?? (isOnce ? ONCE_SECONDS : Number.POSITIVE_INFINITY)) * 1000;
  const isFullScreen = terminal.isInteractive && !isOnce && !isJson;
  const fetch = () => fetchTop(management);
  await pollPages({ fetch, show, limitMs, isOnce, isFullScreen }, terminal, clock);

  function show(shown: TopPage, trouble: string): void {
    if (isJson) {
      // What was not answered is not said twice.
      if (trouble === "") terminal.write(`${JSON.stringify(shown)}\n`);
      return;
    }
    const time = new Date(clock.nowMs()).toTimeString().slice(0, 8);
    const footer = isFullScreen ? "q leaves" : "";
    const text = renderScreen(shown, {
      ...terminal.size(),
      hasColour: terminal.hasColour,
      title: `statsrelay ${management}   ${time}`,
      footer: trouble === "" ? footer : trouble,
    });
    if (isFullScreen) terminal.draw(text);
    else terminal.write(`${text.trimEnd()}\n`);
  }
}

async function fetchTop(management: string): Promise<TopPage> {
  const { status, value } = await fetchPage({ management, method: "GET", path: "/top" });
  if (status === 200 && isTopPage(value)) return value;
  throw new OperatorError(`what answers at ${management} (${status}) has no page /top of this version`);
}

/** What is drawn must be there, whoever answers. */
function isTopPage(value: unknown): value is TopPage {
  const { snapshot, buckets, received, dropped } = Object(value) as Record<string, unknown>;
  const seen = Object(snapshot) as Record<string, unknown>;
  return (
    isNumber(received) &&
    isNumber(dropped) &&
    isListOf(buckets, ["linesPerSecond", "share"], ["ring", "destination"]) &&
    COUNTS.every((name) => isNumber(seen[name])) &&
    LISTS.every((name) => {
      const { items } = Object(seen[name]) as Record<string, unknown>;
      return isListOf(items, ["count", "error"], ["key"]);
    })
  );
}

function isListOf(value: unknown, numbers: readonly string[], texts: readonly string[]): boolean {
  if (!Array.isArray(value)) return false;
  return value.every((item) => {
    const fields = Object(item) as Record<string, unknown>;
    return (
      numbers.every((name) => isNumber(fields[name])) &&
      texts.every((name) => typeof fields[name] === "string")
    );
  });
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}
