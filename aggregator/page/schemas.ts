/** JSON schemas of the answers, for openapi.json. A test holds real answers against them. */
import { CLUSTER, CLUSTER_READINESS, CLUSTER_SCHEMAS, CLUSTER_TOP } from "./cluster-schemas.ts";
import {
  COUNT,
  COUNTS,
  FLAG,
  list,
  NUMBER,
  oneOf,
  orNull,
  record,
  type Schema,
  TEXT,
  TEXTS_BY_NAME,
  TYPE,
} from "./schema.ts";

const OFFENDER = record({ name: TEXT, series: COUNT, refusedLines: COUNT });
const OFFENDERS = record({
  prefixes: list(OFFENDER),
  senders: list(OFFENDER),
  clashes: list(record({ key: TEXT, types: list(TYPE) })),
});
/** Sinks say more than this, each kind its own. */
const SINK: Schema = {
  type: "object",
  properties: {
    name: TEXT,
    state: TEXT,
    queuedBytes: COUNT,
    queuedRows: COUNT,
    oldestMs: NUMBER,
    rowsSent: COUNT,
    rowsRetried: COUNT,
    rowsLost: COUNTS,
    lastError: TEXT,
  },
  required: ["name", "state", "queuedBytes", "queuedRows", "oldestMs", "rowsSent", "rowsRetried", "rowsLost"],
};
const LISTENER = record(
  { name: TEXT, listen: TEXT, dialect: TEXT, threads: COUNT, receiveBufferBytes: COUNT },
  "receiveBufferBytes",
);
const FLUSH: Schema = {
  type: "object",
  properties: {
    interval: COUNT,
    timestampSec: COUNT,
    partial: FLAG,
    series: COUNT,
    rows: COUNT,
    lines: COUNT,
    durationMs: NUMBER,
  },
  required: ["interval", "timestampSec", "partial", "series", "rows", "lines", "durationMs"],
};

/** By name; answers refer to them as #/components/schemas/NAME. */
export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Error: record({ error: TEXT }),
  Readiness: record(
    { ready: FLAG, health: TEXT, listen: list(TEXT), sinks: TEXTS_BY_NAME, cluster: CLUSTER_READINESS },
    "cluster",
  ),
  ...CLUSTER_SCHEMAS,
  Status: record(
    {
      "leader-status": FLAG,
      "consensus-status": oneOf("enabled", "paused", "disabled"),
      version: TEXT,
      ready: FLAG,
      health: oneOf("up", "down"),
      listen: list(TEXT),
      listeners: list(LISTENER),
      intakes: list(
        record({ name: TEXT, received: COUNT, accepted: COUNT, dropped: COUNT, kernelDrops: COUNT }),
      ),
      intervalMs: COUNT,
      openIntervals: COUNT,
      openSeries: COUNT,
      openBytes: COUNT,
      keptSeries: COUNT,
      heldBytes: COUNT,
      flushedIntervals: COUNT,
      lastFlush: orNull(FLUSH),
      alarms: list(TEXT),
      limits: COUNTS,
      offenders: orNull(OFFENDERS),
      sinks: list(SINK),
      // Only where there is one.
      cluster: CLUSTER,
    },
    "cluster",
  ),
  Stats: record({ ts: COUNT, metrics: COUNTS }),
  Consensus: record({ "consensus-command": { type: "array", items: TEXT, minItems: 2, maxItems: 2 } }),
  Series: record({
    series: list(
      record(
        { key: TEXT, type: TYPE, interval: COUNT, updates: COUNT, values: COUNTS, outputs: TEXTS_BY_NAME },
        "interval",
      ),
    ),
    total: COUNT,
  }),
  Deleted: record({ deleted: COUNT }),
  History: record({
    intervals: list(
      record({
        interval: COUNT,
        timestampSec: COUNT,
        partial: FLAG,
        rowCount: COUNT,
        isKept: FLAG,
        rows: list(record({ name: TEXT, value: NUMBER })),
      }),
    ),
  }),
  Top: record(
    {
      version: TEXT,
      atMs: COUNT,
      intervalMs: COUNT,
      received: COUNT,
      dropped: COUNT,
      kernelDrops: COUNT,
      bytes: COUNT,
      lost: COUNT,
      flushedIntervals: COUNT,
      openIntervals: COUNT,
      openSeries: COUNT,
      openBytes: COUNT,
      flushMs: NUMBER,
      flushLagMs: NUMBER,
      prefixes: list(OFFENDER),
      senders: list(OFFENDER),
      clashes: list(TEXT),
      sinks: list(SINK),
      alarms: list(TEXT),
      cluster: CLUSTER_TOP,
    },
    "cluster",
  ),
  Explanation: record({
    listener: TEXT,
    dialect: TEXT,
    lines: list(
      record(
        {
          text: TEXT,
          accepted: FLAG,
          reason: TEXT,
          samples: list(
            record(
              {
                key: TEXT,
                type: TYPE,
                value: { type: ["number", "string"] },
                weight: NUMBER,
                isChange: FLAG,
              },
              "weight",
              "isChange",
            ),
          ),
          sections: { type: "object" },
          note: TEXT,
          event: { type: "object" },
          outputs: list(record({ aggregate: TEXT, name: TEXT, value: NUMBER })),
        },
        "reason",
        "note",
        "event",
      ),
    ),
    sinks: list(TEXT),
  }),
  Config: record({ settings: TEXTS_BY_NAME }),
  Reload: record({
    ok: FLAG,
    changed: list(
      record({
        path: TEXT,
        before: orNull(TEXT),
        after: orNull(TEXT),
        applies: oneOf("now", "next interval", "restart"),
      }),
    ),
    message: TEXT,
  }),
  /** A message of a tail. */
  TailLine: record({
    atMs: NUMBER,
    key: TEXT,
    type: TYPE,
    updates: COUNT,
    value: NUMBER,
    isChange: FLAG,
  }),
};
