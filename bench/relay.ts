/** The relay beside the least that a relay must do, for each way in and out. */
import { executable } from "./executable.ts";
import {
  type Comparison,
  type Load,
  type Measurement,
  measure,
  sumSamples,
  type Target,
  waitForPort,
} from "./measure.ts";
import { pinLoad } from "./pinning.ts";
import { connectedPorts, freePorts, waitUntil } from "./proc.ts";
import type { ToolName, Tools } from "./tools.ts";

/** Which way lines take. */
export interface RelayShape {
  readonly input: "udp" | "tcp";
  readonly output: "udp" | "tcp";
  readonly destinations: number;
}

/** The receivers behind a relay: their ports, in a row, and what they speak. */
export interface Far {
  readonly firstPort: number;
  readonly count: number;
  readonly protocol: "udp" | "tcp";
}

/** Longer than the relay holds a packet that is not full. */
const SINK_IDLE_SECONDS = 2.5;
const WARM_UP_SECONDS = 1;
const SELF_LINES = /^statsrelay_self_lines_total[ {]/;

/**
 * Runs one load against a relay-like process with sinks behind it. open: starts or names the process, once
 * the sinks listen. Returns the measurement, and how many lines the sinks have got; lostMetrics is left to
 * the caller.
 */
export async function measureThrough(
  tools: Tools,
  far: Far,
  load: Load,
  open: () => Target,
): Promise<{ measurement: Measurement; arrived: number }> {
  const { firstPort, count, protocol } = far;
  const sink = tools.start(protocol === "tcp" ? "tcp-sink" : "sink", [firstPort, count, SINK_IDLE_SECONDS]);
  try {
    await waitForPort(firstPort + count - 1, protocol);
    pinLoad(sink.pid);
    const target = open();
    await waitForPort(target.port, target.protocol);
    if (protocol === "tcp") {
      await waitUntil(() => connectedPorts(firstPort, count) === count, "connections to all destinations");
    }
    let arrived = 0;
    const measurement = await measure(tools, target, load, async () => {
      arrived = (await sink.output).metrics ?? 0;
      return arrived;
    });
    return { measurement, arrived };
  } finally {
    sink.kill();
  }
}

/** Lines of the relay's own since its start: sinks receive them beside those that were sent. */
async function ownLines(management: string): Promise<number> {
  const page = await (await fetch(`http://${management}/metrics`)).text();
  const sum = sumSamples(page, SELF_LINES);
  if (sum === undefined) throw new Error(`/metrics has no sample like ${SELF_LINES.source}`);
  return sum;
}

function floorOf({ input, output }: RelayShape): ToolName {
  if (input === "tcp") return "tcp-in-floor";
  return output === "tcp" ? "tcp-out-floor" : "floor";
}

async function measureFloor(tools: Tools, shape: RelayShape, load: Load): Promise<Measurement> {
  const { destinations: count, input, output } = shape;
  const firstPort = await freePorts(count + 1);
  const port = firstPort + count;
  let kill = (): void => {};
  try {
    const open = (): Target => {
      const floor = tools.start(floorOf(shape), [port, firstPort, count]);
      kill = () => floor.kill();
      return { pid: floor.pid, port, protocol: input };
    };
    return (await measureThrough(tools, { firstPort, count, protocol: output }, load, open)).measurement;
  } finally {
    kill();
  }
}

/**
 * Makes a comparison for a way. It alternates floor and relay, so that both see the same moods of the
 * machine. tick: called after a run.
 */
export function compareRelay(shape: RelayShape) {
  return async (
    title: string,
    tools: Tools,
    load: Load,
    runs: number,
    tick: () => void,
  ): Promise<Comparison> => {
    const floor = {
      name: `floor (${tools.languageOf(floorOf(shape))})`,
      measurements: [] as Measurement[],
    };
    const ours = { name: "statsrelay", measurements: [] as Measurement[] };
    const { destinations: count, input, output } = shape;
    const firstPort = await freePorts(count + 1);
    const port = firstPort + count;
    const far: Far = { firstPort, count, protocol: output };
    const relay = executable("statsrelay", "relay.started", relayArguments(shape, port, firstPort));
    try {
      const { management } = await relay.started;
      const measureOurs = async (oneLoad: Load): Promise<Measurement> => {
        const target: Target = { pid: relay.pid, port, protocol: input };
        const before = await ownLines(management);
        const { measurement, arrived } = await measureThrough(tools, far, oneLoad, () => target);
        const own = (await ownLines(management)) - before;
        return { ...measurement, lostMetrics: measurement.sentMetrics - arrived + own };
      };
      await measureOurs({ ...load, seconds: WARM_UP_SECONDS });
      for (let run = 0; run < runs; run++) {
        floor.measurements.push(await measureFloor(tools, shape, load));
        ours.measurements.push(await measureOurs(load));
        tick();
      }
    } finally {
      await relay.stop();
    }
    return { title, baseline: "floor", rows: [floor, ours], notes: notesOn(shape, load) };
  };
}

function relayArguments(shape: RelayShape, port: number, firstPort: number): string[] {
  const scheme = shape.output === "tcp" ? "tcp://" : "";
  const destinations = Array.from(
    { length: shape.destinations },
    (_, i) => `${scheme}127.0.0.1:${firstPort + i}`,
  );
  const listen =
    shape.input === "tcp" ? ["--listen", `tcp://127.0.0.1:${port}`] : ["-b", "127.0.0.1", "-p", String(port)];
  return [...listen, "--management", "127.0.0.1:0", ...destinations];
}

function notesOn({ input, output, destinations }: RelayShape, { metricsPerPacket }: Load): string[] {
  const notes: string[] = [];
  if (input === "tcp") notes.push(`over TCP a datagram stands for ${metricsPerPacket} lines of the stream`);
  if (input === "udp" && output === "udp" && destinations > 4) {
    // Worth saying, as the floor is then none: it shows what packing saves.
    notes.push("the floor sends what it has after each batch; the relay waits until packets are full");
  }
  return notes;
}
