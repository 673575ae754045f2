/** The relay beside the least that a relay must do. */
import { executable } from "./executable.ts";
import {
  type Comparison,
  type Load,
  type Measurement,
  measure,
  type Target,
  waitForPort,
  warmUp,
} from "./measure.ts";
import { pinLoad } from "./pinning.ts";
import { freePorts } from "./proc.ts";
import type { Tools } from "./tools.ts";

const DESTINATION_COUNT = 4;
/** Longer than the relay holds a packet that is not full. */
const SINK_IDLE_SECONDS = 2.5;

/** Runs one load against a relay-like process, with a sink behind it that counts. */
async function measureRelay(
  tools: Tools,
  target: Target,
  firstOut: number,
  load: Load,
  countOwn: () => Promise<number> = async () => 0,
): Promise<Measurement> {
  const ownBefore = await countOwn();
  const sink = tools.start("sink", [firstOut, DESTINATION_COUNT, SINK_IDLE_SECONDS]);
  try {
    await waitForPort(firstOut + DESTINATION_COUNT - 1);
    pinLoad(sink.pid);
    return await measure(tools, target, load, async () => {
      const received = (await sink.output).metrics ?? 0;
      return received - (await countOwn()) + ownBefore;
    });
  } finally {
    sink.kill();
  }
}

/** Lines of the relay's own since its start: sinks receive them beside those that were sent. */
async function ownLines(management: string): Promise<number> {
  const text = await (await fetch(`http://${management}/metrics`)).text();
  return Number(/^statsrelay_self_lines_total (\d+)$/m.exec(text)?.[1] ?? 0);
}

async function measureFloor(tools: Tools, load: Load): Promise<Measurement> {
  const firstOut = await freePorts(DESTINATION_COUNT + 1);
  const port = firstOut + DESTINATION_COUNT;
  const floor = tools.start("floor", [port, firstOut, DESTINATION_COUNT]);
  try {
    return await measureRelay(tools, { pid: floor.pid, port }, firstOut, load);
  } finally {
    floor.kill();
  }
}

/** Alternates floor and relay, so that both see the same moods of the machine. tick: called after a run. */
export async function compareRelay(
  title: string,
  tools: Tools,
  load: Load,
  runs: number,
  tick: () => void,
): Promise<Comparison> {
  const floor = { name: `floor (${tools.language})`, measurements: [] as Measurement[] };
  const ours = { name: "statsrelay", measurements: [] as Measurement[] };
  const firstOut = await freePorts(DESTINATION_COUNT + 1);
  const port = firstOut + DESTINATION_COUNT;
  const destinations = Array.from({ length: DESTINATION_COUNT }, (_, i) => `127.0.0.1:${firstOut + i}`);
  const args = ["-b", "127.0.0.1", "-p", String(port), "--management", "127.0.0.1:0", ...destinations];
  const relay = executable("statsrelay", "relay.started", args);
  try {
    const { management } = await relay.started;
    await warmUp(tools, { pid: relay.pid, port }, load);
    for (let run = 0; run < runs; run++) {
      floor.measurements.push(await measureFloor(tools, load));
      const countOwn = () => ownLines(management);
      ours.measurements.push(await measureRelay(tools, { pid: relay.pid, port }, firstOut, load, countOwn));
      tick();
    }
  } finally {
    await relay.stop();
  }
  return { title, hasFloor: true, rows: [floor, ours], notes: [] };
}
