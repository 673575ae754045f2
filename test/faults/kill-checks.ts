/** Nodes that end as they stand. */
import { lasting } from "../support/fault-clock.ts";
import { type Excuse, isExcused, secondOf } from "../support/fault-ledger.ts";
import { FaultRig, type RigOptions } from "../support/fault-rig.ts";
import { FaultSource } from "../support/fault-source.ts";
import { type Check, type CheckContext, quantile, type Row, rowOf, seconds, withRig } from "./check.ts";

/** Snapshots of these checks are as far apart as in production, so that the bounds are those of the list. */
const SNAPSHOT_MS = 1000;
const LOSS_MS_MAX = 1500;
const LOSS_MS_P50_MAX = 600;
const RECOVERY_MS_MAX = 3000;
const SCALE = "interval 2 s";

interface Kills {
  readonly excuses: readonly Excuse[];
  /** For each: time from the death, or the next end of an interval, to the first line of another node. */
  readonly moments: readonly { readonly node: string; readonly atMs: number }[];
}

/** Kills a node again and again, each time at another phase of the interval, and starts it again. */
async function killAgain(
  rig: FaultRig,
  { random, runs }: CheckContext,
  choose: (run: number) => Promise<string>,
): Promise<Kills> {
  const excuses: Excuse[] = [];
  const moments: { node: string; atMs: number }[] = [];
  for (let run = 0; run < runs; run++) {
    await lasting(LOSS_MS_MAX + random.between(0, rig.intervalMs));
    const node = await choose(run);
    const atMs = await rig.kill(node);
    excuses.push({ node, fromMs: atMs - LOSS_MS_MAX, toMs: atMs });
    moments.push({ node, atMs });
    await rig.leader();
    // The interval of the death is written by the others.
    await lasting(rig.intervalMs);
    await rig.revive(node);
  }
  return { excuses, moments };
}

/** Milliseconds of a node's lines that were lost with it, for each excuse. */
function lossesOf(rig: FaultRig, excuses: readonly Excuse[]): number[] {
  const carbon = new Set(rig.carbon.writes.map(({ name }) => name));
  return excuses.map((excuse) => {
    const lost = rig.source.items.filter((item) => isExcused(item, [excuse]) && !carbon.has(item.name));
    return (lost.length / FaultSource.ratePerSecond) * 1000;
  });
}

/** From each death to the next line at carbon, less the wait for the interval's end. */
function recoveriesOf(rig: FaultRig, { moments }: Kills): number[] {
  return moments.map(({ node, atMs }) => {
    const address = rig.network.addressOf(node);
    const next = rig.carbon.writes.find((write) => write.atMs > atMs && !write.from.endsWith(address));
    if (next === undefined) return Number.POSITIVE_INFINITY;
    const waitedMs = secondOf(atMs, rig.intervalMs) * 1000 - atMs;
    return Math.max(0, next.atMs - atMs - waitedMs);
  });
}

async function killRow(
  rig: FaultRig,
  context: CheckContext,
  words: Pick<Row, "id" | "title">,
  choose: (run: number) => Promise<string>,
): Promise<{ row: Row; recoveriesMs: readonly number[] }> {
  const kills = await killAgain(rig, context, choose);
  const balance = await rig.balance({ excuses: kills.excuses });
  const losses = lossesOf(rig, kills.excuses);
  const recoveriesMs = recoveriesOf(rig, kills);
  const [p50, p99, max] = [quantile(losses, 0.5), quantile(losses, 0.99), Math.max(...losses)];
  // A median of few says nothing.
  const isManyEnough = losses.length >= 10;
  const row = rowOf(
    {
      ...words,
      target: "lost of the dead node p50 0.6 s, max 1.5 s; others 0; twice 0",
      scale: SCALE,
    },
    balance,
    {
      figure: `its lines lost: p50 ${seconds(p50)}, p99 ${seconds(p99)}, max ${seconds(max)}`,
      runs: context.runs,
      recoveryMs: Math.max(...recoveriesMs),
      claims: { [`median loss ${seconds(p50)}`]: !isManyEnough || p50 <= LOSS_MS_P50_MAX },
    },
  );
  return { row, recoveriesMs };
}

const KILL_RIG: RigOptions = { snapshotMs: SNAPSHOT_MS };

const killLeader: Check = {
  ids: ["R1", "R9"],
  runs: 15,
  shortRuns: 1,
  run: (context) =>
    withRig(context, KILL_RIG, async (rig) => {
      const words = { id: "R1", title: "leader killed" };
      const { row, recoveriesMs } = await killRow(rig, context, words, () => rig.leader());
      const p99 = quantile(recoveriesMs, 0.99);
      const failover: Row = {
        ...row,
        id: "R9",
        title: "failover, kill to next write",
        target: "p99 3 s beyond the wait for the interval's end",
        figure: `p50 ${seconds(quantile(recoveriesMs, 0.5))}, p99 ${seconds(p99)}`,
        offences: p99 <= RECOVERY_MS_MAX ? [] : [`p99 ${seconds(p99)}`],
      };
      return [row, failover];
    }),
};

const killFollower: Check = {
  ids: ["R2"],
  runs: 10,
  shortRuns: 0,
  run: (context) =>
    withRig(context, KILL_RIG, async (rig) => {
      const words = { id: "R2", title: "follower killed" };
      const { row } = await killRow(rig, context, words, async (run) => {
        const leader = await rig.leader();
        const followers = rig.names.filter((name) => name !== leader);
        return followers[run % followers.length]!;
      });
      return [row];
    }),
};

const twoAndWitness: Check = {
  ids: ["R22"],
  runs: 6,
  shortRuns: 0,
  run: async (context) => {
    const names = ["a", "b"];
    const refused = await refusal(context, names);
    return withRig(context, { ...KILL_RIG, names, witness: "w" }, async (rig) => {
      const words = { id: "R22", title: "two nodes and a witness, each killed" };
      const all = [...names, "w"];
      const { row } = await killRow(rig, context, words, async (run) => all[run % all.length]!);
      const offences = refused.code === 78 ? row.offences : [...row.offences, "no refusal without a witness"];
      return [{ ...row, figure: `${row.figure}; without a witness: ${refused.words}`, offences }];
    });
  },
};

/** How two members without a witness are refused: exit code, and the key that is named. */
async function refusal(
  { network }: CheckContext,
  names: readonly string[],
): Promise<{ code: number | null; words: string }> {
  const rig = await FaultRig.prepare(network, { names });
  try {
    const node = rig.launch("a");
    const deadline = setInterval(() => void node.kill(), 5000);
    const code = await node.exited();
    clearInterval(deadline);
    return {
      code,
      words: code === 78 ? "refused, exit 78" : `exit ${code}: ${node.words.join(" ").slice(0, 80)}`,
    };
  } finally {
    await rig.close();
  }
}

export const KILL_CHECKS: readonly Check[] = [killLeader, killFollower, twoAndWitness];
