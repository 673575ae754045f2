/**
 * A plan: all that a receiver thread works by, as plain data that can be posted to it. Made from the
 * configuration, and made anew by each reload.
 *
 *   destinations   0       1       2        3          of all rings, in one list
 *   main ring      bucket 0, 2   bucket 1
 *   route "test"                            bucket 0   bucket 1
 */
import type { RelayConfig } from "../shared/config.ts";
import { stripWeight } from "../shared/config-addresses.ts";
import { MAIN_RING } from "../shared/config-relay.ts";
import { EXIT_CONFIG, OperatorError } from "../shared/errors.ts";
import {
  FEATURE_HOST_JUDGES,
  FEATURE_STRICT_PACKETLEN,
  FEATURE_TAGS_GRAPHITE,
  FEATURE_TAGS_IN_SECTION,
  FEATURE_TAGS_NAME,
  FEATURE_TRIM_CR,
  FEATURE_VALIDATE,
  SHARE_ALL,
} from "../shared/kernel/relay-codes.ts";
import { buildRing, type Ring } from "./ring/ring.ts";
import { needsHost, type RuleData } from "./shaping/rule-data.ts";

/** Destinations of all rings: each takes some 140 KiB of a kernel's memory at the largest packetlen. */
const DESTINATIONS_MAX = 8192;

/** What becomes of lines for a destination that is down. */
export type DeadPolicy = RelayConfig["onDead"];

/** One route: a ring, which names it takes, and what it puts around lines. */
export interface RoutePlan {
  readonly ring: Ring;
  /** For each bucket the index of its destination in the plan. */
  readonly buckets: readonly number[];
  /** Of its names, 0..100. */
  readonly sharePercent: number;
  /** Whether it takes names away from the routes behind it. */
  readonly isMoving: boolean;
  /** Put before and behind names with a dot between; empty for nothing. */
  readonly prefix: string;
  readonly suffix: string;
  /** Appended to lines as tags; empty for nothing. */
  readonly tags: string;
  /** Whether a destination is named twice, which share one destination and one packet. */
  readonly hasRepeats: boolean;
}

/** How lines are placed and packed. */
export interface PackPlan {
  /** The main route first. */
  readonly routes: readonly RoutePlan[];
  readonly destinationCount: number;
  /** Packing threshold in bytes. */
  readonly packetlen: number;
  /** First part of the names of the relay's own metrics. */
  readonly prefix: string;
  readonly isStrict: boolean;
  readonly isTrimming: boolean;
  readonly isTagsInSection: boolean;
  readonly isValidating: boolean;
  readonly tagFormat: RelayConfig["tagFormat"];
  /** Lines of one name in a flush interval beyond which it is thinned out; 0 for never. */
  readonly thinThreshold: number;
  /** 1 in 10^thinPlaces of those is kept. */
  readonly thinPlaces: number;
  /** Present where names are judged by rules. */
  readonly rules?: RuleData;
  /** Present where several threads count names for caps together. */
  readonly capMemory?: SharedArrayBuffer;
}

/** One destination of a ring, not resolved yet. */
export interface PlannedDestination {
  /** Ring and text; tells destinations apart over reloads. */
  readonly key: string;
  /** `main`, or the name of a route. */
  readonly ring: string;
  /** As configured, without its weight. */
  readonly text: string;
  readonly onDead: DeadPolicy;
}

/** The plan as the configuration has it; addresses are found later. */
export interface Plan extends PackPlan {
  readonly destinations: readonly PlannedDestination[];
  readonly flushIntervalMs: number;
}

/** Destination texts by ring, where they do not come from the configuration itself. */
export type DestinationLists = ReadonlyMap<string, readonly string[]>;

interface RouteSource {
  readonly name: string;
  readonly config: RelayConfig | RelayConfig["routes"][number];
  readonly sharePercent: number;
  readonly isMoving: boolean;
}

/**
 * Makes a plan. lists: destinations of rings that have a file of them.
 * Throws OperatorError where there is no destination at all, there are too many, or a ring cannot be built.
 */
export function makePlan(config: RelayConfig, lists: DestinationLists = new Map()): Plan {
  const sources: RouteSource[] = [
    { name: MAIN_RING, config, sharePercent: 100, isMoving: false },
    ...config.routes.map((route) => ({
      name: route.name,
      config: route,
      sharePercent: route.sharePercent,
      isMoving: route.mode === "move",
    })),
  ];
  const destinations: PlannedDestination[] = [];
  const routes = sources.flatMap((source) => planRoute(source, lists, destinations));
  const [first] = routes;
  if (first === undefined) {
    throw new OperatorError("no destination is given; name at least one as HOST:PORT");
  }
  if (destinations.length > DESTINATIONS_MAX) {
    const what = `all rings together have ${destinations.length} destinations`;
    throw new OperatorError(`${what}; name at most ${DESTINATIONS_MAX}`, EXIT_CONFIG);
  }
  // A main route without destinations takes no names; its ring stands in for what must have one.
  const isMainEmpty = first.ring.name !== MAIN_RING;
  const main: RoutePlan = { ...first, sharePercent: 0, isMoving: false, prefix: "", suffix: "", tags: "" };
  const rules = ruleData(config);
  return {
    routes: isMainEmpty ? [main, ...routes] : routes,
    destinations,
    destinationCount: destinations.length,
    packetlen: config.packetlen,
    prefix: config.prefix,
    isStrict: config.strictPacketlen,
    isTrimming: config.trimCr,
    isTagsInSection: config.tagsInSection,
    isValidating: config.validate,
    tagFormat: config.tagFormat,
    thinThreshold: config.sampleThreshold,
    thinPlaces: Math.round(-Math.log10(config.sampleRate)),
    flushIntervalMs: config.flushIntervalMs,
    ...(needsHost(rules) ? { rules } : {}),
  };
}

/** Adds a ring's destinations to the list. A ring without any is left out. */
function planRoute(
  { name, config, sharePercent, isMoving }: RouteSource,
  lists: DestinationLists,
  destinations: PlannedDestination[],
): RoutePlan[] {
  const texts = lists.get(name) ?? config.destinations;
  if (texts.length === 0 && name === MAIN_RING) return [];
  const { hash, key, shards, replicas, onDead } = config;
  const ring = buildRing({ name, hash, key, destinations: texts, shards, replicas });
  const first = destinations.length;
  for (const text of ring.destinations) {
    destinations.push({ key: `${name} ${text}`, ring: name, text, onDead });
  }
  return [
    {
      ring,
      buckets: ring.buckets.map((index) => first + index),
      sharePercent,
      isMoving,
      prefix: config.metricsPrefix,
      suffix: config.metricsSuffix,
      tags: config.metricsTags,
      hasRepeats: new Set(texts.map((text) => stripWeight(text).entry)).size < texts.length,
    },
  ];
}

function ruleData(config: RelayConfig): RuleData {
  const filter = ({ allow, block, rename }: Pick<RelayConfig, "allow" | "block" | "rename">) => ({
    allow,
    block,
    rename,
  });
  return {
    main: filter(config),
    routes: config.routes.map((route) => ({
      name: route.name,
      mode: route.mode,
      match: route.match,
      ...filter(route),
    })),
    caps: config.caps,
    capWindowMs: config.capWindowMs,
  };
}

/** Routes that take names; a main route without destinations only stands in. */
export function servingRoutes(plan: Plan): RoutePlan[] {
  return plan.routes.filter(({ sharePercent }, index) => index > 0 || sharePercent > 0);
}

/** Returns the kernel's flags for what a plan asks of lines. */
export function featuresOf(plan: PackPlan): number {
  return (
    (plan.isStrict ? FEATURE_STRICT_PACKETLEN : 0) |
    (plan.isTrimming ? FEATURE_TRIM_CR : 0) |
    (plan.isTagsInSection ? FEATURE_TAGS_IN_SECTION : 0) |
    (plan.isValidating ? FEATURE_VALIDATE : 0) |
    (plan.tagFormat === "graphite" ? FEATURE_TAGS_GRAPHITE : 0) |
    (plan.tagFormat === "name" ? FEATURE_TAGS_NAME : 0) |
    (plan.rules === undefined ? 0 : FEATURE_HOST_JUDGES)
  );
}

/** Returns a share as the kernel compares it: of 2^32 names. */
export function shareCode(percent: number): number {
  return percent >= 100 ? SHARE_ALL : Math.floor((percent / 100) * 2 ** 32);
}
