/** The built daemons, started for a measurement. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Daemon, startDaemon } from "../bin/daemon.ts";
import { endWithProcess } from "./end-with-process.ts";

const here = dirname(fileURLToPath(import.meta.url));

/**
 * Starts a daemon of dist/bin. When it ends before it is started, what it wrote is shown.
 * startedEvent: see DaemonOptions.
 */
export function executable(
  name: "statsrelay" | "bioyino",
  startedEvent: string,
  args: readonly string[],
): Daemon {
  const lines: string[] = [];
  const daemon = startDaemon(join(here, "..", "bin", `${name}.js`), args, {
    startedEvent,
    onLine: (line) => {
      // The end of the log is enough to see why something failed.
      if (lines.push(line) > 50) lines.shift();
    },
  });
  // It leads a process group of its own, so a Ctrl-C does not reach it.
  void daemon.exited.then(endWithProcess(() => kill(daemon.pid)));
  daemon.started.catch(() => console.error(lines.join("\n")));
  return daemon;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself, and nobody has heard of it yet.
  }
}
