/** The aggregator beside the least that an aggregator must do: receive. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";
import {
  type Comparison,
  type Load,
  type Measurement,
  measure,
  sumSamples,
  waitForOffset,
  warmUp,
} from "./measure.ts";
import { freePorts, readCpuSeconds } from "./proc.ts";
import type { Tools } from "./tools.ts";

/** When an interval's flush is surely over, in milliseconds after its end: settling takes two seconds. */
const FLUSH_OVER_MS = 4_000;
/** The last snapshot of a load is cut within the snapshot interval of one second. */
const SETTLE_MS = 1_200;
/** Lines aggregated that came through a socket; the aggregator's own metrics are lines as well. */
const ACCEPTED = /^bioyino_lines_accepted_total\{intake="udp:/;

/** Carbon's part: takes whatever comes and throws it away. */
async function startCarbonStub(): Promise<Server> {
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function writeConfig(folder: string, port: number, carbonPort: number, intervalMs: number): string {
  const path = join(folder, "bench.ini");
  const lines = [
    "[aggregator]",
    `listen[] = udp://127.0.0.1:${port}`,
    `interval = ${intervalMs}ms`,
    "management = 127.0.0.1:0",
    "[carbon]",
    `address = 127.0.0.1:${carbonPort}`,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

async function measureFloor(tools: Tools, load: Load): Promise<Measurement> {
  const port = await freePorts(1);
  const floor = tools.start("rfloor", [port]);
  const received = async (): Promise<number> => (await floor.output).packets * load.metricsPerPacket;
  try {
    return await measure(tools, { pid: floor.pid, port }, load, received);
  } finally {
    floor.kill();
  }
}

/**
 * Alternates floor and aggregator. Each load lies inside one interval, behind the flush of the one before,
 * so that intake (snapshots included) and flush are seen apart. tick: called after each run.
 */
export async function compareAggregator(
  title: string,
  tools: Tools,
  load: Load,
  runs: number,
  tick: () => void,
): Promise<Comparison> {
  const floor = { name: `floor (${tools.languageOf("rfloor")})`, measurements: [] as Measurement[] };
  const ours = { name: "bioyino", measurements: [] as Measurement[] };
  const flushSeconds: number[] = [];
  // Two loads and what is read around them fit between two flushes.
  const intervalMs = FLUSH_OVER_MS + Math.ceil(2 * load.seconds + 6) * 1000;
  const folder = mkdtempSync(join(tmpdir(), "bioyino-bench-"));
  const carbon = await startCarbonStub();
  const port = await freePorts(1);
  const config = writeConfig(folder, port, (carbon.address() as AddressInfo).port, intervalMs);
  const aggregator = executable("bioyino", "aggregator.started", ["--config", config]);
  const target = { pid: aggregator.pid, port, settleMs: SETTLE_MS };
  try {
    const { management } = await aggregator.started;
    const received = async (): Promise<number> => {
      const page = await (await fetch(`http://${management}/metrics`)).text();
      const sum = sumSamples(page, ACCEPTED);
      if (sum === undefined) throw new Error(`/metrics has no sample like ${ACCEPTED.source}`);
      return sum;
    };
    await warmUp(tools, target, load);
    for (let run = 0; run < runs; run++) {
      await waitForOffset(intervalMs, FLUSH_OVER_MS);
      const before = await received();
      ours.measurements.push(await measure(tools, target, load, async () => (await received()) - before));
      const cpuBeforeFlush = readCpuSeconds(target.pid);
      floor.measurements.push(await measureFloor(tools, load));
      await waitForOffset(intervalMs, FLUSH_OVER_MS - 500);
      flushSeconds.push(readCpuSeconds(target.pid) - cpuBeforeFlush);
      tick();
    }
  } finally {
    await aggregator.stop();
    carbon.close();
    rmSync(folder, { recursive: true, force: true });
  }
  const flushMs = flushSeconds.map((seconds) => Math.round(seconds * 1e3)).sort((a, b) => a - b);
  const samples = load.packetsPerSecond * load.metricsPerPacket * load.seconds;
  return {
    title,
    baseline: "floor",
    rows: [floor, ours],
    notes: [
      `not in the table: one flush of ${load.series} series and ${samples} samples took ` +
        `${flushMs[Math.floor(flushMs.length / 2)]} ms of CPU (${flushMs[0]}..${flushMs.at(-1)})`,
    ],
  };
}
