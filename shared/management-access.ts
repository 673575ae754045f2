/** Who may ask the management pages for what changes something, or is not everybody's business. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** What the rule is told of a request. */
export interface AccessRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

/** What the rule is told of the pages. */
export interface AccessRule {
  /** The bearer token that is asked for; empty for none, and then only this machine may ask. */
  readonly token: string;
  /** Whether the request comes from this machine. */
  readonly isLocal: boolean;
}

/** Why a request is refused. status: 401 or 403. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/** Judges a request. Returns undefined where it may be answered. */
export function refuseAccess({ method, headers }: AccessRequest, rule: AccessRule): Refusal | undefined {
  if (rule.token === "") {
    // A page that a browser has open could make it ask, too; it tells where it comes from.
    if (headers.origin !== undefined) {
      return { status: 403, message: "requests from web pages need a management-token" };
    }
    // For GET a browser does not tell, and a name that a page's owner lets point here would pass for its own.
    if (isRead(method) && !isLoopback(hostOf(headers.host ?? ""))) {
      return { status: 403, message: "without a management-token, ask by a loopback address" };
    }
    if (rule.isLocal) return undefined;
    return { status: 403, message: "changes need a management-token beyond loopback" };
  }
  const given = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1] ?? "";
  return isEqual(given, rule.token)
    ? undefined
    : { status: 401, message: "the bearer token is missing or wrong" };
}

function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** The host of a Host header, without port and brackets. */
function hostOf(header: string): string {
  return header.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** Whether a host, name or literal, is this machine's own. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^(?:::ffff:)?127\.[\d.]+$/.test(host);
}

/** Compares without telling by its time how much is equal. */
function isEqual(left: string, right: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
