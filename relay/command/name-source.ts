/** Names to try a ring with: those of a file, or made up. */
import { closeSync, openSync, readSync } from "node:fs";
import { show } from "../../shared/config-report.ts";
import { OperatorError } from "../../shared/errors.ts";
import { nameOf } from "../../shared/name-text.ts";

/** Distinct names that can be made up. */
export const MADE_NAMES_MAX = 10_000_000;

const CHUNK_BYTES = 64 * 1024;
const LINE_BYTES_MAX = 64 * 1024;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

const SERVICES = words(
  "auth billing cart catalog checkout edge feed gateway inventory login mail media orders payments profile " +
    "push ratings search session shipping stock support upload users web",
);
const SUBJECTS = words(
  "http.requests http.errors http.latency db.queries db.latency db.pool.waiting cache.hits cache.misses " +
    "queue.depth queue.lag gc.pause gc.heap threads.busy disk.reads disk.writes net.in net.out " +
    "jobs.done jobs.failed rpc.calls rpc.retries",
);
const ENDPOINTS = words("get put post delete list index detail status total p99 rate count size");
const HOSTS = 1471;
const COMBINATIONS = SERVICES.length * SUBJECTS.length * ENDPOINTS.length * HOSTS;
/** A prime that divides none of the counts above, so that steps of it come to every combination. */
const STRIDE = 6_700_417;

function words(text: string): readonly string[] {
  return text.split(" ");
}

/** Makes up names such as `prod.cart.host-0412.db.latency.get`, all distinct, the same ones each time. */
export function* makeNames(count: number): Generator<Uint8Array> {
  for (let i = 0; i < Math.min(count, MADE_NAMES_MAX); i++) {
    let rest = (i * STRIDE) % COMBINATIONS;
    const take = (choices: number): number => {
      const choice = rest % choices;
      rest = (rest - choice) / choices;
      return choice;
    };
    const service = SERVICES[take(SERVICES.length)];
    const subject = SUBJECTS[take(SUBJECTS.length)];
    const endpoint = ENDPOINTS[take(ENDPOINTS.length)];
    const host = String(take(HOSTS)).padStart(4, "0");
    yield Buffer.from(`prod.${service}.host-${host}.${subject}.${endpoint}`);
  }
}

/**
 * Reads the names of a file: one a line, or whole statsd lines, as bytes without escapes; blank lines are
 * skipped. Throws OperatorError naming the file when it cannot be read.
 */
export function* readNames(path: string): Generator<Uint8Array> {
  const file = attempt(path, () => openSync(path, "r"));
  try {
    let pending = Buffer.alloc(0);
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const length = attempt(path, () => readSync(file, chunk, 0, chunk.length, null));
      const text = Buffer.concat([pending, chunk.subarray(0, length)]);
      let start = 0;
      for (let end = text.indexOf(LINE_FEED); end >= 0; end = text.indexOf(LINE_FEED, start)) {
        yield* nameIn(text.subarray(start, end));
        start = end + 1;
      }
      pending = text.subarray(start);
      if (pending.length > LINE_BYTES_MAX) {
        throw new OperatorError(`${show(path)} has a line of more than 64 KiB; name a file of metric names`);
      }
      if (length === 0) break;
    }
    yield* nameIn(pending);
  } finally {
    closeSync(file);
  }
}

/** The name on a line, if there is one. */
function nameIn(line: Uint8Array): Uint8Array[] {
  const text = line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
  return text.length === 0 ? [] : [nameOf(text)];
}

function attempt<Result>(path: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new OperatorError(`${show(path)}: cannot be read (${code ?? String(error)}); name a readable file`);
  }
}
