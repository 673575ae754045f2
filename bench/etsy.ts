/** The statsd of etsy from npm, under a load that it can stand. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Comparison, type Load, type Measurement, measure, waitForPort, warmUp } from "./measure.ts";
import { freePorts } from "./proc.ts";
import type { Tools } from "./tools.ts";

const INSTALL_TIMEOUT_MS = 60_000;

/** Installs the package without its scripts and optional parts. Returns why that failed, or undefined. */
function install(folder: string): string | undefined {
  const options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error"];
  const { status, error, stderr } = spawnSync("npm", ["install", "--prefix", folder, ...options, "statsd"], {
    cwd: folder,
    encoding: "utf8",
    timeout: INSTALL_TIMEOUT_MS,
  });
  if (status === 0) return undefined;
  return error?.message ?? stderr.trim().split("\n")[0] ?? "npm failed";
}

/** Measures it. Returns a reason instead of figures where it cannot be installed or does not start. */
export async function measureEtsy(
  title: string,
  tools: Tools,
  load: Load,
  runs: number,
  tick: () => void,
): Promise<Comparison | string> {
  const folder = mkdtempSync(join(tmpdir(), "etsy-statsd-"));
  try {
    const fault = install(folder);
    if (fault !== undefined) return `cannot be installed: ${fault}`;
    const port = await freePorts(2);
    const config = join(folder, "config.js");
    // No backend: aggregating alone is measured, which favours it.
    const settings = {
      port,
      address: "127.0.0.1",
      mgmt_port: port + 1,
      mgmt_address: "127.0.0.1",
      backends: [],
    };
    writeFileSync(config, JSON.stringify(settings));
    const child = spawn(process.execPath, [join(folder, "node_modules", "statsd", "stats.js"), config], {
      stdio: "ignore",
    });
    try {
      const measurements: Measurement[] = [];
      const target = { pid: child.pid ?? 0, port };
      try {
        await waitForPort(port);
      } catch (error) {
        return `does not start: ${error instanceof Error ? error.message : error}`;
      }
      await warmUp(tools, target, load);
      for (let run = 0; run < runs; run++) {
        measurements.push(await measure(tools, target, load));
        tick();
      }
      return { title, baseline: undefined, rows: [{ name: "etsy statsd", measurements }], notes: [] };
    } finally {
      child.kill("SIGKILL");
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
