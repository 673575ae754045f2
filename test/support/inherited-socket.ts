/**
 * Plays systemd's part in socket activation: opens a socket that outlives the processes which read it, and
 * hands it to each of them as descriptor 3, with LISTEN_FDS=1 and LISTEN_PID.
 *
 * Nobody may read the socket here. A UDP or unix datagram socket is one of our own batch sockets that is
 * never run; a TCP socket belongs to a thread that sleeps as soon as it listens, as Node would accept
 * otherwise. Linux only, and io=mmsg for datagrams.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { Daemon, Exit, StartEvent } from "../../bin/daemon.ts";
import { openReceiver } from "../../shared/udp.ts";

/** How a socket is known in /proc/net. */
type Table = "udp" | "tcp" | "unix";

/** systemd's first descriptor. */
const FIRST_FD = 3;
const STOP_GRACE_MS = 20_000;
/** exec keeps the process id, so the shell's own is the daemon's. */
const LAUNCH = 'LISTEN_PID=$$ exec "$@"';
const THREAD = "inherited-socket";

/** A socket that is bound, listens, and is read by nobody yet. */
export class InheritedSocket {
  /** As `listen` wants it: `udp://127.0.0.1:40000`. */
  readonly address: string;
  /** 0 for a unix socket. */
  readonly port: number;
  readonly #fd: number;
  readonly #table: Table;
  readonly #close: () => void | Promise<void>;

  private constructor(address: string, port: number, table: Table, close: () => void | Promise<void>) {
    this.address = address;
    this.port = port;
    this.#table = table;
    this.#close = close;
    this.#fd = findDescriptor(table, table === "unix" ? address.slice("unixgram://".length) : port);
  }

  /** Binds a UDP socket to a free port of 127.0.0.1. receiveBufferBytes: as wished; root gets all of it. */
  static async udp(receiveBufferBytes = 32 << 20): Promise<InheritedSocket> {
    const options = { receiveBufferBytes, sharePort: false };
    const socket = await openReceiver("mmsg", { kind: "udp", host: "127.0.0.1", port: 0 }, options);
    const port = "port" in socket.address ? socket.address.port : 0;
    return new InheritedSocket(`udp://127.0.0.1:${port}`, port, "udp", () => socket.close());
  }

  /** Binds a unix datagram socket. path: its file, which close() removes. */
  static async unixgram(path: string): Promise<InheritedSocket> {
    const options = { receiveBufferBytes: 1 << 20, sharePort: false };
    const socket = await openReceiver("mmsg", { kind: "unixgram", path }, options);
    return new InheritedSocket(`unixgram://${path}`, 0, "unix", () => socket.close());
  }

  /** Listens on a free TCP port of 127.0.0.1; connections queue until some process accepts them. */
  static async tcp(): Promise<InheritedSocket> {
    const wake = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL(import.meta.url), { workerData: { kind: THREAD, wake } });
    const port = await new Promise<number>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    const close = async (): Promise<void> => {
      Atomics.store(wake, 0, 1);
      Atomics.notify(wake, 0);
      await worker.terminate();
    };
    return new InheritedSocket(`tcp://127.0.0.1:${port}`, port, "tcp", close);
  }

  /** Datagrams that the system dropped for want of buffer, whoever read the socket meanwhile. UDP only. */
  drops(): number {
    const inode = inodeOf(this.#fd);
    const row = readFileSync("/proc/net/udp", "latin1")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .find((columns) => columns[9] === inode);
    return this.#table === "udp" ? Number(row?.at(-1) ?? 0) : 0;
  }

  /**
   * Starts a daemon of bin/ with this socket. startedEvent, onLine: as for startDaemon.
   * env: further variables.
   */
  start(
    name: "statsrelay" | "bioyino",
    args: readonly string[],
    startedEvent: string,
    onLine: (line: string) => void,
    env: Readonly<Record<string, string>> = {},
  ): Daemon {
    const script = fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url));
    const command = ["-c", LAUNCH, "sh", process.execPath, script, ...args];
    const child = spawn("/bin/sh", command, {
      // The fourth becomes descriptor 3.
      stdio: ["ignore", "pipe", "pipe", this.#fd],
      env: { ...process.env, ...env, LISTEN_FDS: "1" },
    });
    return watchDaemon(child, startedEvent, onLine);
  }

  /** Gives the socket up; processes that hold it keep it. */
  async close(): Promise<void> {
    await this.#close();
  }
}

/** A child as startDaemon shows one. */
function watchDaemon(child: ChildProcess, startedEvent: string, onLine: (line: string) => void): Daemon {
  const { pid } = child;
  if (pid === undefined) throw new Error("cannot start /bin/sh");
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const exited = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => {
      process.off("exit", kill);
      resolve({ code, signal });
    });
  });
  const output: string[] = [];
  const started = new Promise<StartEvent>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream! }).on("line", (line) => {
        output.push(line);
        onLine(line);
        const event = line.includes(`"${startedEvent}"`) ? JSON.parse(line) : undefined;
        if (event?.event === startedEvent) resolve(event);
      });
    }
    void exited.then(() => reject(new Error(`it ended before it was started\n${output.join("\n")}`)));
  });
  // Whoever only waits for the end shall not be ended by a rejection that he does not look at.
  started.catch(() => {});
  const stop = async (): Promise<Exit> => {
    child.kill("SIGTERM");
    const deadline = setTimeout(kill, STOP_GRACE_MS);
    const exit = await exited;
    clearTimeout(deadline);
    return exit;
  };
  return { pid, started, exited, stop };
}

function inodeOf(fd: number | string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  } catch {
    // A descriptor that was closed between two looks.
    return undefined;
  }
}

/** Finds this process' descriptor of a socket bound to a port of 127.0.0.1, or to a path. */
function findDescriptor(table: Table, where: number | string): number {
  const rows = readFileSync(`/proc/net/${table}`, "latin1")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const local = `0100007F:${Number(where).toString(16).toUpperCase().padStart(4, "0")}`;
  const inodes = new Set(
    table === "unix"
      ? rows.filter((columns) => columns[7] === where).map((columns) => columns[6])
      : rows.filter((columns) => columns[1] === local).map((columns) => columns[9]),
  );
  const fd = readdirSync("/proc/self/fd").find((name) => inodes.has(inodeOf(name)));
  if (fd === undefined || Number(fd) < FIRST_FD) throw new Error(`no descriptor of ${table} ${where}`);
  return Number(fd);
}

/** The thread of a TCP socket: listens, tells the port, and never turns its event loop again. */
function listenAndSleep(wake: Int32Array): void {
  const server = createServer();
  server.listen({ host: "127.0.0.1", port: 0, backlog: 511 }, () => {
    parentPort!.postMessage((server.address() as AddressInfo).port);
    Atomics.wait(wake, 0, 0);
    server.close();
  });
}

if (!isMainThread && workerData?.kind === THREAD) listenAndSleep(workerData.wake);
