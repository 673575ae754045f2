/** Nodes that are stopped in good order, or begin with nothing, and those that must not come in. */
import { rmSync } from "node:fs";
import { holdsWithin, lasting } from "../support/fault-clock.ts";
import type { FaultNode } from "../support/fault-node.ts";
import type { FaultRig } from "../support/fault-rig.ts";
import { type Check, type CheckContext, leftOut, type Row, rowOf, seconds, withRig } from "./check.ts";
import { recoveryOf } from "./pause-checks.ts";

const SCALE = "interval 2 s";
const READY_MS_MAX = 5000;
const REFUSED_MS_MAX = 1000;

/** Stops each node in turn and starts it again; returns the exit codes that were not 0. */
async function roll(rig: FaultRig, context: CheckContext): Promise<(number | null)[]> {
  const codes = [];
  for (const name of rig.names) {
    await lasting(context.random.between(0, rig.intervalMs));
    rig.source.end(name);
    codes.push(await rig.node(name).stop());
    await rig.revive(name, { build: () => "" });
    await rig.leader();
  }
  return codes.filter((code) => code !== 0);
}

async function rollRow(rig: FaultRig, context: CheckContext, words: Pick<Row, "id" | "title">): Promise<Row> {
  const codes = [];
  for (let run = 0; run < context.runs; run++) codes.push(...(await roll(rig, context)));
  const balance = await rig.balance();
  return rowOf({ ...words, target: "lost 0, twice 0", scale: SCALE }, balance, {
    figure: [
      `${context.runs * rig.names.length} restarts`,
      `all with exit code 0: ${codes.length === 0 ? "yes" : "no"}`,
    ].join(", "),
    runs: context.runs,
    recoveryMs: recoveryOf(balance.lags),
    claims: { [`exit codes ${codes.join(", ")}`]: codes.length === 0 },
  });
}

const rollingRestart: Check = {
  ids: ["R12"],
  runs: 3,
  shortRuns: 0,
  run: (context) =>
    withRig(context, {}, async (rig) => [
      await rollRow(rig, context, { id: "R12", title: "all nodes restarted in turn" }),
    ]),
};

const upgrade: Check = {
  ids: ["R13"],
  runs: 1,
  shortRuns: 0,
  run: async (context) => {
    const words = { id: "R13", title: "upgrade from an older build, node by node" };
    const { previous } = context;
    if (previous === undefined) {
      return [
        leftOut({ ...words, target: "lost 0, twice 0", scale: SCALE }, "there is no older release yet"),
      ];
    }
    return withRig(context, { build: () => previous }, async (rig) => [await rollRow(rig, context, words)]);
  },
};

const emptyState: Check = {
  ids: ["R14"],
  runs: 4,
  shortRuns: 0,
  run: (context) =>
    withRig(context, {}, async (rig) => {
      const { random, runs } = context;
      const excuses = [];
      const times: number[] = [];
      let early = 0;
      for (let run = 0; run < runs; run++) {
        await lasting(rig.intervalMs + random.between(0, rig.intervalMs));
        const leader = await rig.leader();
        // Each second time the leader itself: who knows nothing must not overrule its successor.
        const node = run % 2 === 0 ? leader : rig.names.find((name) => name !== leader)!;
        const atMs = await rig.kill(node);
        excuses.push({ node, fromMs: atMs - 1000, toMs: atMs });
        rmSync(rig.stateDir(node), { recursive: true });
        const startedMs = Date.now();
        await rig.start(node);
        await rig.source.begin(node);
        const isReady = await holdsWithin(20_000, async () => {
          const standing = await rig.node(node).standing();
          if (standing?.role === "leader" && !standing.hasState) early++;
          return standing?.hasState === true && standing.isEligible;
        });
        times.push(isReady ? Date.now() - startedMs : Number.POSITIVE_INFINITY);
      }
      const balance = await rig.balance({ excuses });
      const slowest = Math.max(...times);
      return [
        rowOf(
          {
            id: "R14",
            title: "node killed and started with an empty folder",
            target: "no leader before it has the state; ready within 5 s",
            scale: SCALE,
          },
          balance,
          {
            figure: `ready after at most ${seconds(slowest)}; led too early ${early}`,
            runs,
            recoveryMs: recoveryOf(balance.lags),
            claims: {
              [`ready after ${seconds(slowest)}`]: slowest <= READY_MS_MAX,
              [`led ${early} times without state`]: early === 0,
            },
          },
        ),
      ];
    }),
};

/**
 * Node c as it should not be: what is wrong, and the word by which its refusal has to name it. One member
 * more or less is no fault but a change that is under way, of which an alarm tells; two are.
 */
const STRANGERS = "peers[] = stranger@10.78.0.98:8136\npeers[] = other@10.78.0.99:8136";
const MISMATCHES = [
  { key: "aggregator.interval", options: { intervalMs: 4000 } },
  { key: "members", options: { cluster: STRANGERS } },
] as const;

const mismatch: Check = {
  ids: ["R38"],
  runs: MISMATCHES.length,
  shortRuns: 0,
  run: (context) =>
    withRig(context, {}, async (rig) => {
      const times: number[] = [];
      const claims: Record<string, boolean> = {};
      for (const { key, options } of MISMATCHES) {
        rig.source.end("c");
        await rig.node("c").stop();
        const stranger = rig.launch("c", options);
        await holdsWithin(10_000, () => refusalMs(stranger, key) !== undefined);
        times.push(refusalMs(stranger, key) ?? Number.POSITIVE_INFINITY);
        claims[`no refusal that names ${key}`] = refusalMs(stranger, key) !== undefined;
        await lasting(rig.intervalMs);
      }
      const balance = await rig.balance();
      const slowest = Math.max(...times);
      claims[`refused after ${seconds(slowest)}`] = slowest <= REFUSED_MS_MAX;
      return [
        rowOf(
          {
            id: "R38",
            title: "node with another interval, or other members",
            target: "refused within 1 s, the key named",
            scale: SCALE,
          },
          balance,
          { figure: `refused after at most ${seconds(slowest)}`, runs: MISMATCHES.length, claims },
        ),
      ];
    }),
};

/**
 * Milliseconds from the opening of a node's cluster to the first refusal that names a key; undefined for
 * none.
 */
function refusalMs(node: FaultNode, key: string): number | undefined {
  const [opened] = node.eventsNamed("cluster.open");
  const refused = node.eventsNamed("peer.refused").find((event) => JSON.stringify(event).includes(key));
  if (opened === undefined || refused === undefined) return undefined;
  return Date.parse(String(refused.time)) - Date.parse(String(opened.time));
}

export const RESTART_CHECKS: readonly Check[] = [rollingRestart, upgrade, emptyState, mismatch];
