/** Asks a running daemon for its management pages. */
import { OperatorError } from "./errors.ts";

/** What to ask. */
export interface PageQuery {
  /** HOST:PORT of the management pages. */
  readonly management: string;
  readonly method: "GET" | "POST" | "DELETE";
  /** With its slash and query. */
  readonly path: string;
  /** Sent as a bearer token; empty for none. */
  readonly token?: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Who is asked, for faults: a relay by default. */
  readonly daemon?: string;
  /** Longest wait for a GET, in milliseconds; 5 s by default. */
  readonly timeoutMs?: number;
  /** The flag that names another address, for faults. */
  readonly flag?: string;
}

/** A page in JSON, whatever its status. */
export interface PageAnswer {
  readonly status: number;
  readonly value: unknown;
}

/** A daemon that takes longer than this is as good as gone. */
const TIMEOUT_MS = 5_000;
/** A reload may have to resolve names. */
const POST_TIMEOUT_MS = 60_000;
const ANSWER_BYTES_MAX = 16 << 20;

/**
 * Fetches a page of JSON. Throws OperatorError, exit code 1, when nothing answers there, or what answers has
 * no such page.
 */
export async function fetchPage(query: PageQuery): Promise<PageAnswer> {
  const { management, method, path, token = "", body, daemon = "relay", flag = "--management" } = query;
  const { timeoutMs = TIMEOUT_MS } = query;
  const url = `http://${reachable(management)}${path}`;
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      redirect: "error",
      headers: {
        ...(token === "" ? {} : { Authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(method === "GET" ? timeoutMs : POST_TIMEOUT_MS),
    });
    text = await readBounded(response);
  } catch (error) {
    throw new OperatorError(
      `no ${daemon} answers at ${management} (${reasonOf(error)}); ` +
        `start one, or name the address of its management pages with ${flag}`,
    );
  }
  try {
    return { status: response.status, value: JSON.parse(text) };
  } catch {
    // A page that is no JSON is a refusal in words, or another program's.
    const said = text.trim().slice(0, 200);
    throw new OperatorError(`${management} answers ${path} with ${response.status} ${JSON.stringify(said)}`);
  }
}

/** Writes an address so that it can be asked: what is listened on everywhere is asked on this machine. */
export function reachable(management: string): string {
  return management
    .replace(/^0\.0\.0\.0(?=:\d+$)/, "127.0.0.1")
    .replace(/^\*(?=:\d+$)/, "127.0.0.1")
    .replace(/^\[::\](?=:\d+$)/, "[::1]");
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Error("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** fetch wraps what went wrong, perhaps several times. */
function reasonOf(error: unknown): string {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { code } = one as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
    if (one.cause !== undefined) continue;
    // fetch keeps a list of ports that belong to other protocols.
    if (one.message === "bad port") return "HTTP clients refuse to ask this port";
    return one.name === "TimeoutError" ? "timeout" : one.message;
  }
  return String(error);
}
