/** Starts a real VictoriaMetrics on loopback, where it is installed, and reads its points back over HTTP. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { freePorts } from "./real-carbon.ts";
import { waitFor } from "./wait-for.ts";

const PROGRAM = "victoria-metrics";

/** One series of its export. */
export interface ExportedSeries {
  /** Labels, the name under `__name__`. */
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly number[];
  /** Milliseconds since 1970, one for each value. */
  readonly timestamps: readonly number[];
}

/** Whether it can be found. */
export function hasVictoria(): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, PROGRAM)));
}

/** A running VictoriaMetrics with a listener for graphite lines. */
export class Victoria {
  readonly graphitePort: number;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #url: string;
  #output = "";

  private constructor(child: ChildProcess, folder: string, httpPort: number, graphitePort: number) {
    this.#process = child;
    this.#folder = folder;
    this.graphitePort = graphitePort;
    this.#url = `http://127.0.0.1:${httpPort}`;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#output = (this.#output + text).slice(-4000);
    });
    child.on("error", (error) => {
      this.#output += error.message;
    });
  }

  /** Starts it in a temporary folder, on free ports. Throws with its own words when it does not come up. */
  static async start(): Promise<Victoria> {
    const folder = await mkdtemp(join(tmpdir(), "victoria-"));
    const [httpPort, graphitePort] = await freePorts(2);
    const args = [
      `-storageDataPath=${join(folder, "data")}`,
      `-httpListenAddr=127.0.0.1:${httpPort}`,
      `-graphiteListenAddr=127.0.0.1:${graphitePort}`,
      "-memory.allowedBytes=64MB",
    ];
    const child = spawn(PROGRAM, args, { stdio: ["ignore", "ignore", "pipe"] });
    const victoria = new Victoria(child, folder, httpPort!, graphitePort!);
    try {
      await waitFor(PROGRAM, () => victoria.#isHealthy());
    } catch (error) {
      await victoria.stop();
      throw new Error(`${String(error)}: ${victoria.#output}`);
    }
    return victoria;
  }

  /** Everything that it holds, made visible first. */
  async export(): Promise<ExportedSeries[]> {
    await fetch(`${this.#url}/internal/force_flush`);
    const match = encodeURIComponent('{__name__!=""}');
    const response = await fetch(`${this.#url}/api/v1/export?match[]=${match}`);
    const lines = (await response.text()).split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as ExportedSeries);
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await exited;
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #isHealthy(): Promise<boolean> {
    const isGone = this.#process.exitCode !== null || this.#process.signalCode !== null;
    if (isGone) throw new Error(`${PROGRAM} ended`);
    try {
      return (await fetch(`${this.#url}/health`)).ok;
    } catch {
      // Not listening yet.
      return false;
    }
  }
}
