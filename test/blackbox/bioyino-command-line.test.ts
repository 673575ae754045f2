/** The command line of bioyino: its flags, exit codes, `import`, and what signals do. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startDaemon } from "../../bin/daemon.ts";
import { startAggregator } from "../support/daemons.ts";
import { RowFile } from "../support/row-file.ts";
import { waitFor } from "../support/wait-for.ts";

const executable = fileURLToPath(new URL("../../bin/bioyino.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "bioyino-flags-"));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function percentiles(count: number): string {
  return Array.from({ length: count }, (_, index) => `percentile-${index + 1}.5`).join(" ");
}

interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...args: readonly string[]): Answer {
  const { status, stdout, stderr } = spawnSync(process.execPath, [executable, ...args], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, stdout, stderr };
}

const good = write("good.ini", "[aggregator]\nmanagement = 127.0.0.1:1\n[log]\nlevel = warn\n");
const many = write("many.ini", `[aggregation]\ntimer = ${percentiles(300)}\n`);
const odd = write("odd.ini", "[idle]\nset = 1s\n");
const bad = write("bad.ini", "[aggregator]\nsinks = graphite\nthreads = 0\n");
const toml = write(
  "node.toml",
  '[network]\nlisten = "127.0.0.1:8125"\n[carbon]\naddress = "10.0.0.1:2003"\n',
);

/** Command lines, their exit codes, and what they say: on standard output, then on standard error. */
const CASES: readonly (readonly [args: readonly string[], status: number, out: RegExp, error: RegExp])[] = [
  [["--version"], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
  [["-V"], 0, /^\d+\.\d+\.\d+\n$/, /^$/],
  [["--help"], 0, /Usage: bioyino.*query.*import/s, /^$/],
  [["--check-config"], 0, /^ok\n$/, /^$/],
  [["-c", good, "--check-config"], 0, /^ok\n$/, /^$/],
  [
    ["-c", odd, "--check-config"],
    0,
    /^ok\n$/,
    /^bioyino: warning: idle\.set is shorter than aggregator\.interval/,
  ],
  [
    ["-c", bad, "--check-config"],
    78,
    /^$/,
    /bad\.ini: 2 faults\n {2}line 2: .*graphite.*\n {2}line 3: .*threads/s,
  ],
  [["-c", many, "--check-config"], 78, /^$/, /aggregat/],
  [["-c", bad, "--print-config"], 78, /^$/, /2 faults/],
  [["-c", join(folder, "none.ini")], 78, /^$/, /none\.ini: cannot be read \(ENOENT\)/],
  [
    ["-c", toml, "--check-config"],
    78,
    /^$/,
    /^bioyino: .*\.toml: line 1: .*; bioyino import FILE > suite\.ini .*\n$/,
  ],
  [["-c", good, "--print-config"], 0, /level = warn.*management = 127\.0\.0\.1:1/s, /^$/],
  [["-c", good, "-v", "trace", "-f", "--print-config"], 0, /^\[log\]\nlevel = debug\n/, /^$/],
  [["-v", "trace", "--log-level", "info", "--print-config"], 0, /^\[log\]\nlevel = info\n/, /^$/],
  [["-v", "loud", "--check-config"], 2, /^$/, /-v: "loud" is unknown/],
  [["--frob"], 2, /^$/, /unknown option '--frob'/],
  [["frob"], 2, /^$/, /^bioyino: frob is no command; choose from query, tail/],
  [["--check-config", "frob"], 2, /^$/, /too many arguments/],
  [["import"], 2, /^$/, /missing required argument 'file'/],
  [["import", "config.js"], 78, /^$/, /config\.js: is JavaScript/],
  [["import", join(folder, "none.toml")], 78, /^$/, /none\.toml: cannot be read/],
  [
    ["import", write("bad.toml", "bufsize = 1\nfoo = 2")],
    78,
    /^$/,
    /bad\.toml: 2 faults\n {2}bufsize.*\n {2}foo/s,
  ],
  // The file may be named before the command and behind it.
  [["-c", good, "query", "status"], 1, /^$/, /127\.0\.0\.1:1/],
  [["query", "status", "-c", good], 1, /^$/, /127\.0\.0\.1:1/],
  [["query", "--host", "127.0.0.1:1x", "status"], 2, /^$/, /--host/],
  [["-c", bad, "query", "status"], 78, /^$/, /2 faults/],
];

for (const [args, status, out, error] of CASES) {
  test(`bioyino ${args.map((arg) => arg.replace(`${folder}/`, "")).join(" ")}`, () => {
    const answer = run(...args);
    assert.equal(answer.status, status, answer.stderr);
    assert.match(answer.stdout, out);
    assert.match(answer.stderr, error);
  });
}

test("what import prints is a configuration", () => {
  const { status, stdout } = run("import", toml);
  assert.equal(status, 0);
  const path = write("imported.ini", stdout);
  assert.deepEqual(run("--check-config", "-c", path), { status: 0, stdout: "ok\n", stderr: "" });
  assert.match(run("--print-config", "-c", path).stdout, /address\[\] = 10\.0\.0\.1:2003/);
});

test("what is printed is a configuration, and the same one", () => {
  const printed = run("--print-config", "-c", good).stdout;
  const path = write("printed.ini", printed);
  assert.equal(run("--print-config", "-c", path).stdout, printed);
});

test("SIGHUP makes it read its file again, and a bad file changes nothing", async () => {
  const aggregator = await startAggregator("mmsg", { aggregation: "counter = value" });
  const text = readFileSync(aggregator.configPath, "utf8");
  const reloads = (event: string): number => aggregator.events(event).length;
  writeFileSync(aggregator.configPath, text.replace("counter = value", "counter = rate"));
  aggregator.signal("SIGHUP");
  await waitFor("the reload", () => reloads("config.reloaded") === 1);
  const [event] = aggregator.events("config.reloaded");
  assert.match(JSON.stringify(event), /aggregation\.counter/);
  writeFileSync(aggregator.configPath, text.replace("counter = value", "counter = velocity"));
  aggregator.signal("SIGHUP");
  await waitFor("the refusal", () => aggregator.output.some((line) => line.includes("velocity")));
  assert.equal(reloads("config.reloaded"), 1);
  assert.deepEqual(await aggregator.stop(), { code: 0, signal: null });
});

test("SIGTERM while it starts loses nothing that was received", async () => {
  const [rows, socket] = [new RowFile(), join(folder, "early.sock")];
  const listen = [`unix://${socket}`, ...new Array<string>(8).fill("udp://127.0.0.1:0")];
  const keys = [...listen.map((address) => `listen[] = ${address}`), "sinks[] = file", "management ="];
  const path = write("early.ini", `[aggregator]\n${keys.join("\n")}\n[file]\n${rows.config}\n`);
  const daemon = startDaemon(executable, ["-c", path], { startedEvent: "aggregator.started", onLine() {} });
  await waitFor("the first listener", () => existsSync(socket));
  const client = connect(socket);
  client.end("early:1|c\n");
  await once(client.resume(), "close");
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
  assert.ok(rows.sums().has("early"));
  rows.remove();
});
