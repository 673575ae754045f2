// A terminal that its user stops with Ctrl-S: the process goes on with everything else, and can end.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ConsoleReading } from "../support/console-child.ts";
import { waitFor } from "../support/wait-for.ts";

const CHILD = fileURLToPath(new URL("../support/console-child.js", import.meta.url));
const CTRL_S = "\x13";
const CTRL_Q = "\x11";
const hasTerminals = spawnSync("script", ["--version"]).error === undefined;
if (!hasTerminals) console.error("SKIPPED: the console sink was NOT tried on a terminal, script is missing");

/** Runs the child on a terminal of its own, whose keys are the standard input of `script`. */
class Terminal {
  readonly #folder = mkdtempSync(join(tmpdir(), "terminal-"));
  readonly #path = join(this.#folder, "readings");
  readonly #script: ChildProcess;
  readonly exited: Promise<unknown>;
  bytesShown = 0;

  constructor() {
    const command = `exec ${process.execPath} ${CHILD} ${this.#path}`;
    this.#script = spawn("script", ["-qefc", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
    this.#script.stdout!.on("data", (data: Buffer) => {
      this.bytesShown += data.length;
    });
    this.exited = once(this.#script, "exit");
  }

  press(key: string): void {
    this.#script.stdin!.write(key);
  }

  /** The latest reading; undefined before the first. */
  reading(): ConsoleReading | undefined {
    if (!existsSync(this.#path)) return undefined;
    const line = readFileSync(this.#path, "utf8").split("\n").at(-2);
    return line === undefined ? undefined : (JSON.parse(line) as ConsoleReading);
  }

  /** Waits for a reading as wanted; none may leave a row unaccounted for. */
  async until(what: string, isWanted: (reading: ConsoleReading) => boolean): Promise<ConsoleReading> {
    await waitFor(what, () => {
      const reading = this.reading();
      return reading !== undefined && isWanted(reading);
    });
    const reading = this.reading()!;
    const { accepted, sent, queued, unwritable, shutdown } = reading;
    assert.equal(accepted, sent + queued + unwritable + shutdown, JSON.stringify(reading));
    return reading;
  }

  async end(): Promise<unknown> {
    process.kill(this.reading()!.pid, "SIGTERM");
    const [code] = (await this.exited) as [number | null];
    return code;
  }

  remove(): void {
    this.#script.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true });
  }
}

test("a stopped terminal holds up nothing; started again, it gets what is new", {
  skip: !hasTerminals,
}, async () => {
  const terminal = new Terminal();
  try {
    await terminal.until("rows on the terminal", ({ sent }) => sent > 0);
    terminal.press(CTRL_S);
    const stopped = await terminal.until("tables that nobody sees", ({ unwritable }) => unwritable > 0);
    await terminal.until("life beside it", ({ accepted }) => accepted >= stopped.accepted + 20_000);
    assert.equal(terminal.reading()!.sent, stopped.sent);
    terminal.press(CTRL_Q);
    const { accepted } = terminal.reading()!;
    await terminal.until("rows that are new", ({ sent, queued, unwritable }) => {
      return sent > stopped.sent && sent + queued + unwritable > accepted;
    });
    terminal.press(CTRL_S);
    await terminal.until("a second stop", ({ queued }) => queued > 4000);
    assert.equal(await terminal.end(), 0);
    assert.ok(terminal.reading()!.shutdown > 0);
    assert.ok(terminal.bytesShown > 0);
  } finally {
    terminal.remove();
  }
});
