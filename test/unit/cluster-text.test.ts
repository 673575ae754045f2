/** What the commands show of a cluster to people. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeMembers, describeStatus } from "../../aggregator/command/cluster-text.ts";
import { clusterStatus, membersPage } from "../../aggregator/page/cluster-status.ts";
import {
  agentStanding,
  clusterView,
  intervalView,
  linkStanding,
  memberStanding,
  peerView,
} from "../support/cluster-standing.ts";

const standing = memberStanding({
  view: clusterView({
    role: "leader",
    peers: [
      peerView({ backlogDeltas: 1234, backlogBytes: 3 << 20, lagMs: 31_000, heardMs: 30_000 }),
      peerView({ name: "w", isWitness: true, heardMs: 12 }),
    ],
    intervals: Array.from({ length: 12 }, (_, index) =>
      intervalView({ interval: index, isDegraded: index === 11, isInDoubt: index === 11, closedBy: 1 }),
    ),
  }),
  links: [
    linkStanding({ isOutgoingUp: false, isIncomingUp: false, fault: "connect ECONNREFUSED 10.0.0.2:8136" }),
    linkStanding({ name: "w" }),
  ],
});

test("members are a table, with what is wrong below each", () => {
  const text = describeMembers(membersPage(standing, "node-a", ["node-b has been away for 31 s"]));
  assert.equal(
    text,
    [
      "node-a, this node, leads in term 3; 700 ms are left of its lease",
      "ALARM node-b has been away for 31 s",
      "",
      "node      role     connected  heard   lag       backlog  acked",
      "node-a *  leader   this node",
      "node-b    away     no          30 s  31 s  1,234 (3.0m)      7",
      "    connect ECONNREFUSED 10.0.0.2:8136",
      "w         witness  both ways  12 ms",
      "",
    ].join("\n"),
  );
});

test("a follower and an agent say what they are", () => {
  const firstLine = (page: unknown) => describeMembers(page).split("\n")[0];
  assert.equal(
    firstLine(membersPage(memberStanding(), "node-a", [])),
    "node-b leads in term 3; this node is node-a, a follower",
  );
  const unled = memberStanding({ view: clusterView({ role: "candidate", leader: undefined }) });
  assert.equal(
    firstLine(membersPage(unled, "node-a", [])),
    "nobody is known to lead in term 3; this node is node-a, a candidate",
  );
  const agent = describeMembers(membersPage(agentStanding(), "edge-1", []));
  assert.match(agent, /^edge-1 is an agent\n\nmember +node-b\nheldDeltas +3\n/);
  const unheard = describeStatus({ alarms: [], cluster: clusterStatus(agentStanding(), "edge-1", 1000) });
  assert.match(unheard, /cluster\n {2}edge-1 is an agent\n\n {2}member +node-b\n/);
  assert.doesNotMatch(unheard, /hasState/, "it needs none");
});

test("the status has the cluster below the rest, with the newest intervals", () => {
  const cluster = clusterStatus(standing, "node-a", 10_000);
  const alarms = ["node-c has been away for 4 s", "a\x07"];
  const text = describeStatus({ "leader-status": true, "consensus-status": "enabled", alarms, cluster });
  assert.ok(text.endsWith("\nALARM node-c has been away for 4 s\nALARM a\\x07\n"), text);
  assert.match(
    text,
    /^leader-status +true\nconsensus-status +enabled\ncluster\n {2}node-a, this node, leads/,
  );
  assert.match(
    text,
    /\n {2}1970-01-01 00:01:50 {2}delivered, degraded, in doubt +1 +4 +1,200 {2}1 of 2 +carbon\n/,
  );
  assert.match(text, /\n {2}4 older ones\n/);
  assert.doesNotMatch(text, /elections/, "what has not happened is left out");
});

test("without a cluster, and where the answer is not as expected, it is shown as it is", () => {
  assert.equal(describeStatus({ version: "1" }), "version  1\n");
  assert.equal(describeStatus({ version: "1", alarms: ["x"] }), "version  1\nALARM x\n");
  for (const value of [
    { alarms: [1] },
    { alarms: [], cluster: { members: "x" } },
    { alarms: [], cluster: { members: [], intervals: [null] } },
    { alarms: [], cluster: { members: [], intervals: [{ timestampSec: 1e300, deliveredTo: [] }] } },
    { alarms: [], cluster: null },
    "text",
    null,
  ]) {
    assert.equal(typeof describeStatus(value), "string");
  }
  assert.equal(describeMembers({ error: "x" }), "error  x\n");
  assert.equal(typeof describeMembers(null), "string");
  const hostile = membersPage(memberStanding(), "a\x1b[31m", ["\x1b]0;x\x07"]);
  assert.ok(!describeMembers(hostile).includes("\x1b"));
});
