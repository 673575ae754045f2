/** The log: one line for an event, for machines or for people, and not too many of them. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { test } from "node:test";
import { createLog, type Log, rateLimited } from "../../shared/log.ts";
import { ManualClock } from "../support/manual-clock.ts";

interface Captured {
  readonly log: Log;
  readonly lines: string[];
}

function capture(format: "json" | "text", level: "info" | "debug" | "error" = "info"): Captured {
  const lines: string[] = [];
  const log = createLog({ level, format }, "statsrelay", { write: (line) => void lines.push(line) });
  return { log, lines };
}

test("JSON lines have level, time, daemon, event and the fields", () => {
  const { log, lines } = capture("json");
  log.info("relay.started", { listen: ["udp://[::1]:1"], threads: 1, name: "x" });
  assert.equal(lines.length, 1);
  assert.ok(lines[0]!.endsWith("}\n"));
  const { time, ...fields } = JSON.parse(lines[0]!);
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(fields, {
    level: "info",
    daemon: "statsrelay",
    event: "relay.started",
    listen: ["udp://[::1]:1"],
    threads: 1,
    name: "x",
  });
});

test("text lines are for people", () => {
  const { log, lines } = capture("text", "debug");
  log.info("relay.started", { listen: ["udp://a:1", "udp://b:2"], threads: 1, management: "" });
  log.warn("sink.failed", { error: new Error("no\nroute"), after: 2.5, none: [], sink: { a: "b c" } });
  log.debug("x.y");
  assert.deepEqual(
    lines.map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3} /, "TIME ")),
    [
      'TIME INFO relay.started listen=udp://a:1,udp://b:2 threads=1 management=""\n',
      'TIME WARN sink.failed error="no\\nroute" after=2.5 none=[] sink={"a":"b c"}\n',
      "TIME DEBUG x.y\n",
    ],
  );
});

test("text lines cannot be forged by what is logged", () => {
  const { log, lines } = capture("text");
  log.error("line.bad", { line: "a\u2028b\u001b[31m\nc", key: "x=y" });
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /ERROR line\.bad line="a\\u2028b\\u001b\[31m\\nc" key="x=y"\n$/);
});

test("less severe events are left out", () => {
  const { log, lines } = capture("json", "error");
  log.warn("a.b");
  log.info("a.b");
  log.debug("a.b");
  log.error("a.b");
  assert.equal(lines.length, 1);
});

test("JSON takes any field", () => {
  const { log, lines } = capture("json");
  const loop: { self?: object } = {};
  loop.self = loop;
  log.info("a.b", { big: 2n ** 64n, loop, error: new TypeError("bad"), no: undefined, nan: Number.NaN });
  const fields = JSON.parse(lines[0]!);
  assert.equal(fields.error, "bad");
  assert.equal(fields.nan, null);
  assert.equal("no" in fields, false);
});

test("a field cannot take the place of those that every line has", () => {
  for (const format of ["json", "text"] as const) {
    const { log, lines } = capture(format);
    log.info("a.b", { time: 5, level: "x", event: "c.d" });
    assert.match(lines[0]!, /a\.b/);
    assert.match(lines[0]!, /time_"?[:=]5/);
  }
});

test("a limited event gets one line a second, with the number of those left out", () => {
  const { log, lines } = capture("json");
  const clock = new ManualClock();
  const limited = rateLimited(log, 1000, clock);
  for (let time = 0; time < 5; time++) limited.warn("line.bad", { time });
  limited.warn("peer.lost");
  clock.advance(999);
  limited.warn("line.bad");
  clock.advance(1);
  limited.warn("line.bad", { time: 9 });
  clock.advance(1000);
  limited.warn("line.bad");
  const shown = lines.map((line) => {
    const { event, suppressed } = JSON.parse(line);
    return [event, suppressed];
  });
  assert.deepEqual(shown, [
    ["line.bad", undefined],
    ["peer.lost", undefined],
    ["line.bad", 5],
    ["line.bad", undefined],
  ]);
});

test("a log on a full disk does not end the daemon", { skip: !existsSync("/dev/full") }, () => {
  const url = new URL("../../shared/log.js", import.meta.url);
  const script =
    `import { createLog } from ${JSON.stringify(url)};` +
    'const log = createLog({ level: "info", format: "json" }, "test");' +
    'for (const event of ["a.b", "c.d"]) log.info(event);' +
    "setImmediate(() => process.exit(7));";
  const full = openSync("/dev/full", "w");
  const { status } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "ignore", full],
  });
  closeSync(full);
  assert.equal(status, 7);
});
