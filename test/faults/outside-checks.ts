/** What a node leans on, beside the network: a full disk, an etcd that is away. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lasting, until } from "../support/fault-clock.ts";
import { HUB } from "../support/fault-network.ts";
import { FaultRig } from "../support/fault-rig.ts";
import { type Check, leftOut, rowOf, seconds, withRig } from "./check.ts";

const SCALE = "interval 2 s";
const FULL_MS = 20_000;

const fullDisk: Check = {
  ids: ["R24"],
  runs: 1,
  shortRuns: 0,
  run: async (context) => {
    const { network, logs } = context;
    const rig = await FaultRig.prepare(network, logs === undefined ? {} : { logs });
    const mounted: string[] = [];
    try {
      for (const name of rig.names) {
        mkdirSync(rig.stateDir(name), { recursive: true });
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", rig.stateDir(name)]);
        mounted.push(rig.stateDir(name));
      }
      await Promise.all(rig.names.map((name) => rig.start(name)));
      await rig.leader();
      for (const name of rig.names) await rig.untilReady(name);
      await rig.source.begin(...rig.names);
      await lasting(2 * rig.intervalMs);
      for (const name of rig.names) fill(rig.stateDir(name));
      await lasting(FULL_MS / 2);
      // An election needs the disks as well: terms and votes are on them.
      const leader = await rig.leader();
      const atMs = await rig.kill(leader);
      await rig.leader();
      await rig.revive(leader);
      await lasting(FULL_MS / 2);
      const roomBytes = Math.max(...rig.names.map((name) => roomIn(rig.stateDir(name))));
      const unsaved = await rig.sum("bioyino_cluster_unsaved_writes_total");
      const balance = await rig.balance({ excuses: [{ node: leader, fromMs: atMs - 1000, toMs: atMs }] });
      return [
        rowOf(
          {
            id: "R24",
            title: "all state folders full, and the leader killed",
            target: "flushes and elections go on; what was not saved is counted",
            scale: `${SCALE}, for ${FULL_MS / 1000} s, folders of 1 MiB`,
          },
          balance,
          {
            figure: `unsaved writes ${unsaved}: room is taken at the start`,
            runs: 1,
            recoveryMs: balance.flushLagMs,
            claims: {
              [`lag of ${seconds(balance.flushLagMs)}`]: balance.flushLagMs <= 3000,
              [`the folders had room for ${roomBytes} bytes`]: roomBytes === 0,
            },
          },
        ),
      ];
    } finally {
      // Detached from the tree first, so that the rig can remove its folders.
      for (const folder of mounted) spawnSync("umount", ["-l", folder]);
      await rig.close();
    }
  },
};

function roomIn(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Leaves no room in a folder that is a file system of its own. */
function fill(folder: string): void {
  try {
    // One byte more than there is: whatever else is freed or taken meanwhile, nothing is left.
    writeFileSync(join(folder, "filler"), Buffer.alloc(roomIn(folder) + 1));
  } catch {
    // It is full.
  }
}

const ETCD_WORDS = {
  id: "R23",
  title: "etcd killed, and back later",
  target: "one writer at most; stops within the ttl; lost 0",
  scale: `${SCALE}, ttl 3 s, away for 12 s`,
};
const TTL_MS = 3000;
const AWAY_MS = 12_000;

const etcdAway: Check = {
  ids: ["R23"],
  runs: 2,
  shortRuns: 0,
  run: async (context) => {
    if (spawnSync("sh", ["-c", "command -v etcd"]).status !== 0) {
      return [leftOut(ETCD_WORDS, "etcd is not installed")];
    }
    const etcd = new Etcd(mkdtempSync(join(tmpdir(), "faults-etcd-")));
    await etcd.start();
    const endpoint = `endpoints[] = http://${HUB}:2379\nttl = ${TTL_MS}ms\nrequest-timeout = 500ms`;
    try {
      return await withRig(
        context,
        { cluster: "consensus = etcd", sections: { etcd: endpoint } },
        async (rig) => {
          const spans: { downMs: number; upMs: number }[] = [];
          for (let run = 0; run < context.runs; run++) {
            await lasting(rig.intervalMs + context.random.between(0, rig.intervalMs));
            const downMs = Date.now();
            await etcd.kill();
            await lasting(AWAY_MS);
            await etcd.start();
            spans.push({ downMs, upMs: Date.now() });
            await rig.leader();
          }
          const balance = await rig.balance();
          const within = (fromMs: number, toMs: number) =>
            rig.carbon.writes.filter(({ atMs }) => atMs > fromMs && atMs < toMs);
          const after = spans.flatMap(({ downMs, upMs }) => within(downMs + TTL_MS, upMs)).length;
          const writers = Math.max(
            ...spans.map(({ downMs, upMs }) => new Set(within(downMs, upMs).map(({ from }) => from)).size),
          );
          return [
            rowOf(ETCD_WORDS, balance, {
              figure: `lines after the ttl ${after}; writers meanwhile ${writers}`,
              runs: context.runs,
              claims: {
                [`${after} lines after the ttl`]: after === 0,
                [`${writers} writers`]: writers <= 1,
              },
            }),
          ];
        },
      );
    } finally {
      await etcd.close();
    }
  },
};

/** An etcd that all machines reach. */
class Etcd {
  readonly #folder: string;
  #child: ReturnType<typeof spawn> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(): Promise<void> {
    const [client, peer] = [`http://${HUB}:2379`, `http://${HUB}:2380`];
    const options = {
      name: "one",
      "data-dir": join(this.#folder, "data"),
      "listen-client-urls": client,
      "advertise-client-urls": client,
      "listen-peer-urls": peer,
      "initial-advertise-peer-urls": peer,
      "initial-cluster": `one=${peer}`,
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    this.#child = spawn("etcd", args, { stdio: "ignore" });
    await until("etcd to answer", 20_000, async () => {
      const answer = await fetch(`${client}/health`, { signal: AbortSignal.timeout(500) }).catch(
        () => undefined,
      );
      return answer?.ok === true;
    });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export const OUTSIDE_CHECKS: readonly Check[] = [fullDisk, etcdAway];
