import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfig, reloadedConfig, reviewReload } from "../../aggregator/reload.ts";
import { settingsOf } from "../../aggregator/settings.ts";
import { parseConfig } from "../../shared/config.ts";

const read = (text: string) => parseConfig(text, "test.ini");
const BEFORE = `
[aggregator]
management-token = first-secret
interval = 10s
sinks = carbon carbon.b
[listener.tcp]
listen = tcp://127.0.0.1:8126
[carbon]
address = 127.0.0.1:2003
[carbon.b]
address = 127.0.0.2:2003
`;

test("equal configurations differ in nothing, and each key of the aggregator is listed once", () => {
  assert.deepEqual(diffConfig(read(BEFORE), read(BEFORE)), []);
  const paths = [...settingsOf(read(BEFORE)).keys()];
  for (const path of ["log.level", "aggregator.listen", "listener.tcp.dialect", "carbon.b.queue-bytes"]) {
    assert.ok(paths.includes(path), path);
  }
  assert.ok(paths.includes("naming.timer.prefix"));
  assert.ok(!paths.some((path) => path.startsWith("relay.")), "the relay is another daemon");
});

test("a change says when it takes effect", () => {
  const after = read(
    BEFORE.replace("interval = 10s", "interval = 20s\nseries-max = 5\ndrain-timeout = 1s")
      .replace("[aggregator]", "[log]\nlevel = debug\n[aggregator]")
      .replace("127.0.0.2:2003", "127.0.0.3:2003")
      .replace("[carbon]", "[aggregation]\ntimer = count sum\n[naming.default]\nprefix = app\n[carbon]"),
  );
  const changes = diffConfig(read(BEFORE), after).map(({ path, applies }) => [path, applies] as const);
  assert.deepEqual(Object.fromEntries(changes), {
    "log.level": "restart",
    "aggregator.interval": "restart",
    "aggregator.series-max": "next interval",
    "aggregator.drain-timeout": "now",
    "aggregation.timer": "next interval",
    "naming.counter.prefix": "next interval",
    "naming.gauge.prefix": "next interval",
    "naming.timer.prefix": "next interval",
    "naming.set.prefix": "next interval",
    "carbon.b.address": "now",
  });
});

test("sections that come and go are shown from nothing or to nothing; listeners wait for a restart", () => {
  const after = read(BEFORE.replace("[listener.tcp]\nlisten = tcp://127.0.0.1:8126", ""));
  const changes = diffConfig(read(BEFORE), after);
  const listen = changes.find(({ path }) => path === "listener.tcp.listen");
  assert.deepEqual(listen, {
    path: "listener.tcp.listen",
    before: "tcp://127.0.0.1:8126",
    after: null,
    applies: "restart",
  });
  assert.ok(changes.every(({ path }) => path.startsWith("listener.tcp.")));
  const added = diffConfig(after, read(BEFORE)).find(({ path }) => path === "listener.tcp.listen");
  assert.deepEqual([added?.before, added?.after], [null, "tcp://127.0.0.1:8126"]);
});

test("secrets are masked, and a change of one shows all the same", () => {
  const changes = diffConfig(read(BEFORE), read(BEFORE.replace("first-secret", "second-secret")));
  assert.deepEqual(changes, [
    { path: "aggregator.management-token", before: "***", after: "***", applies: "restart" },
  ]);
  assert.ok(
    !JSON.stringify([...settingsOf(read(BEFORE)).values()].map(({ text }) => text)).includes("-secret"),
  );
});

test("after a reload what can change is new, and all else is as it was", () => {
  const after = read(
    BEFORE.replace("interval = 10s", "interval = 20s\nseries-max = 5")
      .replace("[listener.tcp]", "[listener.other]")
      .replace("first-secret", "second-secret")
      .replace("address = 127.0.0.2:2003", "address = 127.0.0.3:2003\nqueue-bytes = 1m"),
  );
  const config = reloadedConfig(read(BEFORE), after);
  assert.equal(config.aggregator.seriesMax, 5);
  assert.equal(config.aggregator.intervalMs, 10_000);
  assert.equal(config.aggregator.managementToken, "first-secret");
  assert.deepEqual(
    config.aggregator.listeners.map(({ name }) => name),
    ["tcp"],
  );
  assert.equal(config.carbon.others[0]!.address[0]!.host, "127.0.0.3");
  assert.equal(config.carbon.others[0]!.queueBytesMax, 1 << 20);
  assert.deepEqual(reloadedConfig(read(BEFORE), read(BEFORE)), read(BEFORE));
});

test("a faulty configuration is refused with all its faults, and changes nothing", () => {
  const { outcome, config } = reviewReload(read(BEFORE), () =>
    read("[aggregator]\ninterval = x\nlisten = y\n"),
  );
  assert.equal(config, undefined);
  assert.equal(outcome.ok, false);
  assert.deepEqual(outcome.changed, []);
  assert.match(outcome.message, /aggregator\.interval.*aggregator\.listen/s);
  assert.throws(
    () =>
      reviewReload(read(BEFORE), () => {
        throw new TypeError("a fault of the program");
      }),
    TypeError,
  );
});

test("the message names what waits for a restart", () => {
  const { outcome } = reviewReload(read(BEFORE), () =>
    read(BEFORE.replace("interval = 10s", "interval = 20s\nseries-max = 5")),
  );
  assert.equal(outcome.ok, true);
  assert.equal(outcome.message, "1 key taken over; only after a restart: aggregator.interval");
  assert.equal(reviewReload(read(BEFORE), () => read(BEFORE)).outcome.message, "nothing has changed");
});
