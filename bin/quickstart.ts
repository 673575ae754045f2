/**
 * `npm start`: one relay and one aggregator on this machine, and a line to paste that shows them at work.
 */
import { connect } from "node:net";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { EXIT_START, EXIT_USAGE } from "../shared/errors.ts";
import { type Daemon, describeExit, type StartEvent, startDaemon } from "./daemon.ts";

const here = dirname(fileURLToPath(import.meta.url));
const DEFAULT_CONFIG = join(here, "..", "..", "config", "quickstart.ini");
/** Where the default configuration sends its rows. */
const CARBON = { host: "127.0.0.1", port: 2003 };
const READY_DEADLINE_MS = 15_000;
const READY_POLL_MS = 100;
const PARENT_POLL_MS = 1_000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Reads the command line. A relative path counts from where npm was called. */
function readConfigPath(): string {
  try {
    const { values } = parseArgs({ options: { config: { type: "string", short: "c" } } });
    return values.config === undefined ? DEFAULT_CONFIG : resolve(process.env.INIT_CWD ?? ".", values.config);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nusage: npm start -- [--config FILE]`);
    process.exit(EXIT_USAGE);
  }
}

function start(executable: string, startedEvent: string, config: string): Daemon {
  const onLine = (line: string): boolean => process.stdout.write(`${line}\n`);
  return startDaemon(join(here, executable), ["--config", config], { startedEvent, onLine });
}

/** Polls a daemon's readiness page. Returns undefined once it is ready, else the last answer. */
async function unreadiness(management: string): Promise<string | undefined> {
  const deadlineMs = performance.now() + READY_DEADLINE_MS;
  for (;;) {
    let answer: string;
    try {
      const response = await fetch(`http://${management}/readyz`, {
        signal: AbortSignal.timeout(READY_POLL_MS * 10),
      });
      answer = (await response.text()).trim();
      if (response.ok) return undefined;
    } catch (error) {
      answer = String(error);
    }
    if (performance.now() > deadlineMs) return answer;
    await delay(READY_POLL_MS);
  }
}

/** Whether something accepts TCP connections where the default configuration has carbon. */
function isCarbonThere(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(CARBON);
    const finish = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", () => finish(true)).once("error", () => finish(false));
  });
}

/** An address that a sender on this machine can use, out of one that is listened on. */
function reachable(address: string): { host: string; port: string } {
  const { hostname, port } = new URL(address.includes("://") ? address : `udp://${address}`);
  const host = hostname.replace(/[[\]]/g, "");
  return { host: host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host, port };
}

async function introduce(config: string, relay: StartEvent, aggregator: StartEvent): Promise<void> {
  const daemons = [
    ["statsrelay", relay],
    ["bioyino", aggregator],
  ] as const;
  say("");
  for (const [name, { listen, management }] of daemons) {
    say(`  ${name.padEnd(10)}  takes ${listen.join(", ")}`);
    if (management === "") continue;
    say(`              pages http://${management}/metrics  /readyz  /healthz`);
    const lack = await unreadiness(management);
    if (lack !== undefined) say(`              is not ready yet: ${lack}`);
  }
  if (config === DEFAULT_CONFIG) {
    const where = `${CARBON.host}:${CARBON.port}`;
    const state = (await isCarbonThere()) ? "and something listens there" : "where nothing listens yet";
    say(`  carbon      gets the rows at ${where}, ${state}`);
  }
  const target = relay.listen.find((address) => address.startsWith("udp") || !address.includes("://"));
  if (target !== undefined) {
    const { host, port } = reachable(target);
    say(`\nPaste this into another terminal:  echo 'hello:1|c' | nc -u -w1 ${host} ${port}`);
  }
  say("Ctrl-C stops both.\n");
}

const config = readConfigPath();
const aggregator = start("bioyino.js", "aggregator.started", config);
const relay = start("statsrelay.js", "relay.started", config);

let stopping: Promise<void> | undefined;

/** The relay goes first: its last lines still reach the aggregator, which flushes before it ends. */
function stopBoth(exitCode: number): Promise<void> {
  stopping ??= (async () => {
    await relay.stop();
    await aggregator.stop();
    process.exit(exitCode);
  })();
  return stopping;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stopBoth(0));

for (const [name, daemon] of Object.entries({ statsrelay: relay, bioyino: aggregator })) {
  void daemon.exited.then((exit) => {
    if (stopping !== undefined) return;
    console.error(`${name} ended (${describeExit(exit)}), see above; stopping the other`);
    return stopBoth(exit.code ?? EXIT_START);
  });
}

if (process.env.npm_lifecycle_event !== undefined) {
  // The shell that npm puts between does not hand SIGTERM on; that it is gone is the only sign.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) void stopBoth(0);
  }, PARENT_POLL_MS).unref();
}

try {
  const [relayStarted, aggregatorStarted] = await Promise.all([relay.started, aggregator.started]);
  await introduce(config, relayStarted, aggregatorStarted);
} catch (error) {
  // A daemon that ended was reported where its end is watched; anything else is ours.
  if (stopping === undefined) console.error(error);
  await stopBoth(EXIT_START);
}
