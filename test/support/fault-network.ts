/**
 * Machines that are network namespaces, joined by two bridges: one for clients, carbon and pages, one for
 * what nodes say to each other. All of it lies in a namespace of networks, mounts and processes that the run
 * itself is the first process of, so that nothing is left when the run ends, in whatever way.
 */
import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const INSIDE = "FAULT_NETWORK";
const TABLE = "inet faults";
const OUTER = "10.77.0";
const PEERS = "10.78.0";
/** What the run itself, and carbon in it, can be reached at. */
export const HUB = `${OUTER}.1`;
const NAMESPACES = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
const NEEDED = ["unshare", "ip", "nft", "tc"];

/** Why there can be no such network here; undefined where there can. */
export function networkFault(): string | undefined {
  for (const tool of NEEDED) {
    if (spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0) return `${tool} is not installed`;
  }
  const probe = "ip link add br0 type bridge && nft add table inet probe && mount -t tmpfs none /mnt";
  const { status, stderr } = spawnSync("unshare", [...NAMESPACES, "sh", "-c", probe], { encoding: "utf8" });
  return status === 0
    ? undefined
    : `no namespaces of our own (${stderr.trim().split("\n")[0]}); root is needed`;
}

/** Whether this process is the one within the namespaces. */
export function isInsideNetwork(): boolean {
  return process.env[INSIDE] === "1";
}

/** Ends the process within, and with it all others there, when the one that made the namespaces has ended. */
export function endWithOuterProcess(): void {
  process.stdin.once("close", () => process.exit(1)).resume();
}

export interface InnerRun {
  /** Takes what the script writes, which else goes where this process writes. */
  onOutput?(text: string): void;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/** Runs a script with this Node in new namespaces; resolves with its exit code. */
export async function runInNetwork(
  script: string,
  args: readonly string[],
  { onOutput, signal }: InnerRun = {},
): Promise<number> {
  // Here, since nobody within can clear up after a sudden end.
  const folder = mkdtempSync(join(tmpdir(), "faults-"));
  const child = spawn("unshare", [...NAMESPACES, process.execPath, script, ...args], {
    // Its input tells the inner process that this one is gone, however that came.
    stdio: ["pipe", onOutput === undefined ? "inherit" : "pipe", "inherit"],
    env: { ...process.env, [INSIDE]: "1", TMPDIR: folder },
  });
  child.stdout?.setEncoding("utf8").on("data", (text: string) => onOutput?.(text));
  const end = () => void child.kill("SIGKILL");
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const name of signals) process.once(name, end);
  signal?.addEventListener("abort", end);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 1));
    });
  } finally {
    for (const name of signals) process.off(name, end);
    signal?.removeEventListener("abort", end);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A network of machines of the given names, 1..200 of them. */
export class FaultNetwork {
  readonly #numbers: ReadonlyMap<string, number>;

  private constructor(names: readonly string[]) {
    this.#numbers = new Map(names.map((name, index) => [name, index + 11]));
  }

  static async open(names: readonly string[]): Promise<FaultNetwork> {
    const network = new FaultNetwork(names);
    mkdirSync("/run/netns", { recursive: true });
    await run("mount", ["-t", "tmpfs", "none", "/run/netns"]);
    await ip("link set lo up");
    for (const [bridge, prefix] of [["outer", OUTER] as const, ["peers", PEERS] as const]) {
      await ip(`link add ${bridge} type bridge`);
      await ip(`addr add ${prefix}.1/24 dev ${bridge}`);
      await ip(`link set ${bridge} up`);
    }
    for (const name of names) await network.#addMachine(name);
    return network;
  }

  async #addMachine(name: string): Promise<void> {
    await ip(`netns add ${name}`);
    for (const [bridge, prefix] of [["outer", OUTER] as const, ["peers", PEERS] as const]) {
      const outside = `${bridge.slice(0, 1)}-${name}`;
      await ip(`link add ${outside} type veth peer name ${bridge} netns ${name}`);
      await ip(`link set ${outside} master ${bridge} up`);
      await ip(`-n ${name} addr add ${prefix}.${this.#numbers.get(name)}/24 dev ${bridge}`);
      await ip(`-n ${name} link set ${bridge} up`);
    }
    await ip(`-n ${name} link set lo up`);
    await this.#nft(name, `add table ${TABLE}`);
    for (const hook of ["input", "output"]) {
      await this.#nft(name, `add chain ${TABLE} ${hook} { type filter hook ${hook} priority 0 ; }`);
    }
  }

  /** Address of a machine, for clients and pages. */
  addressOf(name: string): string {
    return `${OUTER}.${this.#numbers.get(name)}`;
  }

  /** Address of a machine for other nodes. */
  peerAddressOf(name: string): string {
    return `${PEERS}.${this.#numbers.get(name)}`;
  }

  /** Name of the machine that an address is of. */
  nameOf(address: string): string {
    const number = Number(address.split(".").at(-1));
    return [...this.#numbers].find(([, one]) => one === number)?.[0] ?? address;
  }

  /** What one machine says to the other gets lost, silently; not what the other says. */
  async cut(from: string, to: string): Promise<void> {
    await this.#nft(to, `add rule ${TABLE} input ip saddr ${this.peerAddressOf(from)} drop`);
  }

  /** Neither side hears the other; clients and carbon still reach both. */
  async isolate(name: string): Promise<void> {
    for (const hook of ["input", "output"]) {
      const side = hook === "input" ? "iifname" : "oifname";
      await this.#nft(name, `add rule ${TABLE} ${hook} ${side} peers drop`);
    }
  }

  /** Nothing at all comes to the machine or leaves it, as when it was switched off. */
  async unplug(name: string): Promise<void> {
    for (const hook of ["input", "output"]) await this.#nft(name, `add rule ${TABLE} ${hook} drop`);
  }

  /** Ends all cuts of a machine. */
  async heal(name: string): Promise<void> {
    await this.#nft(name, `flush table ${TABLE}`);
  }

  /** Between nodes, this one sends and hears at most so many kilobits in a second; 0 ends it. */
  async slowPeers(name: string, kilobits: number): Promise<void> {
    const ends = [`-n ${name} qdisc`, "qdisc"].map((way, index) => [
      way,
      index === 0 ? "peers" : `p-${name}`,
    ]);
    for (const [way, device] of ends) {
      if (kilobits === 0) await tc(`${way} del dev ${device} root`);
      else await tc(`${way} add dev ${device} root tbf rate ${kilobits}kbit burst 4kb limit 64kb`);
    }
  }

  /** Words with which a command is started on a machine; the process is the command's own. */
  prefixOf(name: string): string[] {
    return ["ip", "netns", "exec", name];
  }

  async #nft(name: string, command: string): Promise<void> {
    await run("ip", ["netns", "exec", name, "nft", command]);
  }
}

async function ip(words: string): Promise<void> {
  await run("ip", words.split(" "));
}

async function tc(words: string): Promise<void> {
  await run("tc", words.split(" "));
}
