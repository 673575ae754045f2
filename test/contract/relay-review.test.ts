/** A relay's start, reload and stop where something goes wrong, or two things happen at once. */
import assert from "node:assert/strict";
import dns from "node:dns/promises";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { syncBuiltinESMExports } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { sendDatagrams } from "../support/daemons.ts";
import { RelayInProcess } from "../support/relay-in-process.ts";
import { UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const LIMIT = { timeout: 30_000 };
/** No socket can be connected to it without a privilege of its own, so every thread fails to take it up. */
const REFUSED = "255.255.255.255:9";

async function openSink(t: TestContext, host?: string, port?: number): Promise<UdpSink> {
  const sink = await UdpSink.open(host, port);
  t.after(() => sink.close());
  return sink;
}

/** Stands for the name server until the test ends. */
function fakeNameServer(t: TestContext, find: (host: string) => Promise<readonly object[]>): void {
  const { lookup } = dns;
  dns.lookup = find as unknown as typeof lookup;
  syncBuiltinESMExports();
  t.after(() => {
    dns.lookup = lookup;
    syncBuiltinESMExports();
  });
}

/** Sum of a counter of the relay's own at a sink. */
function ownCount({ packets }: UdpSink, name: string): number {
  const lines = packets.join("").split("\n");
  return lines.reduce(
    (sum, line) => sum + Number(line.startsWith(`${name}:`) ? line.split(/[:|]/)[1] : 0),
    0,
  );
}

test("own counters are not counted once more after a reload", LIMIT, async (t) => {
  const sink = await openSink(t);
  const keys = [`destinations = ${sink.destination}`, "stats = full"];
  const relay = await RelayInProcess.start(t, keys);
  const received = () => ownCount(sink, "statsrelay.linesReceived");
  await sendDatagrams(relay.port, ["a:1|c\nb:1|c\nc:1|c"]);
  await waitFor("three lines told", () => received() === 3);
  assert.ok(await relay.reload(keys));
  await sendDatagrams(relay.port, ["d:1|c"]);
  await waitFor("the fourth line told", () => received() > 3);
  assert.equal(received(), 4);
});

test("a reload that fails leaves configuration and watched files as they were", LIMIT, async (t) => {
  const [one, other] = [await openSink(t), await openSink(t)];
  const folder = mkdtempSync(join(tmpdir(), "relay-review-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [good, bad] = [join(folder, "good"), join(folder, "bad")];
  writeFileSync(good, `${one.destination}\n`);
  writeFileSync(bad, `${REFUSED}\n`);
  const relay = await RelayInProcess.start(t, [`destinations-file = ${good}`]);
  assert.equal(await relay.reload([`destinations-file = ${bad}`, "metrics-prefix = new"]), false);
  writeFileSync(good, `${one.destination}\n${other.destination}\n`);
  await relay.until("both destinations", (metrics) => metrics.sum("statsrelay_ring_destinations") === 2);
  await sendDatagrams(relay.port, ["a:1|c"]);
  await waitFor("a line", () => one.lines.length + other.lines.length === 1);
  assert.deepEqual([...one.lines, ...other.lines], ["a:1|c"]);
});

test("a stop does not wait for the names of a reload", LIMIT, async (t) => {
  fakeNameServer(t, () => new Promise(() => {}));
  const sink = await openSink(t);
  const keys = [`destinations = ${sink.destination}`, "drain-timeout = 2s", "flush-interval = 1m"];
  const relay = await RelayInProcess.start(t, keys);
  void relay.reload([...keys.slice(1), "destinations = nobody.test:9"]);
  await sendDatagrams(relay.port, ["a:1|c"]);
  assert.equal(await relay.relay.stop(), true);
  await waitFor("the line", () => sink.lines.length === 1);
});

test("a start that fails waits for no load balancer", LIMIT, async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  t.after(() => other.close());
  const management = `management = 127.0.0.1:${(other.address() as AddressInfo).port}`;
  const keys = ["destinations = 127.0.0.1:9", management, "drain-delay = 5m"];
  await assert.rejects(RelayInProcess.start(t, keys), /cannot listen on management address/);
});

for (const io of ["mmsg", "dgram"]) {
  test(`a start that fails leaves no socket open (${io})`, LIMIT, async (t) => {
    const sink = await openSink(t);
    const { port } = sink;
    await sink.close();
    const keys = [`listen = udp://127.0.0.1:${port}`, `io = ${io}`];
    await assert.rejects(
      RelayInProcess.start(t, [...keys, `destinations = ${REFUSED}`]),
      /destination .*cannot connect/,
    );
    // dgram closes it in the event loop of a thread that ends.
    await waitFor("the port to be free", async () => {
      try {
        await (await UdpSink.open("127.0.0.1", port)).close();
        return true;
      } catch {
        return false;
      }
    });
  });
}

test("destinations that move together move in one change", LIMIT, async (t) => {
  let address = "127.0.0.1";
  fakeNameServer(t, async () => [{ address, family: 4 }]);
  const first = await openSink(t);
  const second = await openSink(t, "127.0.0.2", first.port);
  const destinations = ["a", "b", "c", "d"].map((one) => `destinations[] = sink.test:${first.port}:${one}`);
  const relay = await RelayInProcess.start(t, [...destinations, "resolve-interval = 1s"]);
  address = "127.0.0.2";
  await relay.until("a change", (metrics) => metrics.sum("statsrelay_generation") > 1);
  // Further changes would stand in the queue before this one.
  assert.ok(await relay.reload([...destinations, "resolve-interval = 1s"]));
  assert.equal((await relay.metrics()).sum("statsrelay_generation"), 3);
  await sendDatagrams(relay.port, ["a:1|c"]);
  await waitFor("the line at the new address", () => second.lines.length === 1);
});
