// A relay in front of a cluster, as config/examples/cluster/relay-to-cluster.ini has it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterProcesses, hits } from "../support/cluster-processes.ts";
import { sendDatagrams, startRelayByFile, type TestDaemon } from "../support/daemons.ts";
import { waitFor } from "../support/wait-for.ts";

const NAMES = ["a", "b", "c"];
const KEYS = [
  "connect-timeout = 1s",
  "write-timeout = 5s",
  "retry-delay = 50ms",
  "retry-delay-max = 200ms",
  "health = auto",
].join("\n");

/** A cluster whose members take lines by TCP, and a relay in front of them. */
async function withRelay(
  onDead: "next" | "hold",
  run: (rig: ClusterProcesses, relay: TestDaemon) => Promise<void>,
): Promise<void> {
  const rig = await ClusterProcesses.open({
    names: NAMES,
    aggregator: "listen[] = udp://127.0.0.1:0\nlisten[] = tcp://127.0.0.1:0",
  });
  let relay: TestDaemon | undefined;
  try {
    await rig.startAll();
    await rig.leader();
    const places = NAMES.map((name) => `destinations[] = tcp://127.0.0.1:${rig.node(name).ports[1]}`);
    relay = await startRelayByFile("dgram", `${places.join("\n")}\non-dead = ${onDead}\n${KEYS}`);
    await run(rig, relay);
  } finally {
    await relay?.stop();
    await rig.close();
  }
}

/** Names that spread over all members. */
const METRICS = Array.from({ length: 30 }, (_, index) => `spread.${index}`);

async function sendAll(relay: TestDaemon, rig: ClusterProcesses, each: number): Promise<void> {
  for (const metric of METRICS) {
    await sendDatagrams(relay.ports[0]!, hits(metric, each));
    rig.sent.set(metric, (rig.sent.get(metric) ?? 0) + each);
  }
}

/** Samples that each member has taken. */
async function takenBy(rig: ClusterProcesses): Promise<number[]> {
  const metrics = await Promise.all(rig.names.map((name) => rig.node(name).metrics()));
  return metrics.map((one) => one.sum("bioyino_samples_total"));
}

/** Waits until what the members took is with all of them. */
async function untilReplicated(rig: ClusterProcesses): Promise<void> {
  for (const name of rig.names) {
    await rig.node(name).until("nothing to wait", (metrics) => {
      return (
        metrics.sum("bioyino_samples_in_flight") === 0 &&
        metrics.sum("bioyino_cluster_peer_backlog_snapshots") === 0
      );
    });
  }
}

test("a relay spreads lines over members, and goes on to the next when one is gone", async () => {
  await withRelay("next", async (rig, relay) => {
    await sendAll(relay, rig, 10);
    await waitFor("the members to have taken all", async () => {
      const taken = await takenBy(rig);
      return taken.reduce((sum, count) => sum + count, 0) >= METRICS.length * 10;
    });
    assert.ok(
      (await takenBy(rig)).every((count) => count > 0),
      "each member takes some",
    );
    await untilReplicated(rig);
    await rig.kill(await rig.leader());
    await waitFor("the relay to notice", async () => {
      const text = await (await relay.get("/metrics")).text();
      return /statsrelay_destination_up\{[^}]*\} 0/.test(text);
    });
    await sendAll(relay, rig, 10);
    await rig.untilComplete();
    const metrics = await relay.metrics();
    assert.equal(metrics.sum("statsrelay_conservation_error"), 0);
  });
});

test("a relay that holds keeps a member's lines until it is back at its place", async () => {
  await withRelay("hold", async (rig, relay) => {
    await sendAll(relay, rig, 10);
    await rig.untilComplete();
    const leader = await rig.leader();
    const [other = ""] = NAMES.filter((name) => name !== leader);
    const port = rig.node(other).ports[1]!;
    await untilReplicated(rig);
    await rig.kill(other);
    await waitFor("the relay to notice", async () => {
      const text = await (await relay.get("/metrics")).text();
      return /statsrelay_destination_up\{[^}]*\} 0/.test(text);
    });
    await sendAll(relay, rig, 10);
    await rig.start(other, {
      aggregator: `listen[] = udp://127.0.0.1:0\nlisten[] = tcp://127.0.0.1:${port}`,
    });
    await rig.untilComplete();
  });
});
