/** A relay of its own for each test of its options, with receivers that are closed behind the test. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { startDaemon } from "../../bin/daemon.ts";
import { chooseIo } from "../../shared/udp.ts";
import { type Io, type Metrics, sendDatagrams, startRelayByFile, TestDaemon } from "./daemons.ts";
import { UdpSink } from "./udp-sink.ts";
import { waitFor } from "./wait-for.ts";

/** Ways of moving datagrams that work here. */
export const KINDS: readonly Io[] =
  (await chooseIo("auto")) === "mmsg" ? (["mmsg", "dgram"] as const) : (["dgram"] as const);
/** The one that a relay chooses by itself. */
export const IO: Io = KINDS[0]!;

const STATSRELAY = fileURLToPath(new URL("../../bin/statsrelay.js", import.meta.url));
const LINES_PER_DATAGRAM = 20;
const COMMAND_TIMEOUT_MS = 20_000;
const STAGES = ["intake", "routing", "output"];

/** Opens receivers on free ports of 127.0.0.1. */
export async function openSinks(t: TestContext, count: number): Promise<UdpSink[]> {
  const sinks = await Promise.all(Array.from({ length: count }, () => UdpSink.open()));
  t.after(() => Promise.all(sinks.map((sink) => sink.close())));
  return sinks;
}

/** Opens one receiver. */
export async function openSink(t: TestContext): Promise<UdpSink> {
  return (await openSinks(t, 1))[0]!;
}

/** Makes a folder that is removed behind the test. */
export function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "relay-rig-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Lines of a configuration that name receivers, in order. */
export function named(sinks: readonly { readonly destination: string }[]): string {
  return sinks.map(({ destination }) => `destinations[] = ${destination}`).join("\n");
}

/** Starts a relay by a file; see startRelayByFile. It is stopped behind the test. */
export async function startWith(
  t: TestContext,
  keys: string,
  io: Io = IO,
): Promise<TestDaemon & { readonly configPath: string }> {
  const relay = await startRelayByFile(io, keys);
  t.after(() => relay.stop());
  return relay;
}

/** Starts a relay by a command line alone. environment: further variables. It is stopped behind the test. */
export async function startByCommand(
  t: TestContext,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<TestDaemon> {
  const output: string[] = [];
  const daemon = startDaemon(STATSRELAY, args, {
    startedEvent: "relay.started",
    environment,
    onLine: (line) => void output.push(line),
  });
  t.after(() => daemon.stop());
  const { listen, management } = await daemon.started.catch((error: unknown) => {
    throw new Error(`${String(error)}\n${output.join("\n")}`);
  });
  return new TestDaemon(daemon, output, listen, management, newFolder(t));
}

/** Runs the executable to its end, which must come by itself. */
export function runCommand(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): { readonly code: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [STATSRELAY, ...args], {
    encoding: "utf8",
    timeout: COMMAND_TIMEOUT_MS,
    env: { ...process.env, ...environment },
  });
  return { code: status, stdout, stderr };
}

/** Sends lines to the first listener, several in each datagram. */
export async function sendLines(relay: TestDaemon, lines: readonly string[]): Promise<void> {
  const count = Math.ceil(lines.length / LINES_PER_DATAGRAM);
  const datagrams = Array.from({ length: count }, (_, index) =>
    lines.slice(index * LINES_PER_DATAGRAM, (index + 1) * LINES_PER_DATAGRAM).join("\n"),
  );
  await sendDatagrams(relay.ports[0]!, datagrams);
}

/**
 * Waits until so many lines have come in and none is unaccounted for: at the intake, in routing, behind it.
 * lines: since the start of the relay.
 */
export async function closeBooks(relay: TestDaemon, lines: number): Promise<Metrics> {
  const metrics = await relay.until(`closed books of ${lines} lines`, (now) => {
    const isAll = now.sum("statsrelay_lines_received_total") >= lines;
    const errors = STAGES.map((stage) => now.sum("statsrelay_conservation_error", `stage="${stage}"`));
    return isAll && errors.every((error) => error === 0);
  });
  assert.equal(metrics.sum("statsrelay_lines_received_total"), lines);
  assert.equal(
    metrics.sum("statsrelay_lines_accepted_total") + metrics.sum("statsrelay_lines_dropped_total"),
    lines,
  );
  return metrics;
}

/** Lines dropped for a reason. */
export function dropped(metrics: Metrics, reason: string): number {
  return metrics.sum("statsrelay_lines_dropped_total", `reason="${reason}"`);
}

/** Waits for an event of the relay's log, the first that satisfies the condition, and returns its fields. */
export async function eventOf(
  relay: TestDaemon,
  name: string,
  condition: (fields: Record<string, unknown>) => boolean = () => true,
): Promise<Record<string, unknown>> {
  await waitFor(name, () => relay.events(name).some(condition));
  return relay.events(name).find(condition)!;
}

/** Connects to a port of 127.0.0.1, or to a path. Faults of the connection are the test's own play. */
export async function connectTo(t: TestContext, where: number | string): Promise<Socket> {
  const socket = typeof where === "number" ? connect(where, "127.0.0.1") : connect(where);
  t.after(() => socket.destroy());
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.on("error", () => {});
  socket.resume();
  return socket;
}

/** Returns a TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}
