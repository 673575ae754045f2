/** The management pages of a running aggregator: what they answer, to whom, and what they do. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { OPENAPI } from "../../aggregator/page/openapi.ts";
import { SCHEMAS } from "../../aggregator/page/schemas.ts";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams, startAggregator, type TestDaemon } from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { schemaFaults } from "../support/json-schema.ts";
import { waitFor } from "../support/wait-for.ts";

const io = await chooseIo("auto");
/** Long enough that all of a test falls into one interval, most times; what is looked for lies in any. */
const LONG = "interval = 1h\nhistory = 3";

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly value: Record<string, unknown>;
}

async function ask(
  daemon: TestDaemon,
  path: string,
  { method = "GET", token = "", body }: { method?: string; token?: string; body?: string } = {},
): Promise<Answer> {
  const response = await fetch(`http://${daemon.management}${path}`, {
    method,
    headers: token === "" ? {} : { Authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const type = response.headers.get("content-type") ?? "";
  return { status: response.status, type, value: type.includes("json") ? JSON.parse(text) : { text } };
}

/** Series that match, as soon as there are so many. */
async function series(daemon: TestDaemon, match: string, count: number): Promise<Record<string, unknown>[]> {
  let found: Record<string, unknown>[] = [];
  await waitFor(`${count} series of ${match}`, async () => {
    const { value } = await ask(daemon, `/series?match=${encodeURIComponent(match)}`);
    found = value.series as Record<string, unknown>[];
    return found.length === count;
  });
  return found;
}

test("answers are JSON as openapi.json describes them", async () => {
  const daemon = await startAggregator(io, { aggregator: `${LONG}\nseries-per-prefix-max = 100` });
  await sendDatagrams(daemon.ports[0]!, ["app.a:1|c\napp.a:1|g\napp.lat:3:4|ms\nwho:ann|s\nbad"]);
  await series(daemon, "**", 4);
  const questions: readonly (readonly [string, string, string, string?])[] = [
    ["GET", "/readyz", "Readiness"],
    ["GET", "/status", "Status"],
    ["GET", "/stats?format=json", "Stats"],
    ["GET", "/series?match=app.**&limit=2", "Series"],
    ["GET", "/history", "History"],
    ["GET", "/top", "Top"],
    ["GET", "/explain?line=a:1|c%23x&line=b:2|ms|@0.5&line=_e{1,1}:a|b", "Explanation"],
    ["GET", "/config", "Config"],
    ["POST", "/consensus", "Status", '{"consensus-command":["pause","unchanged"]}'],
    ["DELETE", "/series?match=who", "Deleted"],
    ["POST", "/-/reload", "Reload"],
    ["GET", "/tail", "Error"],
    ["GET", "/nothing", "Error"],
    ["GET", "/series?match=%5B", "Error"],
    ["GET", "/series?limit=0", "Error"],
    ["GET", "/series?type=meter", "Error"],
    ["DELETE", "/series", "Error"],
    ["GET", "/explain", "Error"],
    ["GET", "/explain?line=a:1|c&listener=none", "Error"],
    ["POST", "/consensus", "Error", '{"consensus-command":["stop","unchanged"]}'],
    ["POST", "/consensus", "Error", "{"],
    ["GET", "/members", "Error"],
    ["POST", "/transfer", "Error", "{}"],
  ];
  for (const [method, path, schema, body] of questions) {
    const answer = await ask(daemon, path, { method, ...(body === undefined ? {} : { body }) });
    assert.match(answer.type, /^application\/json/, path);
    assert.deepEqual(schemaFaults(answer.value, SCHEMAS[schema]!, path), [], `${method} ${path}`);
    assert.equal(answer.status >= 400, schema === "Error", `${method} ${path}: ${answer.status}`);
  }
  assert.deepEqual((await ask(daemon, "/openapi.json")).value, JSON.parse(JSON.stringify(OPENAPI)));
  const stats = String((await ask(daemon, "/stats")).value.text);
  assert.match(stats, /^ingress [\d.]+ \d+\n/);
  assert.match(stats, /^slow-q-len [\d.]+ \d+$/m, "as the Rust bioyino calls it here");
  const status = (await ask(daemon, "/status")).value;
  assert.equal(status["consensus-status"], "paused");
  assert.equal(status["leader-status"], true);
  const clashes = (status.offenders as { clashes: { key: string }[] }).clashes;
  assert.deepEqual(
    clashes.map(({ key }) => key),
    ["app.a"],
  );
  await daemon.stop();
});

test("what one node alone cannot do is refused with the reason", async () => {
  const daemon = await startAggregator(io);
  const body = '{"consensus-command":["disable","disable"]}';
  const { status, value } = await ask(daemon, "/consensus", { method: "POST", body });
  assert.equal(status, 409);
  assert.match(String(value.error), /its own leader/);
  const long = await ask(daemon, "/consensus", { method: "POST", body: " ".repeat(100_000) });
  assert.deepEqual([long.status, typeof long.value.error], [413, "string"]);
  assert.equal((await ask(daemon, "/status", { method: "POST" })).status, 405);
  await daemon.stop();
});

test("a deleted series is not flushed", async () => {
  const carbon = await FakeCarbon.start();
  const daemon = await startAggregator(io, {
    carbon: `address[] = 127.0.0.1:${carbon.port}`,
    aggregator: `${LONG}\nsinks[] = carbon`,
  });
  await sendDatagrams(daemon.ports[0]!, ["app.keep:1|c\napp.gone:1|c\napp.gone:5|ms\napp.level:3|g"]);
  const found = await series(daemon, "app.**", 4);
  assert.deepEqual(found.map(({ key }) => key).sort(), ["app.gone", "app.gone", "app.keep", "app.level"]);
  const answer = await ask(daemon, "/series?match=app.gone&type=counter", { method: "DELETE" });
  assert.deepEqual(answer.value, { deleted: 1 });
  await series(daemon, "app.gone", 1);
  assert.deepEqual((await ask(daemon, "/series?match=/level/", { method: "DELETE" })).value, { deleted: 1 });
  assert.equal((await daemon.stop()).code, 0);
  const names = carbon.lines().map((line) => line.split(" ")[0]!);
  assert.ok(names.includes("app.keep"));
  assert.ok(names.includes("app.gone.count"));
  assert.deepEqual(
    names.filter((name) => name === "app.gone" || name === "app.level"),
    [],
  );
  await carbon.stop();
});

test("the last intervals can be looked at", async () => {
  const daemon = await startAggregator(io, { aggregator: "history = 50" });
  await sendDatagrams(daemon.ports[0]!, ["app.hits:4|c\napp.lat:3|ms\nother:1|c"]);
  let rows: unknown[] = [];
  await waitFor("the rows", async () => {
    const { value } = await ask(daemon, "/history?match=app.hits");
    rows = (value.intervals as { rows: unknown[] }[]).flatMap((interval) => interval.rows);
    return rows.length > 0;
  });
  assert.deepEqual(rows, [{ name: "app.hits", value: 4 }]);
  await daemon.stop();
});

test("with a token, what reveals or changes something asks for it, and nothing shows it", async () => {
  const token = "s3cret-t0ken";
  const daemon = await startAggregator(io, { aggregator: `${LONG}\nmanagement-token = ${token}` });
  await sendDatagrams(daemon.ports[0]!, ["app.a:1|c"]);
  for (const path of ["/status", "/stats", "/metrics", "/healthz", "/readyz", "/", "/openapi.json"]) {
    assert.equal((await ask(daemon, path)).status, 200, path);
  }
  assert.equal((await ask(daemon, "/status")).value.offenders, null);
  assert.notEqual((await ask(daemon, "/status", { token })).value.offenders, null);
  const guarded: readonly (readonly [string, string])[] = [
    ["GET", "/series"],
    ["DELETE", "/series?match=app.a"],
    ["GET", "/history"],
    ["GET", "/top"],
    ["GET", "/explain?line=a:1|c"],
    ["GET", "/config"],
    ["GET", "/tail"],
    ["POST", "/-/reload"],
    ["POST", "/consensus"],
  ];
  for (const [method, path] of guarded) {
    assert.equal((await ask(daemon, path, { method })).status, 401, path);
    assert.equal((await ask(daemon, path, { method, token: "s3cret-t0keN" })).status, 401, path);
    const status = (await ask(daemon, path, { method, token })).status;
    assert.ok(![401, 403].includes(status), `${path}: ${status}`);
  }
  const { value } = await ask(daemon, "/config", { token });
  assert.equal((value.settings as Record<string, string>)["aggregator.management-token"], "***");
  await daemon.stop();
  assert.ok(!daemon.output.join("\n").includes(token));
});

test("a reload takes over what can change, and says what waits for a restart", async () => {
  const daemon = await startAggregator(io, { aggregation: "counter = value" });
  const text = readFileSync(daemon.configPath, "utf8");
  writeFileSync(
    daemon.configPath,
    text.replace("counter = value", "counter = value rate").replace("interval = 200ms", "interval = 300ms"),
  );
  const { status, value } = await ask(daemon, "/-/reload", { method: "POST" });
  assert.equal(status, 200);
  assert.deepEqual(value.changed, [
    { path: "aggregator.interval", before: "200ms", after: "300ms", applies: "restart" },
    { path: "aggregation.counter", before: "value", after: "value rate", applies: "next interval" },
  ]);
  assert.equal(daemon.events("config.reloaded").length, 1);
  await waitFor("a rate", async () => {
    await sendDatagrams(daemon.ports[0]!, ["app.hits:4|c"]);
    const history = (await ask(daemon, "/history?match=app.hits.rate")).value;
    return (history.intervals as { rows: unknown[] }[]).some(({ rows }) => rows.length === 1);
  });
  writeFileSync(daemon.configPath, `${text}\n[aggregation]\nupdate-count-threshold = x\nnonsense = 1\n`);
  const refused = await ask(daemon, "/-/reload", { method: "POST" });
  assert.equal(refused.status, 409);
  assert.match(String(refused.value.message), /update-count-threshold.*nonsense/s);
  const settings = (await ask(daemon, "/config")).value.settings as Record<string, string>;
  assert.equal(settings["aggregation.counter"], "value rate");
  assert.equal(settings["aggregator.interval"], "200ms");
  assert.equal((await daemon.stop()).code, 0);
});
