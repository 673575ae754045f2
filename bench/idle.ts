/** Memory of the daemons that have nothing to do. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Daemon } from "../bin/daemon.ts";
import { executable } from "./executable.ts";
import { freePorts, readRssBytes } from "./proc.ts";

/** Long enough for what a start leaves behind to be collected. */
const SETTLE_MS = 2_000;

async function settledRssBytes(daemon: Daemon): Promise<number> {
  try {
    await daemon.started;
    await delay(SETTLE_MS);
    return readRssBytes(daemon.pid);
  } finally {
    await daemon.stop();
  }
}

/** Starts each daemon, waits two seconds and reads its resident memory in bytes. */
export async function measureIdle(): Promise<{ relayBytes: number; aggregatorBytes: number }> {
  const folder = mkdtempSync(join(tmpdir(), "idle-bench-"));
  try {
    const port = await freePorts(2);
    const args = [
      "-b",
      "127.0.0.1",
      "-p",
      String(port),
      "--management",
      "127.0.0.1:0",
      `127.0.0.1:${port + 1}`,
    ];
    const relayBytes = await settledRssBytes(executable("statsrelay", "relay.started", args));
    const config = join(folder, "idle.ini");
    const listen = `listen[] = udp://127.0.0.1:${port + 1}`;
    writeFileSync(config, `[aggregator]\n${listen}\nmanagement = 127.0.0.1:0\n`);
    const aggregator = executable("bioyino", "aggregator.started", ["--config", config]);
    return { relayBytes, aggregatorBytes: await settledRssBytes(aggregator) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
