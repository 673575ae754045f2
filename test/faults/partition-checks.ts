/** Nodes that do not hear each other, or hardly, or one way only. Clients and carbon reach all of them. */
import { lasting } from "../support/fault-clock.ts";
import type { FaultRig } from "../support/fault-rig.ts";
import { type Check, quantile, rowOf, seconds, withRig } from "./check.ts";
import { recoveryOf } from "./pause-checks.ts";

const SCALE = "interval 2 s";

/**
 * Milliseconds in which two nodes wrote, counted from a moment at which the first one should have stopped.
 */
function overlapMs(rig: FaultRig, former: string, sinceMs: number, untilMs: number): number {
  const address = rig.network.addressOf(former);
  const since = rig.carbon.writes.filter(({ atMs }) => atMs >= sinceMs && atMs <= untilMs);
  const lastMs = since.findLast(({ from }) => from.endsWith(address))?.atMs;
  const nextMs = since.find(({ from }) => !from.endsWith(address))?.atMs;
  return lastMs === undefined || nextMs === undefined ? 0 : Math.max(0, lastMs - nextMs);
}

const isolateLeader: Check = {
  ids: ["R4"],
  runs: 4,
  shortRuns: 1,
  run: (context) =>
    withRig(context, {}, async (rig) => {
      const { random, runs, isShort } = context;
      const overlaps: number[] = [];
      const lengths: number[] = [];
      for (let run = 0; run < runs; run++) {
        await lasting(rig.intervalMs + random.between(0, rig.intervalMs));
        const leader = await rig.leader();
        const sinceMs = Date.now();
        await rig.network.isolate(leader);
        const lengthMs = random.between(5000, isShort ? 6000 : 20_000);
        lengths.push(lengthMs);
        await lasting(lengthMs);
        await rig.network.heal(leader);
        overlaps.push(overlapMs(rig, leader, sinceMs, Date.now()));
        await rig.untilReady(leader);
      }
      const balance = await rig.balance();
      const [overlap, rivals] = [Math.max(...overlaps), await rig.sum("bioyino_cluster_rivals_seen_total")];
      return [
        rowOf(
          {
            id: "R4",
            title: "leader cut off from its peers, not from carbon",
            target: "lost 0, twice 0, never two that write",
            scale: `${SCALE}, for ${seconds(Math.min(...lengths))} to ${seconds(Math.max(...lengths))}`,
          },
          balance,
          {
            figure: `two wrote for ${overlap} ms; rivals seen ${rivals}`,
            runs,
            recoveryMs: recoveryOf(balance.lags),
            claims: { [`two leaders wrote for ${overlap} ms`]: overlap === 0 },
          },
        ),
      ];
    }),
};

const oneWay: Check = {
  ids: ["R5"],
  runs: 6,
  shortRuns: 0,
  run: (context) =>
    withRig(context, {}, async (rig) => {
      const { random, runs } = context;
      const directions = rig.names.flatMap((from) =>
        rig.names.filter((to) => to !== from).map((to) => [from, to] as const),
      );
      for (let run = 0; run < runs; run++) {
        const [from, to] = directions[run % directions.length]!;
        await lasting(random.between(0, rig.intervalMs));
        await rig.network.cut(from, to);
        await lasting(4 * rig.intervalMs);
        await rig.network.heal(to);
        for (const name of [from, to]) await rig.untilReady(name);
      }
      const balance = await rig.balance();
      const gapMs = longestGap(rig);
      const gapMsMax = rig.intervalMs + 3000;
      return [
        rowOf(
          {
            id: "R5",
            title: "each direction between two nodes cut",
            target: "lost 0; between flushes at most an interval and 3 s",
            scale: `${SCALE}, cut for 8 s`,
          },
          balance,
          {
            figure: `longest time between flushes ${seconds(gapMs)}`,
            runs,
            recoveryMs: Math.max(0, gapMs - rig.intervalMs),
            claims: { [`${seconds(gapMs)} between flushes`]: gapMs <= gapMsMax },
          },
        ),
      ];
    }),
};

/** Longest time between the first points of intervals that follow each other. */
function longestGap(rig: FaultRig): number {
  const firsts = new Map<number, number>();
  for (const { second, atMs } of rig.carbon.writes) if (!firsts.has(second)) firsts.set(second, atMs);
  const times = [...firsts].sort(([one], [other]) => one - other).map(([, atMs]) => atMs);
  return Math.max(0, ...times.slice(1).map((atMs, index) => atMs - times[index]!));
}

/** Lags in milliseconds of the intervals that ended within a time, in order. */
function lagsWithin(lags: ReadonlyMap<number, number>, fromMs: number, toMs: number): number[] {
  return [...lags]
    .filter(([second]) => second * 1000 > fromMs && second * 1000 <= toMs)
    .sort(([one], [other]) => one - other)
    .map(([, lagMs]) => lagMs);
}

const deadPeer: Check = {
  ids: ["R6"],
  runs: 2,
  shortRuns: 0,
  run: (context) =>
    withRig(context, {}, async (rig) => {
      const { random, runs } = context;
      const excuses = [];
      const spans = [];
      for (let run = 0; run < runs; run++) {
        const sinceMs = Date.now();
        await lasting(4 * rig.intervalMs + random.between(0, rig.intervalMs));
        const leader = await rig.leader();
        const dead = rig.names.filter((name) => name !== leader)[run % 2]!;
        await rig.network.unplug(dead);
        const atMs = await rig.kill(dead);
        excuses.push({ node: dead, fromMs: atMs - 1000, toMs: atMs });
        await lasting(6 * rig.intervalMs);
        spans.push({ sinceMs, atMs, untilMs: Date.now() - 1000 });
        await rig.network.heal(dead);
        await rig.revive(dead);
      }
      const balance = await rig.balance({ excuses });
      const deltas = spans.map(({ sinceMs, atMs, untilMs }) => {
        const usual = quantile(lagsWithin(balance.lags, sinceMs, atMs), 0.5);
        const [first = Number.POSITIVE_INFINITY, ...rest] = lagsWithin(balance.lags, atMs, untilMs);
        return { first: first - usual, later: quantile(rest, 0.5) - usual };
      });
      const first = Math.max(...deltas.map((delta) => delta.first));
      const later = Math.max(...deltas.map((delta) => delta.later));
      return [
        rowOf(
          {
            id: "R6",
            title: "follower switched off, its SYNs unanswered",
            target: "first interval at most 2 s later, the next ones 0.1 s",
            scale: `${SCALE}, settle 1 s`,
          },
          balance,
          {
            figure: `first ${seconds(first)} later, then ${seconds(later)} (median)`,
            runs,
            claims: {
              [`the first interval ${seconds(first)} later`]: first <= 2000,
              [`further intervals ${seconds(later)} later`]: later <= 100,
            },
          },
        ),
      ];
    }),
};

const SLOW_KILOBITS = 64;
const BACKLOG_BYTES_MAX = 1 << 20;
/** Further names that go with each datagram, so that the slow line cannot carry all. */
const MORE_NAMES = 12;

const slowPeer: Check = {
  ids: ["R7"],
  runs: 1,
  shortRuns: 0,
  run: (context) =>
    withRig(context, { cluster: "backlog-bytes = 1m" }, async (rig) => {
      const leader = await rig.leader();
      const slow = rig.names.find((name) => name !== leader)!;
      rig.source.extra = (node, number) =>
        node === slow
          ? ""
          : Array.from({ length: MORE_NAMES }, (_, index) => `more.${number}.${index}:1|c`).join("\n");
      const sinceMs = Date.now();
      await lasting(6 * rig.intervalMs);
      const fromMs = Date.now();
      await rig.network.slowPeers(slow, SLOW_KILOBITS);
      let backlogBytes = 0;
      const endMs = Date.now() + 12 * rig.intervalMs;
      while (Date.now() < endMs) {
        await lasting(500);
        for (const name of rig.names) {
          const members = (await rig.node(name).standing())?.members ?? [];
          for (const member of members) backlogBytes = Math.max(backlogBytes, member.backlogBytes);
        }
      }
      const untilMs = Date.now();
      await rig.network.slowPeers(slow, 0);
      const balance = await rig.balance();
      const usual = quantile(lagsWithin(balance.lags, sinceMs, fromMs), 0.5);
      const slowed = quantile(lagsWithin(balance.lags, fromMs, untilMs), 0.5);
      return [
        rowOf(
          {
            id: "R7",
            title: `follower at ${SLOW_KILOBITS} kbit/s`,
            target: "lag as before within 0.1 s; backlog within its bound",
            scale: `${SCALE}, for 24 s, bound 1 MiB`,
          },
          balance,
          {
            figure: `median lag ${seconds(usual)} before, ${seconds(slowed)} then; backlog ${backlogBytes} B`,
            runs: 1,
            claims: {
              [`lag ${seconds(slowed - usual)} longer`]: slowed - usual <= 100,
              [`backlog of ${backlogBytes} bytes`]: backlogBytes <= BACKLOG_BYTES_MAX,
            },
          },
        ),
      ];
    }),
};

export const PARTITION_CHECKS: readonly Check[] = [isolateLeader, oneWay, deadPeer, slowPeer];
