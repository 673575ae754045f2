// What several members add up is what one node would have: all types, late lines, gauges, Rust peers.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { messageNamed } from "../support/capnp-messages.ts";
import { ClusterProcesses, freePorts } from "../support/cluster-processes.ts";
import { sendDatagrams, startAggregator } from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { waitFor } from "../support/wait-for.ts";

const NAMES = ["a", "b", "c"];
/** So long that all of a test is in one of them, or two. */
const AGGREGATOR = "interval = 4s";

/** Three members, of which people have chosen the first to lead. */
async function with3(
  options: { readonly cluster?: string; readonly aggregator?: string },
  run: (rig: ClusterProcesses) => Promise<void>,
): Promise<void> {
  const cluster = `consensus = none\n${options.cluster ?? ""}`;
  const rig = await ClusterProcesses.open({ names: NAMES, ...options, cluster });
  try {
    await Promise.all(NAMES.map((name) => rig.start(name, name === "a" ? "start-as-leader = yes" : "")));
    await rig.leader();
    await run(rig);
  } finally {
    await rig.close();
  }
}

/** Lines of all types, whose sums are the same in any order. */
function linesOfAllTypes(): string[] {
  const lines: string[] = [];
  for (let index = 0; index < 600; index++) {
    const value = (index * 7919) % 1000;
    lines.push(`counted.${index % 5}:${value}|c`, `sampled:${value}|c|@0.5`);
    lines.push(`timed;part=${index % 3}:${value}|ms`, `shared:${value}|h|@0.25`);
    lines.push(`members:${value % 97}|s`, `tagged,b=2,a=${index % 2}:1|c`);
  }
  return lines;
}

/** Rows of a carbon without their seconds, of those that come in one interval. */
function rowsOf(lines: readonly string[]): string[] {
  return lines.map((line) => line.split(" ").slice(0, 2).join(" ")).sort();
}

/** Resolves at the beginning of one of the 4 s intervals, so that what follows shortly is in one. */
async function untilIntervalBegins(): Promise<void> {
  await waitFor("an interval to begin", () => Date.now() % 4000 < 1000);
}

test("lines spread over three members come out as those of a single node", async () => {
  await with3({ aggregator: AGGREGATOR }, async (rig) => {
    const carbon = await FakeCarbon.start();
    const single = await startAggregator(await chooseIo("auto"), {
      aggregator: `${AGGREGATOR}\nsinks[] = carbon`,
      carbon: `address[] = 127.0.0.1:${carbon.port}`,
    });
    try {
      const lines = linesOfAllTypes();
      await untilIntervalBegins();
      for (let from = 0; from < lines.length; from += 12) {
        const datagram = lines.slice(from, from + 12).join("\n");
        const name = NAMES[(from / 12) % NAMES.length]!;
        await sendDatagrams(single.ports[0]!, [datagram]);
        await sendDatagrams(rig.node(name).ports[0]!, [datagram]);
      }
      // Of samples that come at once, any may be the last.
      await single.until("all to be taken", (metrics) => {
        return metrics.sum("bioyino_samples_total") === lines.length;
      });
      const last = ["timed;part=0", "timed;part=1", "timed;part=2"].map((name) => `${name}:1|ms`);
      for (const port of [single.ports[0]!, rig.node("b").ports[0]!]) {
        await sendDatagrams(port, [[...last, "shared:2|h"].join("\n")]);
      }
      await waitFor("rows of both", () => carbon.lines().length > 0 && rig.carbon.lines().length > 0);
      const expected = rowsOf(carbon.lines());
      assert.ok(expected.length > 50, expected.join("\n"));
      assert.deepEqual(rowsOf(rig.carbon.lines()), expected);
    } finally {
      await single.stop();
      await carbon.stop();
    }
  });
});

test("relative gauges on three members add up to one level, and hold over intervals", async () => {
  await with3({}, async (rig) => {
    const level = () => [...rig.points()].filter(([key]) => key.startsWith("level ")).at(-1)?.[1];
    const tell = (name: string, ...lines: string[]) => sendDatagrams(rig.node(name).ports[0]!, lines);
    await tell("b", "level:100|g");
    await waitFor("the level", () => level() === 100);
    await Promise.all([tell("a", "level:+10|g"), tell("b", "level:-3|g"), tell("c", "level:+5|g")]);
    await waitFor("the changes of all", () => level() === 112);
    await tell("c", "level:-12|g");
    await waitFor("one change more", () => level() === 100);
  });
});

test("lines that come late get into their interval, on any member", async () => {
  const options = {
    cluster: "settle = 900ms",
    aggregator: "dialect = dogstatsd\nlate-window = 3s",
  };
  await with3(options, async (rig) => {
    await waitFor("the middle of a second", () => Date.now() % 1000 > 300 && Date.now() % 1000 < 600);
    const second = Math.floor(Date.now() / 1000);
    for (const [index, name] of NAMES.entries()) {
      const stamp = second - (index % 2);
      await sendDatagrams(rig.node(name).ports[0]!, [`late:1|c|T${stamp}\nlate:1|c|T${stamp}`]);
    }
    const at = (end: number) => rig.points().get(`late ${end}`);
    await waitFor("all of them in their points", () => at(second + 1) === 4 && at(second) === 2);
    assert.equal(rig.sum("late"), 6);
  });
});

/** Sends a message to where Rust nodes come in, and closes behind it. */
async function sendMessage(port: number, message: Buffer): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.end(message);
  socket.resume();
  await once(socket, "close");
}

for (const [senders, targets] of [
  ["one", ["b"]],
  ["all", NAMES],
] as const) {
  test(`a snapshot that a Rust node sends to ${senders} is counted once`, async () => {
    const ports = await freePorts(NAMES.length);
    const rig = await ClusterProcesses.open({ names: NAMES, cluster: "consensus = none" });
    const change = (name: string) =>
      [
        `bioyino-listen = 127.0.0.1:${ports[NAMES.indexOf(name)]}`,
        `bioyino-senders = ${senders}`,
        ...(name === "a" ? ["start-as-leader = yes"] : []),
      ].join("\n");
    try {
      await Promise.all(NAMES.map((name) => rig.start(name, change(name))));
      await rig.leader();
      await waitFor("a to know that it leads", async () => (await rig.status("a"))["leader-status"]);
      for (const name of targets) await sendMessage(ports[NAMES.indexOf(name)]!, messageNamed("golden"));
      await waitFor("the snapshot at carbon", () => rig.sum("a.b;k=v") >= 3);
      await rig.send("c", "after", 10);
      await rig.untilComplete();
      assert.equal(rig.sum("a.b;k=v"), 3);
    } finally {
      await rig.close();
    }
  });
}
