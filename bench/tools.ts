/**
 * The programs beside the daemons: senders, receivers, and the least that a relay or an aggregator must do.
 * C sources are compiled where there are some and a compiler; own-*.ts stand in with the same arguments and
 * output otherwise. For TCP there are no C sources, so these are always ours.
 *
 *   gso            port seconds packetsPerSecond series metricsPerPacket types   sends
 *   sink           firstPort count idleSeconds                                   receives and counts lines
 *   floor          port firstOutPort count                                       receives, copies, sends
 *   rfloor         port                                                          receives
 *   tcp-source     as gso, over one connection
 *   tcp-sink       as sink
 *   tcp-in-floor   as floor, TCP in and UDP out
 *   tcp-out-floor  as floor, UDP in and TCP out
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { endWithProcess } from "./end-with-process.ts";

const C_TOOLS = ["gso", "sink", "floor", "rfloor"] as const;
const TCP_TOOLS = ["tcp-source", "tcp-sink", "tcp-in-floor", "tcp-out-floor"] as const;
export type ToolName = (typeof C_TOOLS)[number] | (typeof TCP_TOOLS)[number];

/** The JSON line that a tool prints at its end; fail counts refused sends. */
export interface ToolOutput {
  readonly packets: number;
  readonly metrics?: number;
  readonly pps?: number;
  readonly fail?: number;
}

/** A tool that runs. */
export interface Tool {
  readonly pid: number;
  /** Resolves when the tool has ended by itself; rejects when it failed or was killed. */
  readonly output: Promise<ToolOutput>;
  kill(): void;
}

export interface Tools {
  /** `C` or `TypeScript`: the language of a tool. */
  languageOf(name: ToolName): string;
  start(name: ToolName, args: readonly (number | string)[]): Tool;
  /** Removes what was compiled. */
  close(): void;
}

/** Stand-ins, relative to this file. */
const OWN_TOOLS: Readonly<Record<ToolName, string>> = {
  gso: "./own-gso.js",
  sink: "./own-sink.js",
  floor: "./own-floor.js",
  rfloor: "./own-rfloor.js",
  "tcp-source": "./own-tcp-source.js",
  "tcp-sink": "./own-tcp-sink.js",
  "tcp-in-floor": "./own-tcp-in-floor.js",
  "tcp-out-floor": "./own-tcp-out-floor.js",
};

const here = dirname(fileURLToPath(import.meta.url));
const top = join(here, "..", "..");

/**
 * Compiles the C tools, or falls back to our own. folder: where the sources are; without it STATSD_TOOLS and
 * ../shared/tools beside the checkout are tried. say: takes one line on what was chosen.
 * Throws when a folder was asked for and cannot serve.
 */
export function findTools(folder: string | undefined, say: (line: string) => void): Tools {
  const asked = folder ?? process.env.STATSD_TOOLS;
  const sources = asked ?? join(top, "..", "shared", "tools");
  const missing = C_TOOLS.filter((name) => !existsSync(join(sources, `${name}.c`)));
  const built = missing.length === 0 ? compile(sources) : `${sources} lacks ${missing.join(".c, ")}.c`;
  if (typeof built !== "string") return built;
  if (asked !== undefined) throw new Error(built);
  say(`tools: our own in TypeScript (${built})`);
  return { languageOf: () => "TypeScript", start: startOwn, close: () => {} };
}

function startOwn(name: ToolName, args: readonly (number | string)[]): Tool {
  return start(process.execPath, [join(here, OWN_TOOLS[name]), ...args.map(String)]);
}

function isC(name: ToolName): boolean {
  return C_TOOLS.some((one) => one === name);
}

function compile(sources: string): Tools | string {
  const out = mkdtempSync(join(tmpdir(), "statsd-tools-"));
  const close = (): void => rmSync(out, { recursive: true, force: true });
  for (const name of C_TOOLS) {
    const args = ["-O2", "-w", "-o", join(out, name), join(sources, `${name}.c`)];
    const { status, error, stderr } = spawnSync("cc", args, { encoding: "utf8" });
    if (status === 0) continue;
    close();
    return error === undefined ? `cc failed: ${stderr.trim().split("\n")[0]}` : "there is no C compiler";
  }
  return {
    languageOf: (name) => (isC(name) ? "C" : "TypeScript"),
    start: (name, args) => (isC(name) ? start(join(out, name), args.map(String)) : startOwn(name, args)),
    close,
  };
}

function start(command: string, args: readonly string[]): Tool {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  const kill = (): void => void child.kill("SIGKILL");
  child.once("close", endWithProcess(kill));
  const output = new Promise<ToolOutput>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve(JSON.parse(text));
      else reject(new Error(`${command} ended with ${signal ?? `code ${code}`}`));
    });
  });
  // A tool that is killed on purpose has nobody who waits for its output.
  output.catch(() => {});
  return { pid: child.pid ?? 0, output, kill };
}
