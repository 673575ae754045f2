/** A node as a process on a machine of its own, and what can happen to a process. */
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Metrics } from "./daemons.ts";
import { holdsWithin } from "./fault-clock.ts";

const ASK_DEADLINE_MS = 1000;
const STOP_DEADLINE_MS = 20_000;
/** Log events that are kept for looking at. */
const EVENTS_MAX = 10_000;
const START_DEADLINE_MS = 20_000;
/** By which members and witnesses say that their sockets are open. */
const STARTED_EVENTS = ["aggregator.started", "witness.started"];

/** The part of a node's status that the checks look at. */
export interface NodeStanding {
  readonly role: "leader" | "follower" | "candidate" | "starting";
  readonly term: number;
  readonly leader: string | null;
  readonly leaseMs: number | null;
  readonly hasState: boolean;
  readonly isEligible: boolean;
  readonly members: readonly {
    readonly node: string;
    readonly isOutgoingUp: boolean;
    readonly isIncomingUp: boolean;
    readonly backlogDeltas: number;
    readonly backlogBytes: number;
  }[];
  readonly counts: Readonly<Record<string, number>>;
}

export type LogEvent = Readonly<Record<string, unknown>>;

export interface NodeLaunch {
  readonly name: string;
  /** Words before the command, which become the process that they start. */
  readonly prefix: readonly string[];
  readonly configPath: string;
  /** HOST:PORT of the pages. */
  readonly management: string;
  readonly token: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Folder of another build; empty for this one. */
  readonly build?: string;
  /** File that its log is added to. */
  readonly logPath: string;
}

export class FaultNode {
  readonly name: string;
  readonly #launch: NodeLaunch;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly events: LogEvent[] = [];
  /** Words that are no log events, such as those of a refused configuration. */
  readonly words: string[] = [];
  hasExited = false;

  constructor(launch: NodeLaunch) {
    this.name = launch.name;
    this.#launch = launch;
    const { build = "", environment = {} } = launch;
    const script = build === "" ? builtScript() : `${build}/bin/bioyino.js`;
    const [command, ...words] = [...launch.prefix, process.execPath, script, "--config", launch.configPath];
    this.#child = spawn(command!, words, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: stream }).on("line", (line) => this.#note(line));
    }
    this.#exited = new Promise((resolve) => {
      this.#child.once("close", (code) => {
        this.hasExited = true;
        resolve(code);
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves when its sockets are open; throws with its words when it ends instead. */
  async started(): Promise<this> {
    const isStarted = () => this.events.some(({ event }) => STARTED_EVENTS.includes(String(event)));
    await holdsWithin(START_DEADLINE_MS, () => this.hasExited || isStarted(), 5);
    if (!isStarted()) throw new Error(`${this.name} was not started: ${this.words.join(" | ")}`);
    return this;
  }

  /** Resolves with the exit code once it has ended; null for a signal. */
  async exited(): Promise<number | null> {
    return this.#exited;
  }

  /**
   * Ends it as it stands (SIGKILL). The process is gone for good when this resolves, the fault was at the
   * call.
   */
  async kill(): Promise<void> {
    if (this.hasExited) return;
    process.kill(this.pid, "SIGKILL");
    await this.#exited;
  }

  /** Ends it in good order (SIGTERM); resolves with its exit code, null where it had to be killed. */
  async stop(): Promise<number | null> {
    if (this.hasExited) return this.#exited;
    process.kill(this.pid, "SIGTERM");
    const deadline = setTimeout(() => this.#child.kill("SIGKILL"), STOP_DEADLINE_MS);
    const code = await this.#exited;
    clearTimeout(deadline);
    return code;
  }

  pause(): void {
    process.kill(this.pid, "SIGSTOP");
  }

  resume(): void {
    process.kill(this.pid, "SIGCONT");
  }

  /** Memory of the process in bytes. */
  get rssBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  }

  eventsNamed(name: string): LogEvent[] {
    return this.events.filter(({ event }) => event === name);
  }

  /** What it says of its cluster; undefined while it does not answer. */
  async standing(): Promise<NodeStanding | undefined> {
    const text = await this.#ask("/status");
    if (text === undefined) return undefined;
    return (JSON.parse(text) as { cluster?: NodeStanding }).cluster;
  }

  /** Its metrics; undefined while it does not answer. */
  async metrics(): Promise<Metrics | undefined> {
    const text = await this.#ask("/metrics");
    return text === undefined ? undefined : new Metrics(text);
  }

  async #ask(path: string): Promise<string | undefined> {
    if (this.hasExited) return undefined;
    try {
      const response = await fetch(`http://${this.#launch.management}${path}`, {
        headers: { authorization: `Bearer ${this.#launch.token}` },
        signal: AbortSignal.timeout(ASK_DEADLINE_MS),
      });
      const text = await response.text();
      return response.ok ? text : undefined;
    } catch {
      // Dead, paused or not up yet: whoever asks looks again.
      return undefined;
    }
  }

  #note(line: string): void {
    appendFileSync(this.#launch.logPath, `${line}\n`);
    if (!line.startsWith("{")) {
      if (this.words.length < EVENTS_MAX) this.words.push(line);
      return;
    }
    if (this.events.length < EVENTS_MAX) this.events.push(JSON.parse(line) as LogEvent);
  }
}

function builtScript(): string {
  return fileURLToPath(new URL("../../bin/bioyino.js", import.meta.url));
}
