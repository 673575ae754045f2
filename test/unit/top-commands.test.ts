import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { runCommand } from "../../bin/relay-commands.ts";
import type { Placer } from "../../relay/command/placement.ts";
import type { RelayConfig } from "../../shared/config.ts";
import { type HttpRequest, jsonResponse, startHttp } from "../../shared/http.ts";
import { showName } from "../../shared/name-text.ts";
import { Terminal } from "../../shared/terminal/terminal.ts";

const folder = mkdtempSync(join(tmpdir(), "relay-commands-"));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Places a name by its length: enough to see which configuration was asked. */
function makePlacer({ destinations, hash, replicas }: RelayConfig): Placer {
  const ring = { name: "main", fingerprint: `f${destinations.length}`, hash, key: "name", replicas };
  return {
    rings: [{ ...ring, buckets: destinations.length, destinations }],
    place: (name) => {
      const given = showName(name);
      const bucket = name.length % destinations.length;
      const target = { ring: "main", fingerprint: ring.fingerprint, key: given, hash: "0", sentAs: given };
      const place = { buckets: destinations.length, bucket, destinations: [destinations[bucket]!], why: [] };
      return { given, targets: [{ ...target, ...place }] };
    },
  };
}

/** Runs a command and returns all that came of it. */
async function run(...argv: string[]): Promise<{ code: number | undefined; out: string; fault: string }> {
  let [out, fault] = ["", ""];
  const output = { write: (text: string) => (out += text) };
  const terminal = new Terminal(process.stdin, output, {});
  const writeError = (text: string): void => {
    fault += text;
  };
  const code = await runCommand(argv, { makePlacer, terminal, writeError });
  return { code, out, fault };
}

/** Serves one page as a relay would, while something is done. */
async function withPage(
  method: "GET" | "POST",
  path: string,
  answer: (request: HttpRequest) => readonly [status: number, value: unknown],
  act: (address: string) => Promise<void>,
): Promise<void> {
  const handler = (request: HttpRequest) => jsonResponse(...answer(request));
  const server = await startHttp({ host: "127.0.0.1", port: 0 }, [{ method, path, handler }], {
    error: () => {},
  });
  try {
    await act(server.address);
  } finally {
    await server.close();
  }
}

test("what is no subcommand is left to the relay", async () => {
  for (const argv of [[], ["10.0.0.1:8125"], ["-p", "9125"], ["explain:1"], ["help"]]) {
    assert.deepEqual(await run(...argv), { code: undefined, out: "", fault: "" });
  }
});

test("explain says where names go, as text and as JSON", async () => {
  const config = write("one.ini", "[relay]\ndestinations = 10.0.0.1:8125 10.0.0.2:8125\n");
  const text = await run("explain", "--config", config, "a:1|c", "\\xff\\xfe");
  assert.equal(text.code, 0);
  assert.match(text.out, /^name a\n {2}ring main \(f2\)\n.*destination {2}10\.0\.0\.2:8125\n/s);
  assert.match(text.out, /^name \\xff\\xfe$/m);
  const json = await run("explain", "--json", "--set", "destinations=h:1, h:2", "abcd");
  assert.equal(JSON.parse(json.out)[0].targets[0].destinations[0], "h:1");
});

test("ring prints fingerprints", async () => {
  const flags = ["--set", "destinations=h:1,h:2,h:3"];
  assert.equal((await run("ring", ...flags)).out, "main f3 hash=fnv1a-jump key=name buckets=3 replicas=1\n");
  assert.deepEqual(JSON.parse((await run("ring", "--json", ...flags)).out), { rings: { main: "f3" } });
});

test("diff takes files and lists, and --max decides the exit code", async () => {
  const file = write("two.ini", "[relay]\ndestinations = h:1 h:2\n");
  const names = write("names", "a\nbb\nccc\ndddd\n");
  const same = await run("diff", "--names", names, file, "h:1,h:2");
  assert.equal(same.code, 0);
  assert.match(same.out, /0 of 4 names move/);
  // Lengths 1, 2, 3, 4: buckets 1 0 1 0 of two, and 1 2 0 1 of three.
  const flags = ["--json", "--names", names, file, "h:1,h:2,h:3"];
  const allowed = await run("diff", "--max", "75", ...flags);
  assert.equal(allowed.code, 0);
  assert.equal(JSON.parse(allowed.out).rings[0].moved, 3);
  const refused = await run("diff", "--max", "74.9", ...flags);
  assert.equal(refused.code, 1);
  assert.match(refused.fault, /ring main: 75\.00 % of the names move; --max allows 74\.9 %/);
  const made = await run("diff", "--json", "--sample", "500", "h:1", "h:1,h:2");
  assert.equal(JSON.parse(made.out).rings[0].names, 500);
});

test("bad command lines exit with 2, bad configurations with 78, help with 0", async () => {
  for (const [argv, fault] of [
    [["explain"], /missing required argument 'name'/],
    [["explain", "a"], /no relay\.destinations/],
    [["explain", "--nope", "a"], /unknown option '--nope'/],
    [["explain", "--set", "hash", "a"], /Write KEY=VALUE/],
    [["explain", "--set", "hsah=x", "a"], /no such key of \[relay\]/],
    [["diff", "h:1"], /missing required argument 'new'/],
    [["diff", "h:1", "nofile"], /"nofile" is no file here, and as a destination it has no port/],
    [["diff", "h:1", "h:1,x"], /"x" has no port/],
    [["diff", "--sample", "0", "h:1", "h:1"], /whole number within 1\.\./],
    [["diff", "--max", "101", "h:1", "h:1"], /number within 0\.\.100/],
    [["top", "--seconds", "-1"], /number within/],
    [["top", "--management", "nowhere"], /"nowhere" is no address/],
    [["ring", "extra", "--set", "destinations=h:1"], /too many arguments/],
  ] as const) {
    const result = await run(...argv);
    assert.equal(result.code, 2, argv.join(" "));
    assert.match(result.fault, fault);
    assert.equal(result.out, "");
  }
  const bad = await run("ring", "--config", write("bad.ini", "[relay]\nnonsense = 1\n"));
  assert.equal(bad.code, 78);
  const help = await run("diff", "--help");
  assert.equal(help.code, 0);
  assert.match(help.out, /--max <percent>/);
});

test("status is shown for people, or as it is", async () => {
  const value = { ready: true, rings: { main: { up: 2, destinations: ["a:1", "b:1"] } }, evil: "\x1b[2J" };
  const listeners = [{ address: "udp://[::]:9125", lines: 7 }];
  await withPage(
    "GET",
    "/status",
    () => [200, { ...value, listeners }],
    async (address) => {
      const text = await run("status", "--management", address);
      assert.deepEqual([text.code, text.fault], [0, ""]);
      assert.deepEqual(text.out.split("\n"), [
        "ready  true",
        "rings",
        "  main",
        "    up            2",
        "    destinations  a:1 b:1",
        "evil   \\x1b[2J",
        "listeners",
        "  - address  udp://[::]:9125",
        "    lines    7",
        "",
      ]);
      const json = await run("status", "--json", "--management", address);
      assert.deepEqual(JSON.parse(json.out), { ...value, listeners });
    },
  );
});

test("reload prints the answer and exits with 1 when it was refused", async () => {
  const asked: (string | undefined)[][] = [];
  const answer = (request: HttpRequest) => {
    const isForced = request.query.get("force") === "1";
    asked.push([request.headers.authorization, String(isForced)]);
    const message = isForced ? "" : "more than 10 % move";
    return [isForced ? 200 : 409, { ok: isForced, moved: { main: 0.25 }, message }] as const;
  };
  await withPage("POST", "/-/reload", answer, async (address) => {
    const refused = await run("reload", "--management", address, "--token", "secret");
    assert.equal(refused.code, 1);
    assert.equal(refused.out, "refused: more than 10 % move\n  ring main: 25.00 % of its names move\n");
    const forced = await run("reload", "--management", address, "--force");
    assert.deepEqual([forced.code, forced.out], [0, "reloaded\n  ring main: 25.00 % of its names move\n"]);
    const config = write("pages.ini", `[relay]\nmanagement = ${address}\n`);
    assert.equal((await run("reload", "--config", config, "--force")).code, 0);
  });
  assert.deepEqual(asked[0], ["Bearer secret", "false"]);
  assert.deepEqual(asked[1], [undefined, "true"]);
});

test("a relay that is not there, or refuses in words, is exit code 1", async () => {
  let gone = "";
  await withPage(
    "GET",
    "/status",
    () => [200, {}],
    async (address) => {
      gone = address;
      const wrong = await run("reload", "--management", address);
      assert.equal(wrong.code, 1);
      assert.match(wrong.fault, /answers \/-\/reload with 404 "no such page"/);
    },
  );
  for (const command of ["status", "reload", "top"]) {
    const result = await run(command, "--management", gone);
    assert.equal(result.code, 1, command);
    assert.match(
      result.fault,
      /^statsrelay: no relay answers at 127\.0\.0\.1:\d+ \(ECONNREFUSED\); start one/,
    );
  }
});
