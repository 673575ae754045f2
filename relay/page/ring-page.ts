/** The page by which relays compare their rings: GET /ring, answered by `{"rings":{"main":"0123..."}}`. */
import { request } from "node:http";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { printHostPort } from "../../shared/config-addresses.ts";

/** Where another relay has its management pages. */
export interface PageAddress {
  /** As configured, for the Host field. */
  readonly name: string;
  /** Address literal to connect to. */
  readonly host: string;
  readonly port: number;
}

/** Ring names to fingerprints. */
export type Fingerprints = Readonly<Record<string, string>>;

/** Path of the page. */
export const RING_PAGE = "/ring";
const ANSWER_BYTES_MAX = 64 * 1024;
const RINGS_MAX = 64;
/** Names and fingerprints are shown in logs and metrics, so they may not be just anything. */
const RING_NAME = /^(?!__proto__$)[A-Za-z0-9_-]{1,32}$/;
const FINGERPRINT = /^[!-~]{1,128}$/;

/** Why a page could not be had; the message is one word or a few. */
export class PageFault extends Error {}

/**
 * Asks a relay for its rings.
 * Rejects with PageFault when there is no such page, it is no list of rings, or it does not come in time.
 */
export function askRings(address: PageAddress, timeoutMs: number, clock: Clock): Promise<Fingerprints> {
  return new Promise((resolve, reject) => {
    let timer: TimerHandle | undefined;
    const asked = request({
      host: address.host,
      port: address.port,
      path: RING_PAGE,
      agent: false,
      headers: {
        Host: printHostPort({ host: address.name, port: address.port }),
        Connection: "close",
        Accept: "application/json",
      },
    });
    const fail = (fault: string): void => {
      timer?.cancel();
      reject(new PageFault(fault));
      asked.destroy();
    };
    timer = clock.setTimer(timeoutMs, () => fail("timeout"));
    asked.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    asked.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
      response.on("data", (piece: string) => {
        text += piece;
        if (text.length > ANSWER_BYTES_MAX) fail("answer too long");
      });
      response.on("end", () => {
        if (response.statusCode !== 200) return fail(`HTTP ${response.statusCode}`);
        const rings = parseRings(text);
        if (rings === undefined) return fail("no list of rings");
        timer?.cancel();
        resolve(rings);
      });
    });
    asked.end();
  });
}

/** Reads such an answer. Returns undefined for anything else. */
export function parseRings(text: string): Fingerprints | undefined {
  let page: unknown;
  try {
    page = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof page !== "object" || page === null || !("rings" in page)) return undefined;
  const { rings } = page;
  if (typeof rings !== "object" || rings === null || Array.isArray(rings)) return undefined;
  const entries = Object.entries(rings as Record<string, unknown>);
  if (entries.length === 0 || entries.length > RINGS_MAX) return undefined;
  const fingerprints: [string, string][] = [];
  for (const [name, value] of entries) {
    if (typeof value !== "string" || !RING_NAME.test(name) || !FINGERPRINT.test(value)) return undefined;
    fingerprints.push([name, value]);
  }
  return Object.fromEntries(fingerprints);
}
