/** Starts a real etcd on loopback, where it is installed, and does to it what happens to one. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { freePorts } from "./real-carbon.ts";
import { waitFor } from "./wait-for.ts";

/** Why tests with etcd are skipped, or false where it is installed. */
export const withoutEtcd: string | false = hasEtcd() ? false : "etcd is not installed (Debian: etcd-server)";

function hasEtcd(): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, "etcd")));
}

/** An etcd of one member. */
export class RealEtcd {
  readonly endpoint: string;
  readonly #peer: string;
  readonly #folder: string;
  #process: ChildProcess | undefined;
  #output = "";

  private constructor(folder: string, [clientPort, peerPort]: readonly number[]) {
    this.#folder = folder;
    this.endpoint = `http://127.0.0.1:${clientPort}`;
    this.#peer = `http://127.0.0.1:${peerPort}`;
  }

  /** Resolves when it answers. */
  static async start(): Promise<RealEtcd> {
    const etcd = new RealEtcd(await mkdtemp(join(tmpdir(), "etcd-")), await freePorts(2));
    await etcd.run();
    return etcd;
  }

  /** Starts it, or starts it again with the same data and ports. */
  async run(): Promise<void> {
    const options = {
      name: "one",
      "data-dir": join(this.#folder, "data"),
      "listen-client-urls": this.endpoint,
      "advertise-client-urls": this.endpoint,
      "listen-peer-urls": this.#peer,
      "initial-advertise-peer-urls": this.#peer,
      "initial-cluster": `one=${this.#peer}`,
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const child = spawn("etcd", args, { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#output = (this.#output + text).slice(-2000);
    });
    this.#process = child;
    await waitFor(`etcd to answer`, async () => {
      if (child.exitCode !== null) throw new Error(`etcd did not start: ${this.#output}`);
      return (await this.ask("/v3/kv/range", { key: "AA==" }).catch(() => undefined)) !== undefined;
    });
  }

  /** Asks its gateway. Rejects where it does not answer; a refusal is an answer. */
  async ask(path: string, body: unknown): Promise<Readonly<Record<string, unknown>>> {
    const signal = AbortSignal.timeout(5000);
    const response = await fetch(`${this.endpoint}${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      signal,
    });
    return (await response.json()) as Readonly<Record<string, unknown>>;
  }

  /** Lease that a key is bound to; undefined where there is none. */
  async leaseOf(key: string): Promise<string | undefined> {
    const { kvs } = await this.ask("/v3/kv/range", { key: Buffer.from(key).toString("base64") });
    return (kvs as { lease?: string }[] | undefined)?.[0]?.lease;
  }

  async deletePrefix(prefix: string): Promise<void> {
    await this.ask("/v3/kv/deleterange", rangeOf(prefix));
  }

  /** Leases that it knows. */
  async leases(): Promise<readonly unknown[]> {
    const { leases } = await this.ask("/v3/lease/leases", {});
    return (leases as unknown[] | undefined) ?? [];
  }

  /** Has it ask for a user: root, and one that may read and write below a prefix. */
  async demandUser(name: string, password: string, prefix: string): Promise<void> {
    const perm = { permType: "READWRITE", ...rangeOf(prefix) };
    const calls: readonly (readonly [string, unknown])[] = [
      ["user/add", { name: "root", password: "root" }],
      ["role/add", { name: "root" }],
      ["user/grant", { user: "root", role: "root" }],
      ["user/add", { name, password }],
      ["role/add", { name: "lock" }],
      ["role/grant", { name: "lock", perm }],
      ["user/grant", { user: name, role: "lock" }],
      ["enable", {}],
    ];
    for (const [path, body] of calls) {
      const answer = await this.ask(`/v3/auth/${path}`, body);
      if (answer.error !== undefined) throw new Error(`etcd: ${path}: ${answer.error}`);
    }
  }

  suspend(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Kills it without a word. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  /** Kills it and forgets all that it knew. */
  async wipe(): Promise<void> {
    await this.kill();
    await rm(join(this.#folder, "data"), { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** All keys that begin so, as etcd wants it said. */
function rangeOf(prefix: string): { key: string; range_end: string } {
  const start = Buffer.from(prefix);
  const end = Buffer.from(start);
  end[end.length - 1]! += 1;
  return { key: start.toString("base64"), range_end: end.toString("base64") };
}
