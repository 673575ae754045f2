/** `bioyino top`: asks an aggregator each second and draws what it says. */
import { type Clock, systemClock } from "../../shared/clock.ts";
import { OperatorError } from "../../shared/errors.ts";
import { pollPages } from "../../shared/terminal/poll.ts";
import type { Terminal } from "../../shared/terminal/terminal.ts";
import type { PageAsker } from "../command/page-asker.ts";
import type { TopPage } from "../page/top.ts";
import { renderTop } from "./screen.ts";

/** How to watch. */
export interface TopOptions {
  /** How long, in seconds; undefined until it is told to leave. */
  readonly seconds: number | undefined;
  /** Prints one screen at the end of that time, and only that. */
  readonly isOnce: boolean;
  /** Prints pages as they come, one JSON text a line. */
  readonly isJson: boolean;
}

/** Rates need two looks. */
const ONCE_SECONDS = 1;

/** Watches. Throws OperatorError when nobody answers at first, or refuses. */
export async function watchTop(
  asker: PageAsker,
  { seconds, isOnce, isJson }: TopOptions,
  terminal: Terminal,
  clock: Clock = systemClock,
): Promise<void> {
  const limitMs = (seconds ?? (isOnce ? ONCE_SECONDS : Number.POSITIVE_INFINITY)) * 1000;
  const isFullScreen = terminal.isInteractive && !isOnce && !isJson;
  let before: TopPage | undefined;
  let now: TopPage | undefined;
  const fetch = async (): Promise<TopPage> => {
    const page = await fetchTop(asker);
    [before, now] = [now, page];
    return page;
  };
  const show = (page: TopPage, trouble: string): void => {
    if (isJson) {
      if (trouble === "") terminal.write(`${JSON.stringify(page)}\n`);
      return;
    }
    const time = new Date(clock.nowMs()).toTimeString().slice(0, 8);
    const footer = trouble !== "" ? trouble : isFullScreen ? "q leaves" : "";
    const { hasColour } = terminal;
    const title = `bioyino ${asker.address}   ${time}`;
    const text = renderTop(before, page, { ...terminal.size(), hasColour, title, footer });
    if (isFullScreen) terminal.draw(text);
    else terminal.write(`${text.trimEnd()}\n`);
  };
  await pollPages({ fetch, show, limitMs, isOnce, isFullScreen }, terminal, clock);
}

async function fetchTop(asker: PageAsker): Promise<TopPage> {
  const { status, value } = await asker.ask("GET", "/top");
  if (status === 200 && isTopPage(value)) return value;
  throw new OperatorError(`${asker.address} answers /top with ${status}: ${asker.faultOf(value)}`);
}

const NUMBERS = ["atMs", "received", "dropped", "kernelDrops", "bytes", "lost", "openSeries", "openBytes"];
const LISTS = ["prefixes", "senders", "clashes", "sinks", "alarms"];

/** What is drawn must be there, whoever answers. */
function isTopPage(value: unknown): value is TopPage {
  const fields = Object(value) as Record<string, unknown>;
  return (
    NUMBERS.every((name) => typeof fields[name] === "number") &&
    LISTS.every((name) => Array.isArray(fields[name])) &&
    (fields.cluster === undefined || Object(fields.cluster) === fields.cluster)
  );
}
