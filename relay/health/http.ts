/** Health by HTTP: whether a GET is answered by a status of 200 to 299. */
import { isIPv6 } from "node:net";
import type { Dialogue } from "./exchange.ts";
import { GOOD, type Verdict } from "./probe.ts";

/** Only the status line is read. host: address literal. name: the host as configured. path: begins with /. */
export function httpDialogue(host: string, port: number, name: string, path: string): Dialogue {
  // Whatever cannot stand in a request line is escaped, so that no path makes a second request.
  const target = path.replace(/[^!-~]+/gu, (text) => encodeURIComponent(text));
  const authority = `${isIPv6(name) ? `[${name}]` : name}:${port}`;
  const request =
    `GET ${target.startsWith("/") ? target : `/${target}`} HTTP/1.1\r\n` +
    `Host: ${authority}\r\nUser-Agent: statsrelay\r\nAccept: */*\r\nConnection: close\r\n\r\n`;
  return { host, port, request, judge };
}

function judge(answer: string, isEnd: boolean): Verdict | undefined {
  const end = answer.indexOf("\n");
  if (end < 0) return isEnd && answer !== "" ? { kind: "bad", fault: "no HTTP" } : undefined;
  const [, status] = /^HTTP\/1\.[01] (\d{3})(?: |\r?$)/.exec(answer.slice(0, end)) ?? [];
  if (status === undefined) return { kind: "bad", fault: "no HTTP" };
  return status.startsWith("2") ? GOOD : { kind: "bad", fault: `HTTP ${status}` };
}
