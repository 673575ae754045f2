/** bioyino as somebody meets it who does not know it: help, mistakes, faults that only a start shows. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("../../bin/bioyino.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "bioyino-newcomer-"));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; one that goes on is killed, which leaves no exit code. */
function run(args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [SCRIPT, ...args], { timeout: 10_000, killSignal: "SIGKILL" });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (piece) => {
    stdout += piece;
  });
  child.stderr.on("data", (piece) => {
    stderr += piece;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
}

test("help is there under every name", async () => {
  const cases: readonly (readonly [args: readonly string[], out: RegExp])[] = [
    [["help"], /^Usage: bioyino \[options\] \[command\]/],
    [["help", "query"], /^Usage: bioyino query /],
    [["query", "help", "series"], /^Usage: bioyino query series /],
    [["explain", "-h"], /--listener/],
  ];
  const answers = await Promise.all(cases.map(([args]) => run(args)));
  for (const [index, [args, out]] of cases.entries()) {
    const { code, stdout, stderr } = answers[index]!;
    assert.deepEqual([code, stderr], [0, ""], args.join(" "));
    assert.match(stdout, out);
  }
});

test("a mistake is told in one line by the program's name, and ends with 2", async () => {
  const cases: readonly (readonly [args: readonly string[], fault: RegExp])[] = [
    [["query", "frob"], /^bioyino: unknown command 'frob'/],
    [["query", "-h"], /^bioyino: option '-h, --host <host:port>' argument missing\n$/],
    [["query", "consensus", "frob"], /^bioyino: .*Choose one of enable/],
    [["query", "--token-file", "/", "status"], /^bioyino: --token-file: \/ cannot be read \(EISDIR\)\n$/],
    [["tail", "-n", "0"], /^bioyino: .*Choose a whole number/],
    [["explain", "--listener", "none", "a:1|c"], /^bioyino: there is no listener "none"; name one of aggreg/],
  ];
  const answers = await Promise.all(cases.map(([args]) => run(args)));
  for (const [index, [args, fault]] of cases.entries()) {
    const { code, stdout, stderr } = answers[index]!;
    assert.deepEqual([code, stdout], [2, ""], `${args.join(" ")}: ${stderr}`);
    assert.match(stderr, fault, args.join(" "));
  }
});

test("a port that HTTP clients refuse to ask is told as such", async () => {
  const { code, stdout, stderr } = await run(["query", "-h", "127.0.0.1:6000", "status"]);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /^bioyino: no aggregator answers at 127\.0\.0\.1:6000 \(HTTP clients refuse/);
});

test("what --print-config prints of a preset is read again without a warning, as the same", async () => {
  const presets = ["etsy", "etsy-legacy", "veneur", "prometheus"];
  const printOf = async (name: string, text: string): Promise<Ended> => {
    const path = join(folder, `${name}.ini`);
    writeFileSync(path, text);
    return run(["--config", path, "--print-config"]);
  };
  const once = await Promise.all(presets.map((name) => printOf(name, `[aggregation]\nnaming = ${name}\n`)));
  const again = await Promise.all(presets.map((name, index) => printOf(name, once[index]!.stdout)));
  for (const [index, name] of presets.entries()) {
    assert.match(once[index]!.stdout, /^timer = \S/m);
    assert.equal(again[index]!.stdout, once[index]!.stdout, name);
  }
  const checks = presets.map((name) => run(["--config", join(folder, `${name}.ini`), "--check-config"]));
  for (const check of await Promise.all(checks)) {
    assert.deepEqual(check, { code: 0, stdout: "ok\n", stderr: "" });
  }
});

/** Opens no port that somebody else may have. */
const LOOPBACK = "[aggregator]\nlisten = udp://127.0.0.1:0\nmanagement = 127.0.0.1:0\n";

test("what is wrong with a configuration ends the start with 78, the rest with 1, in words", async () => {
  const cases: readonly (readonly [text: string, code: number, fault: RegExp])[] = [
    [`${LOOPBACK}memory-limit = 100m\n`, 78, /memory-limit = 100m: is too little: .*choose at least \d+m/],
    [`${LOOPBACK}sinks = file\n`, 78, /file\.path is empty/],
    [`${LOOPBACK}[carbon]\nformat = pickle\nprotocol = udp\n`, 78, /carbon\.format = pickle/],
    ["[aggregator]\nlisten = tls://127.0.0.1:0\n", 78, /needs tls-cert and tls-key/],
    ["[aggregator]\nlisten = tcp://127.0.0.1:0\nhmac-key-file = /k\n", 78, /signs datagrams/],
    [
      `${LOOPBACK}hmac-key-file = /no/such/key\n`,
      1,
      /hmac-key-file \/no\/such\/key cannot be read \(ENOENT\)/,
    ],
    [`${LOOPBACK}[carbon]\nspool-dir = /proc/none\n`, 1, /carbon\.spool-dir is \/proc\/none/],
    ["[aggregator]\nlisten = udp://203.0.113.9:1\nmanagement =\n", 1, /does not have the address/],
  ];
  const answers = await Promise.all(
    cases.map(([text], index) => {
      const path = join(folder, `${index}.ini`);
      writeFileSync(path, text);
      return run(["--config", path]);
    }),
  );
  for (const [index, [text, code, fault]] of cases.entries()) {
    const answer = answers[index]!;
    assert.equal(answer.code, code, `${text}${answer.stderr}`);
    assert.match(answer.stderr, /^bioyino: /, text);
    assert.match(answer.stderr, fault, text);
    assert.doesNotMatch(answer.stderr, /^ +at /m, text);
  }
});
