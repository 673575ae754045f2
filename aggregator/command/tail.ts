/** `bioyino tail`: shows what an aggregator takes in, as it does. */
import { type Clock, systemClock, type TimerHandle } from "../../shared/clock.ts";
import { OperatorError } from "../../shared/errors.ts";
import { reachable } from "../../shared/management-client.ts";
import { showText } from "../../shared/name-text.ts";
import type { Terminal } from "../../shared/terminal/terminal.ts";
import type { TailLine } from "../questions.ts";
import type { PageAsker } from "./page-asker.ts";

/** How long to watch. */
export interface TailOptions {
  /** Leave after so many lines; undefined for no end. */
  readonly count: number | undefined;
  /** Leave after so many seconds; undefined for no end. */
  readonly seconds: number | undefined;
  /** Prints messages as they come. */
  readonly isJson: boolean;
}

const HANDSHAKE_TIMEOUT_MS = 5_000;
const MESSAGE_BYTES_MAX = 1 << 20;

/**
 * Watches the series that match until the options or the terminal say so. Throws OperatorError when nobody
 * answers, when the aggregator refuses, and when it ends the tail.
 */
export async function watchTail(
  asker: PageAsker,
  match: string,
  { count, seconds, isJson }: TailOptions,
  terminal: Terminal,
  clock: Clock = systemClock,
): Promise<void> {
  const { WebSocket } = await import("ws");
  const { address, token } = asker;
  const webSocket = new WebSocket(`ws://${reachable(address)}/tail?match=${encodeURIComponent(match)}`, {
    headers: token === "" ? {} : { Authorization: `Bearer ${token}` },
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    followRedirects: false,
  });
  let lines = 0;
  const ended = new Promise<void>((resolve, reject) => {
    webSocket.on("message", (data) => {
      const text = String(data);
      terminal.write(isJson ? `${text}\n` : describeMessage(text));
      if (!text.startsWith('{"skipped"')) lines += 1;
      if (count !== undefined && lines >= count) resolve();
    });
    webSocket.on("unexpected-response", (_request, response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        body = (body + piece).slice(0, 1000);
      });
      response.on("close", () => reject(refused(asker, response.statusCode ?? 0, body)));
      response.on("end", () => reject(refused(asker, response.statusCode ?? 0, body)));
    });
    webSocket.on("error", (error: NodeJS.ErrnoException) => {
      const why = error.code ?? error.message;
      const remedy = "start one, or name the address of its management pages with --host";
      reject(new OperatorError(`no aggregator answers at ${address} (${why}); ${remedy}`));
    });
    webSocket.on("close", (_code, reason) => {
      reject(new OperatorError(`${address} has ended the tail: ${showText(String(reason)) || "gone"}`));
    });
  });
  const left = terminal.open(false);
  let timer: TimerHandle | undefined;
  const timeIsOver = new Promise<void>((resolve) => {
    if (seconds !== undefined) timer = clock.setTimer(seconds * 1000, resolve);
  });
  try {
    await Promise.race([ended, left, timeIsOver]);
  } finally {
    timer?.cancel();
    terminal.close();
    // After this its end is no news to anybody.
    ended.catch(() => {});
    webSocket.terminate();
  }
}

function refused(asker: PageAsker, status: number, body: string): OperatorError {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    value = { error: body.trim() };
  }
  return new OperatorError(`${asker.address} refuses the tail (${status}): ${asker.faultOf(value)}`);
}

/** `12:00:01.123 app.hits counter +3`, or how many were left out. */
function describeMessage(text: string): string {
  let message: Partial<TailLine> & { readonly skipped?: unknown };
  try {
    message = Object(JSON.parse(text));
  } catch {
    return `${showText(text)}\n`;
  }
  if (typeof message.skipped === "number") return `... ${message.skipped} lines left out\n`;
  const { atMs = 0, key = "", type = "", value = 0, updates = 0, isChange = false } = message;
  const time = new Date(atMs).toISOString().slice(11, 23);
  const sign = (isChange || type === "counter") && value >= 0 ? "+" : "";
  const samples = updates === 1 ? "" : ` (${updates} samples)`;
  return `${time} ${showText(key)} ${type} ${sign}${value}${samples}\n`;
}
