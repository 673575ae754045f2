/** The built daemons, started for a measurement. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Daemon, startDaemon } from "../bin/daemon.ts";

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
  daemon.started.catch(() => console.error(lines.join("\n")));
  return daemon;
}
