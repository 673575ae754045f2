/** What each option of the relay costs when it is on: relays side by side under the same load, by turns. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Daemon } from "../bin/daemon.ts";
import { executable } from "./executable.ts";
import { type Comparison, type Load, type Measurement, sumSamples } from "./measure.ts";
import { freePorts } from "./proc.ts";
import { type Far, measureThrough } from "./relay.ts";
import type { Tools } from "./tools.ts";

const DESTINATIONS = 4;
const WARM_UP_SECONDS = 1;
const ACCEPTED = /^statsrelay_lines_accepted_total[ {]/;
const SENT = /^statsrelay_destination_lines_sent_total[ {]/;

/** A relay with one option on. */
interface Variant {
  readonly name: string;
  /** Lines of [relay]. */
  readonly relay?: readonly string[];
  /** Lines of a route; its one destination is added. */
  readonly route?: readonly string[];
}

/** The first is what the others are compared with. Rules match nothing, so that all have the same to send. */
const VARIANTS: readonly Variant[] = [
  { name: "plain" },
  { name: "metrics-prefix", relay: ["metrics-prefix = site.one"] },
  { name: "metrics-tags", relay: ["metrics-tags = env:prod,dc:east"] },
  { name: "validate", relay: ["validate = yes"] },
  { name: "strict-packetlen, trim-cr", relay: ["strict-packetlen = yes", "trim-cr = yes"] },
  { name: "block rule", relay: ["block[] = no.such.**"] },
  { name: "block rule, regular", relay: ["block[] = /^no\\.such\\.(one|two)/"] },
  { name: "cap", relay: ["cap[] = app.=1000000"] },
  // A health check's packets would be counted as lines, and keep the sinks from ever being idle.
  { name: "on-dead = next", relay: ["on-dead = next", "health = none"] },
  { name: "mirror of 10 % of names", route: ["mode = copy", "share = 10"] },
  { name: "mirror of all", route: ["mode = copy"] },
  { name: "replicas = 2", relay: ["replicas = 2"] },
];

/** A relay that runs. */
interface Running {
  readonly variant: Variant;
  readonly daemon: Daemon;
  readonly management: string;
  readonly port: number;
  readonly far: Far;
  readonly measurements: Measurement[];
}

function configOf({ relay = [], route }: Variant, port: number, firstPort: number): string {
  const destination = (index: number): string => `destinations[] = 127.0.0.1:${firstPort + index}`;
  const lines = [
    "[relay]",
    `listen[] = udp://127.0.0.1:${port}`,
    "management = 127.0.0.1:0",
    ...Array.from({ length: DESTINATIONS }, (_, i) => destination(i)),
    ...relay,
    ...(route === undefined ? [] : ["[route.mirror]", ...route, destination(DESTINATIONS)]),
  ];
  return `${lines.join("\n")}\n`;
}

async function startVariant(variant: Variant, folder: string): Promise<Running> {
  const count = DESTINATIONS + (variant.route === undefined ? 0 : 1);
  const firstPort = await freePorts(count + 1);
  const port = firstPort + count;
  const file = join(folder, `${port}.ini`);
  writeFileSync(file, configOf(variant, port, firstPort));
  const daemon = executable("statsrelay", "relay.started", ["--config", file]);
  try {
    const { management } = await daemon.started;
    const far: Far = { firstPort, count, protocol: "udp" };
    return { variant, daemon, management, port, far, measurements: [] };
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}

/** Lines accepted and lines that left, since the start of a relay. */
async function readCounts(management: string): Promise<{ accepted: number; left: number }> {
  const page = await (await fetch(`http://${management}/metrics`)).text();
  const [accepted, left] = [ACCEPTED, SENT].map((pattern) => sumSamples(page, pattern));
  if (accepted === undefined || left === undefined) throw new Error("/metrics lacks the ledger's counters");
  return { accepted, left };
}

/** One run. Lost: lines sent that were not accepted, and lines that left and did not arrive. */
async function measureVariant(tools: Tools, running: Running, load: Load): Promise<Measurement> {
  const { management, far, port, daemon } = running;
  const before = await readCounts(management);
  const { measurement, arrived } = await measureThrough(tools, far, load, () => ({ pid: daemon.pid, port }));
  const after = await readCounts(management);
  const refused = measurement.sentMetrics - (after.accepted - before.accepted);
  return { ...measurement, lostMetrics: refused + after.left - before.left - arrived };
}

/** Compares all variants with the plain relay. tick: called after a run of each. */
export async function compareFeatures(
  title: string,
  tools: Tools,
  load: Load,
  runs: number,
  tick: () => void,
): Promise<Comparison> {
  const folder = mkdtempSync(join(tmpdir(), "relay-features-"));
  const running: Running[] = [];
  try {
    for (const variant of VARIANTS) {
      const one = await startVariant(variant, folder);
      running.push(one);
      await measureVariant(tools, one, { ...load, seconds: WARM_UP_SECONDS });
    }
    for (let run = 0; run < runs; run++) {
      for (const one of running) one.measurements.push(await measureVariant(tools, one, load));
      tick();
    }
  } finally {
    await Promise.all(running.map(({ daemon }) => daemon.stop()));
    rmSync(folder, { recursive: true, force: true });
  }
  const rows = running.map(({ variant, measurements }) => ({ name: variant.name, measurements }));
  const notes = ["a mirror and a second replica send more, so their rows hold that as well"];
  return { title, baseline: "plain", rows, notes };
}
