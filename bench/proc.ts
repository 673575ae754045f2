/** What Linux knows of a process and of its sockets. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Ticks a second of the times in /proc; USER_HZ is 100 wherever Node runs. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;
const POLL_MS = 20;
/** A process that uses less than this share of a processor for QUIET_MS is idle. */
const IDLE_SHARE_MAX = 0.02;
const QUIET_MS = 200;

/**
 * CPU time of all threads of a process, user and system, in seconds. The account of the scheduler is read
 * where the system keeps one: it is what /proc/PID/stat shows rounded to 10 ms.
 */
export function readCpuSeconds(pid: number): number {
  if (!hasSchedstat) return readStatSeconds(pid);
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.reduce((sum, task) => sum + readTaskSeconds(pid, task), 0);
}

const hasSchedstat = existsSync("/proc/self/schedstat");

function readTaskSeconds(pid: number, task: string): number {
  return Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]) / 1e9;
}

function readStatSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name in parentheses may hold blanks, so columns are counted behind it: utime is the 14th of all.
  const columns = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(columns[11]) + Number(columns[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process in bytes. */
export function readRssBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
}

/** Datagrams dropped at the IPv4 sockets bound to a port; undefined when there is none. */
export function readUdpDrops(port: number): number | undefined {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = readFileSync("/proc/net/udp", "latin1")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(wanted));
  return rows.length === 0 ? undefined : rows.reduce((sum, columns) => sum + Number(columns.at(-1)), 0);
}

const TCP_LISTEN = "0A";
const TCP_ESTABLISHED = "01";

/** Ports of the IPv4 TCP sockets in a state: of this end, or of the other. */
function tcpPorts(state: string, end: "local" | "remote"): number[] {
  return readFileSync("/proc/net/tcp", "latin1")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[3] === state)
    .map((columns) => Number.parseInt(columns[end === "local" ? 1 : 2]!.split(":")[1]!, 16));
}

/** Whether somebody listens on a TCP port. */
export function hasTcpListener(port: number): boolean {
  return tcpPorts(TCP_LISTEN, "local").includes(port);
}

/** How many of some ports in a row somebody is connected to by TCP. */
export function connectedPorts(firstPort: number, count: number): number {
  const ports = new Set(tcpPorts(TCP_ESTABLISHED, "remote"));
  return Array.from({ length: count }, (_, i) => firstPort + i).filter((port) => ports.has(port)).length;
}

/** Polls until a claim holds. what: named in the error that is thrown after deadlineMs. */
export async function waitUntil(claim: () => boolean, what: string, deadlineMs = 10_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!claim()) {
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await delay(POLL_MS);
  }
}

/** Waits until a process uses next to no CPU time, so that what it received is worked off; 3 s at most. */
export async function waitUntilIdle(pid: number): Promise<void> {
  const endMs = performance.now() + 3_000;
  let before = Number.NEGATIVE_INFINITY;
  while (performance.now() < endMs) {
    const now = readCpuSeconds(pid);
    if (now - before < IDLE_SHARE_MAX * (QUIET_MS / 1e3)) return;
    before = now;
    await delay(QUIET_MS);
  }
}

/**
 * Finds a run of ports that nobody has, for UDP or TCP, below the range of outgoing ports. Returns the first.
 */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const first = 20_000 + Math.floor(Math.random() * (12_000 - count));
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)));
    const isHeard = Array.from({ length: count }, (_, i) => first + i).some(hasTcpListener);
    if (free.every(Boolean) && !isHeard) return first;
  }
  throw new Error(`found no ${count} free ports from 20000 to 32000`);
}

async function isFree(port: number): Promise<boolean> {
  const socket = createSocket("udp4");
  try {
    socket.bind(port, "127.0.0.1");
    await once(socket, "listening");
    return true;
  } catch {
    // In use: another place is tried.
    return false;
  } finally {
    socket.close();
  }
}
