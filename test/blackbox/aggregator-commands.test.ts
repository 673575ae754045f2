/** The subcommands of bioyino against a running aggregator and against files: output and exit codes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams, startAggregator, type TestDaemon } from "../support/daemons.ts";
import { waitFor } from "../support/wait-for.ts";

const io = await chooseIo("auto");
const SCRIPT = fileURLToPath(new URL("../../bin/bioyino.js", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [SCRIPT, ...args], { env: { ...process.env, ...environment } });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr.on("data", (piece) => {
    stderr += piece;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

function query(daemon: TestDaemon, ...args: readonly string[]): Promise<Ended> {
  return run(["query", "-h", daemon.management, ...args]);
}

/** Writes a file that lives as long as the test. */
function fileOf(t: TestContext, name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "bioyino-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test("query asks each page, for people and as JSON", async () => {
  const daemon = await startAggregator(io, { aggregator: "interval = 1h" });
  await sendDatagrams(daemon.ports[0]!, ["app.a:1|c\napp.b:2|ms\nother:3|g"]);
  await waitFor("the series", async () => (await query(daemon, "series")).stdout.includes("3 series"));
  const listed = await query(daemon, "series", "app.**", "--type", "counter");
  assert.equal(listed.code, 0, listed.stderr);
  assert.match(listed.stdout, /^app\.a {2}counter {2}1 updates {2}value=1\n1 series\n$/);
  const asJson = await query(daemon, "--json", "series", "other");
  assert.deepEqual(
    (JSON.parse(asJson.stdout) as { series: { key: string }[] }).series.map(({ key }) => key),
    ["other"],
  );
  assert.match((await query(daemon, "status")).stdout, /^leader-status +true\nconsensus-status +disabled\n/);
  assert.match((await query(daemon, "stats")).stdout, /ingress-metric +\d/);
  assert.match((await query(daemon, "history")).stdout, /no interval was flushed yet/);
  assert.match((await query(daemon, "top")).stdout, /received +3\n/);
  assert.match((await query(daemon, "config")).stdout, /aggregator\.interval +1h\n/);
  assert.match((await query(daemon, "delete", "app.*")).stdout, /^deleted +2\n$/);
  assert.match((await query(daemon, "reload")).stdout, /^reloaded: nothing has changed\n$/);
  await daemon.stop();
});

test("consensus takes bioyino's words; what is refused ends with 1", async () => {
  const daemon = await startAggregator(io);
  assert.match((await query(daemon, "consensus", "paused")).stdout, /consensus-status +paused\n/);
  assert.match((await query(daemon, "consensus", "unpause", "enable")).stdout, /consensus-status +enabled\n/);
  const refused = await query(daemon, "consensus", "disable", "disable");
  assert.deepEqual([refused.code, refused.stdout], [1, ""]);
  assert.match(refused.stderr, /refuses \(409\): a node without a cluster/);
  assert.equal((await query(daemon, "consensus", "stop")).code, 2);
  await daemon.stop();
});

test("a reload that is refused shows every fault, and ends with 1", async () => {
  const daemon = await startAggregator(io);
  writeFileSync(daemon.configPath, "[aggregator]\ninterval = x\nthreads = y\n");
  const { code, stdout } = await query(daemon, "reload");
  assert.equal(code, 1);
  assert.match(stdout, /^refused: .*2 faults\n.*interval = x.*\n.*threads = y/);
  await daemon.stop();
});

test("the token comes by flag, file, environment or configuration", async (t) => {
  const daemon = await startAggregator(io, { aggregator: "management-token = t0ken" });
  const file = fileOf(t, "token", "t0ken\n");
  const config = fileOf(
    t,
    "client.ini",
    `[aggregator]\nmanagement = ${daemon.management}\nmanagement-token = t0ken\n`,
  );
  const without = await query(daemon, "series");
  assert.equal(without.code, 1);
  assert.match(without.stderr, /refuses \(401\): the bearer token is missing or wrong/);
  assert.equal((await query(daemon, "--token", "wrong", "series")).code, 1);
  assert.equal((await query(daemon, "--token", "t0ken", "series")).code, 0);
  assert.equal((await query(daemon, "--token-file", file, "series")).code, 0);
  assert.equal((await query(daemon, "--token-file", "/no/such/file", "series")).code, 2);
  const host = ["query", "-h", daemon.management, "series"];
  assert.equal((await run(host, { BIOYINO_TOKEN: "t0ken" })).code, 0);
  assert.equal((await run(["query", "--config", config, "series"])).code, 0);
  assert.equal((await run(["-c", config, "query", "series"])).code, 0);
  assert.equal((await run(["top", "-c", config, "--once"])).code, 0);
  const tail = await run(["tail", "-h", daemon.management, "**", "--seconds", "5"]);
  assert.deepEqual([tail.code, tail.stdout], [1, ""]);
  assert.match(tail.stderr, /refuses the tail \(401\): the bearer token is missing or wrong/);
  await daemon.stop();
});

test("tail prints lines until it has enough", async () => {
  const daemon = await startAggregator(io);
  let ended: Ended | undefined;
  const running = run(["tail", "-h", daemon.management, "app.*", "-n", "2"]).then((one) => {
    ended = one;
  });
  await waitFor("two lines", async () => {
    await sendDatagrams(daemon.ports[0]!, ["app.hits:2|c\nother:1|c"]);
    return ended !== undefined;
  });
  await running;
  assert.equal(ended!.code, 0, ended!.stderr);
  assert.match(ended!.stdout, /^(?:[\d:.]{12} app\.hits counter \+\d+(?: \(\d+ samples\))?\n){2}$/);
  await daemon.stop();
});

test("top prints one screen for what is no terminal", async () => {
  const daemon = await startAggregator(io, { aggregator: "interval = 1h\nseries-per-prefix-max = 10" });
  await sendDatagrams(daemon.ports[0]!, ["app.web.a:1|c\napp.web.b:1|c\nx:1|c"]);
  await waitFor("the series", async () => (await query(daemon, "series")).stdout.includes("3 series"));
  const { code, stdout, stderr } = await run(["top", "-h", daemon.management, "--once"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^bioyino 127\.0\.0\.1:\d+ .*\nlines /);
  assert.match(stdout, /\napp\.web +2 +66\.7% +0\n/);
  assert.match(stdout, /\nconsole +/);
  assert.ok(!stdout.includes("\x1b"));
  const asJson = await run(["top", "-h", daemon.management, "--json", "--seconds", "0"]);
  assert.equal((JSON.parse(asJson.stdout) as { openSeries: number }).openSeries, 3);
  await daemon.stop();
});

test("nobody there ends with 1, a bad command line with 2, a bad configuration with 78", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(server.address() as { port: number }).port}`;
  await new Promise((resolve) => server.close(resolve));
  const broken = fileOf(t, "broken.ini", "[aggregator]\ninterval = x\n");
  for (const args of [
    ["query", "-h", address, "status"],
    ["top", "-h", address, "--once"],
  ]) {
    const { code, stderr } = await run(args);
    assert.equal(code, 1, args.join(" "));
    assert.match(stderr, /no aggregator answers at .*ECONNREFUSED/);
  }
  const tail = await run(["tail", "-h", address]);
  assert.deepEqual([tail.code, tail.stdout], [1, ""]);
  assert.match(tail.stderr, /no aggregator answers at .*ECONNREFUSED/);
  const usages = [
    ["query"],
    ["query", "-h", "nowhere", "status"],
    ["query", "-h", address, "series", "["],
    ["query", "-h", address, "series", "--type", "meter"],
    ["query", "-h", address, "delete"],
    ["query", "-h", address, "--token", "two words", "series"],
    ["tail", "-h", address, "["],
    ["explain"],
    ["top", "--seconds", "x"],
  ];
  for (const args of usages) assert.equal((await run(args)).code, 2, args.join(" "));
  for (const args of [["explain", "a:1|c"], ["check"], ["query", "status"]]) {
    const [command = "", ...rest] = args;
    assert.equal((await run([command, "-c", broken, ...rest])).code, 78, args.join(" "));
  }
});

test("explain says what becomes of a line; one that is dropped ends with 1", async (t) => {
  const config = fileOf(t, "a.ini", "[aggregation]\ncounter = value rate\n[naming.counter]\nprefix = site\n");
  const good = await run(["explain", "-c", config, "app.hits:3|c|@0.5"]);
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /site\.app\.hits +6 {2}\(value\)\n.*site\.app\.hits\.rate +0\.2 {2}\(rate\)/);
  const bad = await run(["explain", "--json", "a:1|c", "a:x|c"]);
  assert.equal(bad.code, 1);
  const { lines } = JSON.parse(bad.stdout) as { lines: { accepted: boolean; reason?: string }[] };
  assert.deepEqual(
    lines.map(({ accepted, reason }) => [accepted, reason]),
    [
      [true, undefined],
      [false, "bad_value"],
    ],
  );
});

test("check finds what this machine lacks, all of it at once", async (t) => {
  const good = fileOf(t, "good.ini", "[aggregator]\nlisten = udp://127.0.0.1:8125\n");
  assert.deepEqual(await run(["check", "-c", good]), { code: 0, stdout: "ok\n", stderr: "" });
  const text = `[aggregator]
listen[] = udp://203.0.113.7:8125
listen[] = unix:///no/such/folder/s.sock
sinks = carbon file
[carbon]
spool-dir = /no/such/folder/spool
bind-address = 203.0.113.8
[file]
path = /no/such/folder/rows.tsv
[listener.tls]
listen = tls://127.0.0.1:8126
tls-cert = /no/such/cert.pem
tls-key = /no/such/key.pem
`;
  const { code, stderr } = await run(["check", "-c", fileOf(t, "bad.ini", text)]);
  assert.equal(code, 78);
  assert.match(stderr, /: 7 faults\n/);
  for (const part of [
    "203.0.113.7",
    "s.sock",
    "spool-dir",
    "203.0.113.8",
    "file.path",
    "cert.pem",
    "key.pem",
  ]) {
    assert.ok(stderr.includes(part), `${part} in ${stderr}`);
  }
});
