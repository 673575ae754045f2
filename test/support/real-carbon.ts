/** Starts a real graphite-carbon on loopback, where it is installed, and reads its points back. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

const START_DEADLINE_MS = 20_000;
/** Another program cannot tell us when it is done, so it is asked this often. */
const POLL_MS = 100;

/** Whether both programs that are needed can be found. */
export function hasCarbon(): boolean {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return ["carbon-cache", "whisper-fetch"].every((name) =>
    folders.some((folder) => existsSync(join(folder, name))),
  );
}

/**
 * Starts carbon-cache in a temporary folder, on free ports, keeping a point a second for an hour. Resolves
 * when it accepts lines, or to undefined where it is not installed. Throws with carbon's own words when it
 * fails.
 */
export async function startCarbon(): Promise<RealCarbon | undefined> {
  if (!hasCarbon()) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "carbon-"));
  const [linePort, picklePort, queryPort, udpPort] = await freePorts(4);
  await writeConfig(folder, [linePort!, picklePort!, queryPort!, udpPort!]);
  const args = [`--config=${join(folder, "conf", "carbon.conf")}`, "--nodaemon", "start"];
  const process = spawn("carbon-cache", args, { stdio: ["ignore", "pipe", "pipe"] });
  const carbon = new RealCarbon(process, folder, {
    linePort: linePort!,
    picklePort: picklePort!,
    udpPort: udpPort!,
  });
  try {
    await carbon.untilListening();
  } catch (error) {
    await carbon.stop();
    throw error;
  }
  return carbon;
}

/** A running carbon-cache. */
export class RealCarbon {
  readonly linePort: number;
  readonly picklePort: number;
  readonly udpPort: number;
  readonly #process: ChildProcess;
  readonly #folder: string;
  #output = "";

  constructor(
    process: ChildProcess,
    folder: string,
    { linePort, picklePort, udpPort }: { linePort: number; picklePort: number; udpPort: number },
  ) {
    this.#process = process;
    this.#folder = folder;
    this.linePort = linePort;
    this.picklePort = picklePort;
    this.udpPort = udpPort;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-4000);
      });
    }
    process.on("error", (error) => {
      this.#output += error.message;
    });
  }

  /** Resolves when the line port accepts connections. */
  async untilListening(): Promise<void> {
    const deadlineMs = Date.now() + START_DEADLINE_MS;
    while (!(await accepts(this.linePort))) {
      const isGone = this.#process.exitCode !== null || this.#process.signalCode !== null;
      if (isGone || Date.now() > deadlineMs) throw new Error(`carbon-cache did not start: ${this.#output}`);
      await pause(POLL_MS);
    }
  }

  /** Path of the file in which carbon keeps a metric, once it has written it. */
  pathOf(metric: string): string {
    return join(this.#folder, "data", "whisper", `${fileOf(metric)}.wsp`);
  }

  /**
   * Reads the points of a metric that lie in [fromSec, untilSec], by second; empty when carbon has not
   * written the metric (yet: it writes behind).
   */
  async points(metric: string, fromSec: number, untilSec: number): Promise<Map<number, number>> {
    const file = this.pathOf(metric);
    const points = new Map<number, number>();
    if (!existsSync(file)) return points;
    // whisper's range leaves its start out.
    const range = [`--from=${fromSec - 1}`, `--until=${untilSec}`];
    // A file that was created and not filled yet makes whisper-fetch fail; it is there at the next look.
    const { stdout } = await run("whisper-fetch", [...range, file]).catch(() => ({ stdout: "" }));
    for (const line of stdout.split("\n")) {
      const [second, value] = line.split(/\s+/);
      if (value === undefined || value === "" || value === "None") continue;
      points.set(Number(second), Number(value));
    }
    return points;
  }

  /** As `points`, but waits until they are as wanted. Throws with what is there at the deadline. */
  async pointsWhen(
    metric: string,
    fromSec: number,
    untilSec: number,
    isWanted: (points: ReadonlyMap<number, number>) => boolean,
    waitMs = 20_000,
  ): Promise<Map<number, number>> {
    const deadlineMs = Date.now() + waitMs;
    for (;;) {
      const points = await this.points(metric, fromSec, untilSec);
      if (isWanted(points)) return points;
      if (Date.now() > deadlineMs) {
        throw new Error(`${metric} has ${points.size} points: ${JSON.stringify([...points])}`);
      }
      await pause(POLL_MS);
    }
  }

  /** What carbon has logged about its listeners: refused lines and dropped connections are there. */
  async listenerLog(): Promise<string> {
    const file = join(this.#folder, "log", "listener.log");
    return existsSync(file) ? readFile(file, "utf8") : "";
  }

  /** Stops the process itself (SIGSTOP), as a hung carbon; `resume` lets it go on. */
  suspend(): void {
    this.#process.kill("SIGSTOP");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }

  /** Ends this carbon and removes its folder. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await exited;
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Path of a metric below carbon's data, without its ending; tagged ones are filed under their hash. */
function fileOf(metric: string): string {
  if (!metric.includes(";")) return metric.replaceAll(".", "/").replace(/^\/+/, "");
  const hash = createHash("sha256").update(metric).digest("hex");
  return join("_tagged", hash.slice(0, 3), hash.slice(3, 6), hash);
}

async function writeConfig(folder: string, ports: readonly number[]): Promise<void> {
  for (const name of ["conf", "log", "run", "data"]) await mkdir(join(folder, name));
  const receivers = ["LINE_RECEIVER", "PICKLE_RECEIVER", "CACHE_QUERY", "UDP_RECEIVER"].flatMap(
    (name, index) => [`${name}_INTERFACE = 127.0.0.1`, `${name}_PORT = ${ports[index]}`],
  );
  const lines = [
    "[cache]",
    `STORAGE_DIR = ${join(folder, "data")}`,
    `LOCAL_DATA_DIR = ${join(folder, "data", "whisper")}`,
    `CONF_DIR = ${join(folder, "conf")}`,
    `LOG_DIR = ${join(folder, "log")}`,
    `PID_DIR = ${join(folder, "run")}`,
    "USER =",
    ...receivers,
    "ENABLE_UDP_LISTENER = True",
    // By default carbon creates 50 files a minute, which looks like loss.
    "MAX_CREATES_PER_MINUTE = inf",
    "ENABLE_TAGS = False",
    "LOG_LISTENER_CONN_SUCCESS = False",
  ];
  await writeFile(join(folder, "conf", "carbon.conf"), `${lines.join("\n")}\n`);
  const schema = "[all]\npattern = .*\nretentions = 1s:1h\n";
  await writeFile(join(folder, "conf", "storage-schemas.conf"), schema);
}

/** Asks the system for ports that are free at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
