/** Asks a running relay for its management pages. */
import { OperatorError } from "../../shared/errors.ts";

/** What to ask. */
export interface PageQuery {
  /** HOST:PORT of the relay's management pages. */
  readonly management: string;
  readonly method: "GET" | "POST";
  /** With its slash and query. */
  readonly path: string;
  /** Sent as a bearer token; empty for none. */
  readonly token?: string;
}

/** A page in JSON, whatever its status. */
export interface PageAnswer {
  readonly status: number;
  readonly value: unknown;
}

/** A relay that takes longer than this is as good as gone. */
const TIMEOUT_MS = 5_000;
/** A reload may have to resolve names. */
const POST_TIMEOUT_MS = 60_000;
const ANSWER_BYTES_MAX = 16 << 20;

/**
 * Fetches a page of JSON. Throws OperatorError, exit code 1, when nothing answers there, or what answers has
 * no such page.
 */
export async function fetchPage(query: PageQuery): Promise<PageAnswer> {
  const { management, method, path, token = "" } = query;
  const url = `http://${reachable(management)}${path}`;
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method,
      redirect: "error",
      headers: token === "" ? {} : { Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(method === "GET" ? TIMEOUT_MS : POST_TIMEOUT_MS),
    });
    text = await readBounded(response);
  } catch (error) {
    throw new OperatorError(
      `no relay answers at ${management} (${reasonOf(error)}); ` +
        "start one, or name the address of its management pages with --management",
    );
  }
  try {
    return { status: response.status, value: JSON.parse(text) };
  } catch {
    // A page that is no JSON is a refusal in words, or not a relay's.
    const said = text.trim().slice(0, 200);
    throw new OperatorError(`${management} answers ${path} with ${response.status} ${JSON.stringify(said)}`);
  }
}

/** What is listened on everywhere is asked on this machine. */
function reachable(management: string): string {
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
    if (one.cause === undefined) return one.name === "TimeoutError" ? "timeout" : one.message;
  }
  return String(error);
}
