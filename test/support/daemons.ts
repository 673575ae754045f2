/** Runs the executables for black-box tests and reads what they say of themselves. */
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Daemon, type Exit, startDaemon } from "../../bin/daemon.ts";
import { waitFor } from "./wait-for.ts";

export type Io = "mmsg" | "dgram";

/** One running executable. */
export class TestDaemon {
  /** Every line that it wrote. */
  readonly output: string[];
  /** Ports of its listeners, in the order of the configuration. */
  readonly ports: readonly number[];
  readonly management: string;
  readonly #daemon: Daemon;
  readonly #folder: string;

  constructor(
    daemon: Daemon,
    output: string[],
    listen: readonly string[],
    management: string,
    folder: string,
  ) {
    this.#daemon = daemon;
    this.output = output;
    this.ports = listen.map((address) => Number(/:(\d+)$/.exec(address)?.[1]));
    this.management = management;
    this.#folder = folder;
  }

  get pid(): number {
    return this.#daemon.pid;
  }

  /** Sends a signal that does not end it. */
  signal(name: "SIGHUP"): void {
    process.kill(this.pid, name);
  }

  /** Log events by name, with their fields. */
  events(name: string): Record<string, unknown>[] {
    const lines = this.output.filter((line) => line.startsWith("{") && line.includes(name));
    return lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ event }) => event === name);
  }

  async get(path: string): Promise<Response> {
    return fetch(`http://${this.management}${path}`);
  }

  async metrics(): Promise<Metrics> {
    // A daemon may close an idle connection just when it is asked over it; the second try has a new one.
    const response = await this.get("/metrics").catch(() => this.get("/metrics"));
    return new Metrics(await response.text());
  }

  /** Reads the metrics again and again until they satisfy the condition; fails after some seconds. */
  async until(what: string, condition: (metrics: Metrics) => boolean): Promise<Metrics> {
    let last = await this.metrics();
    await waitFor(what, async () => {
      last = await this.metrics();
      return condition(last);
    });
    return last;
  }

  /** Ends it as it stands. */
  async kill(): Promise<void> {
    process.kill(this.pid, "SIGKILL");
    await this.#daemon.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Sends SIGTERM and waits for the end. */
  async stop(): Promise<Exit> {
    const exit = await this.#daemon.stop();
    rmSync(this.#folder, { recursive: true, force: true });
    return exit;
  }
}

/** One reading of /metrics. */
export class Metrics {
  readonly #values = new Map<string, number>();

  constructor(text: string) {
    for (const line of text.split("\n")) {
      const space = line.lastIndexOf(" ");
      if (!line.startsWith("#") && space > 0)
        this.#values.set(line.slice(0, space), Number(line.slice(space + 1)));
    }
  }

  /**
   * Adds up all samples of a family whose labels contain every one of the given texts, such as
   * `reason="x"`.
   */
  sum(family: string, ...labels: readonly string[]): number {
    let sum = 0;
    for (const [name, value] of this.#values) {
      const isFamily = name === family || name.startsWith(`${family}{`);
      if (isFamily && labels.every((label) => name.includes(label))) sum += value;
    }
    return sum;
  }
}

function executable(name: string): string {
  return fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url));
}

async function start(
  script: string,
  startedEvent: string,
  args: readonly string[],
  folder: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<TestDaemon> {
  const output: string[] = [];
  const onLine = (line: string): void => void output.push(line);
  const daemon = startDaemon(script, args, { startedEvent, environment, onLine });
  endWithTest(daemon);
  try {
    const { listen, management } = await daemon.started;
    return new TestDaemon(daemon, output, listen, management, folder);
  } catch (error) {
    throw new Error(`${String(error)}\n${output.join("\n")}`);
  }
}

/** A test that fails does not come to stop its daemons. */
function endWithTest(daemon: Daemon): void {
  const kill = () => process.kill(daemon.pid, "SIGKILL");
  process.once("exit", kill);
  void daemon.exited.then(() => process.off("exit", kill));
}

/** Starts the aggregator with a short interval on free ports. config: INI sections that override or add. */
export async function startAggregator(
  io: Io,
  config: Readonly<Record<string, string>> = {},
): Promise<TestDaemon & { readonly configPath: string }> {
  const folder = mkdtempSync(join(tmpdir(), "bioyino-"));
  const sections: Record<string, string> = {
    log: "level = debug\nformat = json",
    cluster: "snapshot-interval = 50ms",
    ...config,
    aggregator: `io = ${io}\nmanagement = 127.0.0.1:0\n${withDefaults(config.aggregator ?? "")}`,
  };
  const text = Object.entries(sections).map(([section, keys]) => `[${section}]\n${keys}\n`);
  const file = join(folder, "suite.ini");
  writeFileSync(file, text.join("\n"));
  const started = await start(executable("bioyino"), "aggregator.started", ["--config", file], folder);
  return Object.assign(started, { configPath: file });
}

/** Keys that tests rely on, unless they set them themselves. */
function withDefaults(keys: string): string {
  const defaults = {
    "listen[]": "udp://127.0.0.1:0",
    interval: "200ms",
    "sinks[]": "console",
    "stats-interval": "0",
    "drain-timeout": "5s",
  };
  const present = new Set(keys.split("\n").map((line) => line.split(" =")[0]));
  const missing = Object.entries(defaults).filter(([key]) => !present.has(key));
  return `${keys}\n${missing.map(([key, value]) => `${key} = ${value}`).join("\n")}`;
}

/** Starts the relay on a free port. args: further flags and the destinations. */
export async function startRelay(io: Io, args: readonly string[]): Promise<TestDaemon> {
  const folder = mkdtempSync(join(tmpdir(), "statsrelay-"));
  const flags = [
    "-b",
    "127.0.0.1",
    "-p",
    "0",
    "--management",
    "127.0.0.1:0",
    "--io",
    io,
    "--flush-interval",
    "50ms",
  ];
  return start(executable("statsrelay"), "relay.started", [...flags, ...args], folder);
}

/**
 * Starts the relay by a configuration file. keys: lines of [relay] and further sections; what they do not say
 * about addresses and times is as a test needs it.
 */
export async function startRelayByFile(
  io: Io,
  keys: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<TestDaemon & { readonly configPath: string }> {
  const folder = mkdtempSync(join(tmpdir(), "statsrelay-"));
  const configPath = join(folder, "relay.ini");
  writeFileSync(configPath, relayFile(io, keys));
  const started = await start(
    executable("statsrelay"),
    "relay.started",
    ["--config", configPath],
    folder,
    environment,
  );
  return Object.assign(started, { configPath });
}

/** The file that startRelayByFile writes; for a test that writes another one in its place. */
export function relayFile(io: Io, keys: string): string {
  const defaults = {
    "listen[]": "udp://127.0.0.1:0",
    management: "127.0.0.1:0",
    io,
    "flush-interval": "50ms",
    "drain-timeout": "5s",
  };
  const present = new Set(keys.split("\n").map((line) => line.split(" =")[0]));
  const missing = Object.entries(defaults).filter(([key]) => !present.has(key));
  return `[relay]\n${missing.map(([key, value]) => `${key} = ${value}\n`).join("")}${keys}\n`;
}

/** Sends datagrams one after the other from one socket. */
export async function sendDatagrams(
  port: number,
  datagrams: readonly (string | Uint8Array)[],
): Promise<void> {
  const socket = createSocket("udp4");
  for (const datagram of datagrams) {
    await new Promise<void>((resolve, reject) => {
      socket.send(datagram, port, "127.0.0.1", (error) => (error === null ? resolve() : reject(error)));
    });
  }
  socket.close();
}
