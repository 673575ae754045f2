/**
 * A daemon run as a child process: its start event, its end, its stop. For quickstart and the benchmarks.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How long a daemon may take to hand over what it holds after SIGTERM; it is killed then. */
const STOP_GRACE_MS = 15_000;

/** Fields of the event by which a daemon says that its sockets are open. */
export interface StartEvent {
  /** Addresses as bound, such as `udp://127.0.0.1:9125`. */
  readonly listen: readonly string[];
  /** HOST:PORT of the management pages. */
  readonly management: string;
}

/** How a process ended: by an exit code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface DaemonOptions {
  /** Name of the start event in the daemon's log, such as `relay.started`. */
  readonly startedEvent: string;
  /** Variables in addition to those of this process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Takes each line that the daemon writes to stdout or stderr. */
  onLine(line: string): void;
}

/** One running daemon. */
export interface Daemon {
  readonly pid: number;
  /** Resolves with the start event; rejects when the daemon ends before it. */
  readonly started: Promise<StartEvent>;
  /** Never rejects. */
  readonly exited: Promise<Exit>;
  /** Sends SIGTERM and waits for the end; kills the daemon when that takes longer than 15 s. */
  stop(): Promise<Exit>;
}

/**
 * Runs a script with this Node. The child leads a process group of its own, so that a Ctrl-C in the terminal
 * reaches its parent alone, which then decides in which order things stop.
 * Throws when the system starts no process.
 */
export function startDaemon(script: string, args: readonly string[], options: DaemonOptions): Daemon {
  const child = spawn(process.execPath, [script, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, ...options.environment },
  });
  if (child.pid === undefined) throw new Error(`cannot start ${script}`);
  const exited = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  const started = new Promise<StartEvent>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        options.onLine(line);
        const event = readStartEvent(line, options.startedEvent);
        if (event !== undefined) resolve(event);
      });
    }
    void exited.then((exit) =>
      reject(new Error(`${script} ended (${describeExit(exit)}) before it was started`)),
    );
  });
  // Whoever only waits for the end shall not be ended by a rejection that he does not look at.
  started.catch(() => {});
  return { pid: child.pid, started, exited, stop: () => stop(child, exited) };
}

/** Says how a process ended, in words. */
export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}

async function stop(child: ChildProcess, exited: Promise<Exit>): Promise<Exit> {
  child.kill("SIGTERM");
  const deadline = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
  const exit = await exited;
  clearTimeout(deadline);
  return exit;
}

/** Reads the start event out of a log line, in either of the log's formats. */
function readStartEvent(line: string, name: string): StartEvent | undefined {
  if (!line.includes(name)) return undefined;
  return line.startsWith("{") ? readJsonEvent(line, name) : readTextEvent(line, name);
}

function readJsonEvent(line: string, name: string): StartEvent | undefined {
  let fields: Partial<StartEvent> & { event?: unknown };
  try {
    fields = JSON.parse(line);
  } catch {
    // Not a line of the log after all, so it tells nothing.
    return undefined;
  }
  return fields.event === name
    ? { listen: fields.listen ?? [], management: fields.management ?? "" }
    : undefined;
}

/** `12:00:01.123 INFO relay.started listen=a,b management=c`. */
function readTextEvent(line: string, name: string): StartEvent | undefined {
  if (!line.includes(` ${name} `)) return undefined;
  const field = (key: string) => new RegExp(` ${key}=(\\S+)`).exec(line)?.[1] ?? "";
  return {
    listen: field("listen")
      .split(",")
      .filter((address) => address !== ""),
    management: field("management"),
  };
}
