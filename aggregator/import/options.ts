/**
 * The options of the Rust bioyino, but for names and aggregates (see aggregates.ts): what each is in our
 * words, or why it has none.
 */
import { printDuration } from "../../shared/config-values.ts";
import type { IniDraft } from "./ini-draft.ts";
import { isTable, type Kinds, showValue, type ValueTree } from "./value-tree.ts";

/** An option: takes its key off a table, and writes what it comes to. */
type Rule = (table: ValueTree, key: string, draft: IniDraft, path: string) => void;

/** One that has a counterpart. write: as in our file; a fault where it cannot be said. */
function becomes<Kind extends keyof Kinds>(
  kind: Kind,
  target: string,
  write: (value: Kinds[Kind]) => string | { readonly fault: string },
  remark: (value: Kinds[Kind]) => string = () => "",
): Rule {
  return (table, key, draft) => {
    const value = table.take(key, kind);
    if (value === undefined) return;
    const written = write(value);
    if (typeof written === "string") draft.set(target, written, remark(value));
    else table.fault(key, written.fault);
  };
}

/** One of the cluster, which cluster.ts reads; here is only told where it is of a wrong kind. */
function ofCluster(kind: keyof Kinds): Rule {
  return (table, key) => void table.take(key, kind);
}

/** One without. */
function leaves(kind: keyof Kinds, why: string): Rule {
  return (table, key, draft, path) => {
    const value = table.take(key, kind);
    if (value !== undefined) draft.leave(`${path} = ${showValue(value)}`, why);
  };
}

const ms = (target: string): Rule => becomes("whole", target, printDuration);
const same = (target: string): Rule => becomes("text", target, (text) => text);
const number = (target: string): Rule => becomes("whole", target, String);
const yesNo = (target: string): Rule => becomes("truth", target, (value) => (value ? "yes" : "no"));

/** HOST:PORT, or HOST with the port that bioyino adds. */
function address(target: string, port: number, scheme = ""): Rule {
  return becomes("text", target, (text) => `${scheme}${/:\d+$/.test(text) ? text : `${text}:${port}`}`);
}

const LEVELS: Readonly<Record<string, string>> = {
  off: "error",
  critical: "error",
  error: "error",
  warn: "warn",
  info: "info",
  debug: "debug",
  trace: "debug",
};
const BIND = "connections to other nodes come from whatever address leads there";
const PACE =
  "the times of [raft] hang together, and its defaults do; a lease keeps an old leader from writing";
const POOL =
  "threads are receivers (aggregator.threads), one store and one that writes rows; one receiver does it";
const BUFFERS = "no line waits in a buffer: everything received before an interval ends is in its flush";
const BATCHES = "datagrams are moved in batches by itself, where the system can (aggregator.io)";
const STATS_LEAST_MS = 100;

/** Keys at the top. */
const TOP: Readonly<Record<string, Rule>> = {
  "verbosity-console": becomes(
    "text",
    "log.level",
    (level) => LEVELS[level] ?? { fault: `is no level; choose one of ${Object.keys(LEVELS).join(", ")}` },
    (level) => (LEVELS[level] === level ? "" : `bioyino's ${level}: the nearest level there is.`),
  ),
  "verbosity-syslog": leaves("text", "the log goes to standard error; systemd keeps it in its journal"),
  daemon: leaves("truth", "it stays in the foreground; let systemd or a container run it"),
  "n-threads": leaves("whole", POOL),
  "p-threads": leaves("whole", POOL),
  "w-threads": leaves("whole", POOL),
  "a-threads": leaves("whole", POOL),
  "task-queue-size": leaves("whole", "what waits is bounded in bytes: aggregator.backlog-bytes-max"),
  "start-as-leader": ofCluster("truth"),
  "stats-interval": becomes(
    "whole",
    "aggregator.stats-interval",
    (value) => (value > 0 && value < STATS_LEAST_MS ? "1s" : printDuration(value)),
    (value) =>
      value > 0 && value < STATS_LEAST_MS ? `bioyino takes 1 s for less than 100 ms (${value}).` : "",
  ),
  "stats-prefix": same("aggregator.stats-prefix"),
  consensus: ofCluster("text"),
};

/** Keys of tables, by table. */
const TABLES: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  metrics: {
    "consistent-parsing": leaves("truth", "each datagram is parsed by itself, so it does not matter where"),
    "log-parse-errors": leaves("truth", "bad lines are counted by reason; `bioyino explain LINE` tells why"),
    "max-unparsed-buffer": leaves("whole", "nothing that was not understood is kept"),
    "max-tags-len": number("aggregator.tags-bytes-max"),
    "create-untagged-copy": yesNo("aggregator.untagged-copy"),
  },
  carbon: {
    address: address("carbon.address", 2003),
    "bind-address": same("carbon.bind-address"),
    interval: ms("aggregator.interval"),
    "connect-delay": ms("carbon.retry-delay"),
    "connect-delay-multiplier": becomes("number", "carbon.retry-delay-multiplier", String),
    "connect-delay-max": ms("carbon.retry-delay-max"),
    "send-retries": leaves("whole", "rows are tried again until they are older than carbon.queue-age"),
    chunks: number("carbon.connections"),
  },
  network: {
    listen: address("aggregator.listen", 8125, "udp://"),
    "peer-listen": ofCluster("text"),
    "peer-client-bind": leaves("text", BIND),
    "peer-protocol": leaves(
      "text",
      "both versions are understood (cluster.bioyino-listen), and none is sent",
    ),
    "mgmt-listen": address("aggregator.management", 8137),
    bufsize: leaves("whole", "datagrams of any size are taken in whole"),
    multimessage: leaves("truth", BATCHES),
    "mm-async": leaves("truth", BATCHES),
    "mm-packets": leaves("whole", BATCHES),
    "mm-timeout": leaves("whole", BATCHES),
    "buffer-flush-time": leaves("whole", BUFFERS),
    "buffer-flush-length": leaves("whole", BUFFERS),
    greens: leaves("whole", POOL),
    "async-sockets": leaves("whole", POOL),
    nodes: ofCluster("texts"),
    "snapshot-interval": ms("cluster.snapshot-interval"),
    "max-snapshots": leaves(
      "whole",
      "what waits for another node is bounded in bytes: cluster.backlog-bytes",
    ),
  },
  raft: {
    "start-delay": ofCluster("whole"),
    "heartbeat-timeout": leaves("whole", PACE),
    "election-timeout-min": leaves("whole", PACE),
    "election-timeout-max": leaves("whole", PACE),
    "this-node": ofCluster("text"),
    "client-bind": leaves("text", BIND),
    nodes: (table, key) => {
      const nodes = table.any(key);
      if (nodes !== undefined && !isTable(nodes)) table.fault(key, "is no table");
    },
  },
};

/** Tables of names and aggregates, which aggregates.ts reads. */
export const NAME_TABLES = ["aggregation", "naming"] as const;

/** Takes all options but those of NAME_TABLES off a tree. */
export function readOptions(tree: ValueTree, draft: IniDraft): void {
  readTable(tree, TOP, draft, "");
  for (const [name, rules] of Object.entries(TABLES)) {
    const table = tree.table(name);
    readTable(table, rules, draft, `${name}.`);
    table.finish(Object.keys(rules));
  }
}

/** Every key that may stand at the top of a file, tables included. */
export function topKeys(): string[] {
  return [...Object.keys(TOP), ...Object.keys(TABLES), ...NAME_TABLES];
}

function readTable(
  table: ValueTree,
  rules: Readonly<Record<string, Rule>>,
  draft: IniDraft,
  path: string,
): void {
  for (const [key, rule] of Object.entries(rules)) rule(table, key, draft, `${path}${key}`);
}
