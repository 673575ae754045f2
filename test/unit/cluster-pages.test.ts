/** The pages of a node in a cluster: status, members, readiness, and what it is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterStanding } from "../../aggregator/cluster-messages.ts";
import { flushWaitMs } from "../../aggregator/cluster-standing.ts";
import { STORE_COUNTERS } from "../../aggregator/counters.ts";
import { OwnStats } from "../../aggregator/own-stats.ts";
import { aggregatorRoutes } from "../../aggregator/page/routes.ts";
import { SCHEMAS } from "../../aggregator/page/schemas.ts";
import { Standing } from "../../aggregator/page/standing.ts";
import { alarmsOf } from "../../aggregator/page/status.ts";
import type { AggregatorView } from "../../aggregator/page/view.ts";
import { newLosses } from "../../aggregator/sink/queue.ts";
import { readTotals } from "../../aggregator/totals.ts";
import type { ClusterCommand, CommandOutcome } from "../../cluster/running/member-command.ts";
import { noCounts } from "../../cluster/settings.ts";
import type { IntervalView } from "../../cluster/view.ts";
import type { SuiteConfig } from "../../shared/config.ts";
import { loadConfig } from "../../shared/config.ts";
import { Counters } from "../../shared/counters.ts";
import {
  agentStanding,
  clusterView,
  intervalView,
  linkStanding,
  memberStanding,
  peerView,
} from "../support/cluster-standing.ts";
import { schemaFaults } from "../support/json-schema.ts";

const defaults = loadConfig(undefined);

function withCluster(config: SuiteConfig): SuiteConfig {
  return {
    ...config,
    cluster: { ...config.cluster, mode: "member", peers: [{ name: "b", host: "b", port: 1 }] },
  };
}

interface Rig {
  readonly standing?: ClusterStanding | undefined;
  readonly outcome?: CommandOutcome;
  readonly token?: string;
  readonly isReady?: boolean;
}

function newRig({ standing, outcome = { ok: true, message: "done" }, token = "", isReady = true }: Rig = {}) {
  const commands: ClusterCommand[] = [];
  const logged: { event: string; fields: Record<string, unknown> }[] = [];
  let drains = 0;
  let now = standing;
  const config = {
    ...defaults,
    aggregator: { ...defaults.aggregator, managementToken: token },
    cluster: { ...defaults.cluster, node: "node-a" },
  };
  const sink = {
    name: "carbon",
    state: "idle" as const,
    queuedBytes: 0,
    queuedRows: 0,
    oldestMs: 0,
    rowsSent: 0,
    rowsRetried: 0,
    rowsLost: newLosses(),
  };
  const view: AggregatorView = {
    version: "1",
    isReady: () => isReady,
    config: () => config,
    totals: () => readTotals([], new Counters(STORE_COUNTERS), [sink], now),
    stats: () => new OwnStats("own", 0).reading,
    listeners: () => [],
    lastFlush: () => undefined,
    senderHost: () => undefined,
    ask: () => Promise.reject(new Error("nobody asks")),
    reload: () => Promise.resolve({ ok: true, changed: [], message: "nothing has changed" }),
    cluster: () => now,
    clusterAlarms: () => (now === undefined ? [] : ["node-c has been away for 40 s"]),
    command: async (command) => {
      commands.push(command);
      if (outcome.ok) now = memberStanding();
      return outcome;
    },
    drain: () => {
      drains += 1;
    },
  };
  const note = (event: string, fields: object = {}): void => {
    logged.push({ event, fields: { ...fields } });
  };
  const routes = aggregatorRoutes({
    view,
    standing: new Standing("enabled"),
    log: { info: note, warn: note },
  });
  const ask = async (method: string, path: string, { body = "", client = "127.0.0.1", bearer = "" } = {}) => {
    const route = routes.find((one) => one.method === method && one.path === path)!;
    const headers = { host: "127.0.0.1:8137", ...(bearer !== "" && { authorization: `Bearer ${bearer}` }) };
    const request = { method, path, query: new URLSearchParams(), headers, client, body: Buffer.from(body) };
    const answer = await route.handler(request);
    const text = String(answer.body);
    return { status: answer.status, text, value: text.startsWith("{") ? JSON.parse(text) : {} };
  };
  return { ask, view, commands, logged, drains: () => drains };
}

const leading = memberStanding({ view: clusterView({ role: "leader" }) });

test("the status of a member has the cluster, as it is described", async () => {
  const starting = memberStanding({ view: undefined, links: [linkStanding({ isOutgoingUp: false })] });
  const withoutEnd = memberStanding({
    view: clusterView({ role: "leader", leaseMs: Number.POSITIVE_INFINITY }),
  });
  for (const standing of [memberStanding(), leading, starting, withoutEnd, agentStanding()]) {
    const { ask } = newRig({ standing });
    for (const [path, schema] of [
      ["/status", "Status"],
      ["/members", "Members"],
      ["/readyz", "Readiness"],
      ["/top", "Top"],
    ] as const) {
      const { value } = await ask("GET", path);
      assert.deepEqual(schemaFaults(value, SCHEMAS[schema]!, path), []);
    }
  }
});

test("bioyino's fields tell whether this node leads", async () => {
  const lead = await newRig({ standing: leading }).ask("GET", "/status");
  const follow = await newRig({ standing: memberStanding() }).ask("GET", "/status");
  const agent = await newRig({ standing: agentStanding() }).ask("GET", "/status");
  const alone = await newRig().ask("GET", "/status");
  assert.deepEqual(
    [lead, follow, agent, alone].map(({ value }) => value["leader-status"]),
    [true, false, false, true],
  );
  assert.equal("cluster" in alone.value, false);
  assert.equal(follow.value["consensus-status"], "enabled");
  assert.deepEqual(
    follow.value.alarms.filter((text: string) => text.startsWith("node-c")),
    ["node-c has been away for 40 s"],
  );
});

test("the status tells how each peer and each interval stands", async () => {
  const peers = [
    peerView({ backlogDeltas: 3, backlogBytes: 900, lagMs: 1200, heardMs: 5 }),
    peerView({ name: "node-c", isWitness: true, heardMs: undefined, closedBelow: undefined }),
  ];
  const links = [
    linkStanding({ isIncomingUp: false, fault: "closed (1006)" }),
    linkStanding({ name: "node-c", isOutgoingUp: false, isIncomingUp: false, fault: "ECONNREFUSED" }),
  ];
  const intervals = [intervalView({ interval: 7, closedBy: 1, isDegraded: true, isInDoubt: true })];
  const view = clusterView({ role: "leader", peers, intervals });
  const { value } = await newRig({ standing: memberStanding({ view, links }) }).ask("GET", "/status");
  const [self, b, c] = value.cluster.members;
  assert.deepEqual([self.node, self.isSelf, self.role], ["node-a", true, "leader"]);
  assert.deepEqual(
    [b.role, b.isOutgoingUp, b.isIncomingUp, b.fault],
    ["follower", true, false, "closed (1006)"],
  );
  assert.deepEqual([b.lagMs, b.backlogDeltas, b.backlogBytes, b.ackedDeltas], [1200, 3, 900, 7]);
  assert.deepEqual([c.role, c.heardMs, c.closedBelow], ["away", null, null]);
  const [interval] = value.cluster.intervals;
  assert.equal(interval.timestampSec, (7 * defaults.aggregator.intervalMs) / 1000);
  assert.deepEqual([interval.closedBy, interval.closedOf], [1, 2], "a witness closes none");
  assert.deepEqual([interval.isDegraded, interval.isInDoubt], [true, true]);
});

test("without a cluster there are no members", async () => {
  const { status, value } = await newRig().ask("GET", "/members");
  assert.deepEqual([status, value], [404, { error: "this node belongs to no cluster" }]);
});

test("a member is ready when it takes lines and has the others' state, whoever leads", async () => {
  const ready = async (rig: Rig) => (await newRig(rig).ask("GET", "/readyz")).status;
  assert.equal(await ready({ standing: memberStanding() }), 200);
  assert.equal(await ready({ standing: memberStanding({ view: clusterView({ leader: undefined }) }) }), 200);
  assert.equal(await ready({ standing: agentStanding() }), 200);
  assert.equal(await ready({}), 200);
  assert.equal(await ready({ standing: memberStanding({ view: clusterView({ hasState: false }) }) }), 503);
  assert.equal(await ready({ standing: memberStanding({ view: undefined }) }), 503);
  // It drains.
  assert.equal(await ready({ standing: memberStanding(), isReady: false }), 503);
});

test("an interval that another node has delivered is none that is missing", () => {
  const { intervalMs, watchdogIntervals } = defaults.aggregator;
  const present = Math.floor(Date.now() / intervalMs) + 100;
  const nowMs = (present + 0.5) * intervalMs;
  const missing = (changed: Partial<IntervalView>, standing?: ClusterStanding) => {
    const view = clusterView({ intervals: [intervalView(changed)] });
    const { view: page } = newRig({ standing: standing ?? memberStanding({ view }) });
    return alarmsOf(page, nowMs).filter((text) => text.startsWith("no node has delivered"));
  };
  assert.deepEqual(missing({ interval: present - 1 }), []);
  const sinceMs = 3 * intervalMs + flushWaitMs(withCluster(defaults));
  const old = present - Math.ceil(sinceMs / intervalMs) - watchdogIntervals;
  assert.equal(missing({ interval: old }).length, 1);
  // Some sinks have it, some not: that is another alarm.
  assert.deepEqual(missing({ interval: present - 1, state: "writing", deliveredTo: ["carbon"] }), []);
  assert.equal(missing({ interval: present - 1, state: "writing", deliveredTo: [] }).length, 1);
  assert.deepEqual(missing({}, agentStanding()), [], "an agent delivers none");
});

test("the leader hands leadership over to whom it is told", async () => {
  const { ask, commands } = newRig({ standing: leading });
  const first = await ask("POST", "/transfer", { body: '{"to":"node-b"}' });
  assert.deepEqual([first.status, first.value], [200, { message: "done" }]);
  assert.deepEqual(commands, [{ action: "transfer", to: "node-b" }]);
  for (const body of ["", "{}", " "]) {
    const { ask: again, commands: told } = newRig({ standing: leading });
    assert.equal((await again("POST", "/transfer", { body })).status, 200);
    assert.deepEqual(told, [{ action: "transfer", to: undefined }]);
  }
});

test("a transfer that cannot be says why, and nothing is told to anybody", async () => {
  const witness = memberStanding({
    view: clusterView({ role: "leader", peers: [peerView({ isWitness: true })] }),
  });
  const unled = memberStanding({ view: clusterView({ leader: undefined }) });
  for (const [standing, body, status, words] of [
    [undefined, "{}", 409, /without a cluster/],
    [agentStanding(), "{}", 409, /an agent never leads/],
    [memberStanding(), "{}", 409, /does not lead; node-b does: ask that one/],
    [unled, "{}", 409, /nobody is known to/],
    [leading, '{"to":"node-x"}', 409, /node-x is no other member; there are: node-b, node-c/],
    [witness, '{"to":"node-b"}', 409, /is a witness/],
    [leading, '{"to":1}', 400, /expected/],
    [leading, '{"node":"node-b"}', 400, /expected/],
    [leading, "[]", 400, /expected/],
    [leading, "null", 400, /expected/],
    [leading, "{", 400, /expected/],
  ] as const) {
    const { ask, commands, logged } = newRig({ standing });
    const answer = await ask("POST", "/transfer", { body });
    assert.equal(answer.status, status, body);
    assert.match(answer.value.error, words);
    assert.deepEqual(commands, []);
    assert.equal(logged[0]?.fields.outcome, "refused");
  }
  const itself = newRig({ standing: leading });
  assert.equal((await itself.ask("POST", "/transfer", { body: '{"to":"node-a"}' })).status, 200);
  assert.deepEqual(itself.commands, []);
  const refusing = newRig({ standing: leading, outcome: { ok: false, message: "node-b cannot lead now" } });
  const refused = await refusing.ask("POST", "/transfer", { body: '{"to":"node-b"}' });
  assert.deepEqual([refused.status, refused.value], [409, { error: "node-b cannot lead now" }]);
});

test("what changes something is guarded, and stands in the log with who and what", async () => {
  const { ask, logged, drains } = newRig({ standing: leading, token: "t0ken" });
  for (const [path, body] of [
    ["/transfer", '{"to":"node-b"}'],
    ["/drain", ""],
    ["/consensus", '{"consensus-command":["pause","unchanged"]}'],
    ["/-/reload", ""],
  ] as const) {
    assert.equal((await ask("POST", path, { body })).status, 401, path);
    assert.equal((await ask("POST", path, { body, bearer: "wrong" })).status, 401, path);
  }
  assert.equal(drains(), 0);
  // Anybody can make these, so one a second has to do.
  assert.deepEqual(
    logged.map(({ event, fields }) => [event, fields.action]),
    [["management.denied", "transfer"]],
  );
  logged.length = 0;
  const bearer = "t0ken";
  const client = "10.0.0.9";
  await ask("POST", "/transfer", { body: '{"to":"node-b"}', bearer, client });
  await ask("POST", "/consensus", { body: '{"consensus-command":["pause","unchanged"]}', bearer, client });
  await ask("POST", "/-/reload", { bearer, client });
  assert.equal((await ask("POST", "/drain", { bearer, client })).status, 202);
  assert.equal(drains(), 1);
  assert.deepEqual(
    logged.map(({ event, fields: { answer: _, ...fields } }) => ({ event, ...fields })),
    [
      { action: "transfer", to: "node-b" },
      { action: "consensus", consensus: "pause", leader: "unchanged" },
      { action: "reload" },
      { action: "drain" },
    ].map((what) => ({
      event: "management.command",
      client,
      outcome: "done",
      status: what.action === "drain" ? 202 : 200,
      ...what,
    })),
  );
});

test("metrics have the cluster where there is one", async () => {
  const counts = { ...noCounts(), takeovers: 5, samplesReceived: 77 };
  const links = [linkStanding({ isIncomingUp: false, reconnects: 4 }), linkStanding({ name: "node-c" })];
  const view = clusterView({ role: "leader", leaseMs: 650, counts });
  const { ask } = newRig({ standing: memberStanding({ view, links, incompleteTables: 2 }) });
  const { text } = await ask("GET", "/metrics");
  for (const line of [
    "leader 1",
    "term 3",
    "lease_seconds 0.65",
    "peers 2",
    "peers_connected 1",
    'peer_up{peer="node-b",direction="out"} 1',
    'peer_up{peer="node-b",direction="in"} 0',
    'peer_bytes_total{peer="node-b",direction="in"} 2000',
    'peer_reconnects_total{peer="node-b"} 4',
    'intervals{state="delivered"} 1',
    `delivered_timestamp_seconds ${(101 * defaults.aggregator.intervalMs) / 1000}`,
    "alarms 1",
    "incomplete_tables_total 2",
    "takeovers_total 5",
    "samples_received_total 77",
  ]) {
    assert.ok(text.includes(`\nbioyino_cluster_${line}\n`), line);
  }
  assert.ok(!(await newRig().ask("GET", "/metrics")).text.includes("bioyino_cluster_"));
});

test("own stats tell of peers under bioyino's names, and never fall", () => {
  const own = new OwnStats("own", 0);
  const read = (samplesReceived: number, samplesSent: number, reconnects: number) => {
    const counts = { ...noCounts(), samplesReceived, samplesSent, staleMessages: 1 };
    const links = reconnects < 0 ? [] : [linkStanding({ reconnects })];
    const standing = memberStanding({ view: clusterView({ counts }), links });
    return own.read(readTotals([], new Counters(STORE_COUNTERS), [], standing), 1000);
  };
  const first = read(100, 200, 2);
  for (const line of ["ingress-metric-peer:100|c", "egress-peer:200|c", "peer-error:3|c"]) {
    assert.ok(first.includes(`own.${line}`), line);
  }
  assert.ok(read(150, 200, -1).includes("own.peer-error:0|c"), "a peer that is none any more");
});
