/** All that a relay knows of itself at one moment, and the page that shows it. */

import { lostCounter, OUTPUT_LOSSES, type OutputTotals } from "../counters.ts";
import type { ResolvedDestination } from "../destinations/destination.ts";
import type { ResolverState, ResolverTotals } from "../destinations/resolver.ts";
import type { HealthState } from "../health/monitor.ts";
import { OUTLET_LOSS_REASONS, outletLostCounter } from "../outlet/ledger.ts";
import type { OutletTotals } from "../outlet-control.ts";
import { type Plan, servingRoutes } from "../plan.ts";
import type { ListenerTotals } from "../receivers.ts";
import { DESTINATION_LOSSES, type DestinationLoss } from "./losses.ts";
import type { PeerState } from "./peers.ts";

/** The relay at one moment. Maps are by key of the destination. */
export interface RelayState {
  readonly plan: Plan;
  readonly resolved: readonly ResolvedDestination[];
  readonly generation: number;
  readonly reloads: { readonly done: number; readonly refused: number };
  readonly listeners: readonly ListenerTotals[];
  readonly outputs: ReadonlyMap<string, OutputTotals>;
  readonly channels: ReadonlyMap<string, OutletTotals>;
  readonly health: readonly HealthState[];
  readonly isUp: (key: string) => boolean;
  readonly lookups: { readonly totals: ResolverTotals; readonly states: readonly ResolverState[] };
  readonly peers: readonly PeerState[];
  readonly isReady: boolean;
  readonly isStopping: boolean;
  readonly threadsRunning: number;
  readonly threadCount: number;
  readonly uptimeSeconds: number;
}

/** The account of one destination: routed + restored = sent + lost + waiting + queued + held + spooled. */
export interface DestinationAccount {
  readonly routed: number;
  readonly restored: number;
  readonly sent: number;
  readonly packetsSent: number;
  readonly bytesSent: number;
  readonly lost: Readonly<Record<DestinationLoss, number>>;
  /** In packets of receivers, or under way to the outlet. */
  readonly waiting: number;
  readonly queued: number;
  readonly held: number;
  readonly spooled: number;
  readonly refusals: number;
}

/** Draws the account of a destination up. channel: where it has one. */
export function accountOf(output: OutputTotals, channel: OutletTotals | undefined): DestinationAccount {
  const lost = Object.fromEntries(DESTINATION_LOSSES.map((reason) => [reason, 0])) as Record<
    DestinationLoss,
    number
  >;
  for (const reason of OUTPUT_LOSSES) lost[reason] += output[lostCounter(reason)];
  if (channel !== undefined) {
    for (const reason of OUTLET_LOSS_REASONS) lost[reason] += channel[outletLostCounter(reason)];
  }
  return {
    routed: output.routed,
    restored: channel?.linesRestored ?? 0,
    sent: output.linesSent + (channel?.linesSent ?? 0),
    packetsSent: output.packetsSent + (channel?.packetsSent ?? 0),
    bytesSent: output.bytesSent + (channel?.bytesSent ?? 0),
    lost,
    waiting: output.waiting + output.linesHanded - (channel?.linesTaken ?? output.linesHanded),
    queued: channel?.linesQueued ?? 0,
    held: channel?.linesHeld ?? 0,
    spooled: channel?.linesSpooled ?? 0,
    refusals: output.refusals + (channel?.refusals ?? 0),
  };
}

/** Lines lost for all reasons. */
export function lostLines({ lost }: DestinationAccount): number {
  return Object.values(lost).reduce((sum, lines) => sum + lines, 0);
}

/** The page /status, for people and programs. */
export function statusPage(state: RelayState): object {
  const health = new Map(state.health.map((one) => [one.key, one]));
  return {
    ready: state.isReady,
    stopping: state.isStopping,
    uptimeSeconds: Math.round(state.uptimeSeconds),
    threads: state.threadsRunning,
    generation: state.generation,
    reloads: state.reloads,
    listeners: state.listeners.map(({ listen, threads, receiveBufferBytes, intake }) => ({
      listen,
      threads,
      receiveBufferBytes,
      received: intake.received,
      accepted: intake.accepted,
      kernelDrops: intake.kernelDrops,
    })),
    rings: servingRoutes(state.plan).map(({ ring, buckets, sharePercent, isMoving, ...route }) => ({
      name: ring.name,
      fingerprint: ring.fingerprint,
      hash: ring.hash,
      key: ring.key,
      replicas: ring.replicas,
      share: sharePercent,
      mode: isMoving ? "move" : "copy",
      prefix: route.prefix,
      suffix: route.suffix,
      tags: route.tags,
      destinations: state.plan.destinations.flatMap((destination, index) =>
        destination.ring === ring.name
          ? [describeDestination(state, index, buckets.filter((one) => one === index).length, health)]
          : [],
      ),
    })),
    peers: state.peers,
    names: state.lookups.states,
  };
}

function describeDestination(
  state: RelayState,
  index: number,
  buckets: number,
  health: ReadonlyMap<string, HealthState>,
): object {
  const { key, text, onDead } = state.plan.destinations[index]!;
  const resolved = state.resolved[index]!;
  const output = state.outputs.get(key);
  const checked = health.get(key);
  return {
    destination: text,
    address: resolved.kind === "path" ? resolved.path : `${resolved.host} ${resolved.port}`,
    protocol: resolved.protocol,
    buckets,
    onDead,
    up: state.isUp(key),
    ...(checked === undefined ? {} : { checks: checked.checks, lastFault: checked.lastFault }),
    ...(output === undefined ? {} : describeAccount(accountOf(output, state.channels.get(key)))),
  };
}

function describeAccount(account: DestinationAccount): object {
  const lost = Object.fromEntries(Object.entries(account.lost).filter(([, lines]) => lines > 0));
  const { routed, sent, waiting, queued, held, spooled } = account;
  return { routed, sent, waiting, queued, held, spooled, lost };
}
