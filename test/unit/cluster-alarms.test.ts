/** What somebody should look at in a cluster: in words, and once for each change in the log. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterAlarms } from "../../aggregator/cluster-alarms.ts";
import type { ClusterStanding } from "../../aggregator/cluster-messages.ts";
import {
  agentStanding,
  clusterView,
  intervalView,
  linkStanding,
  memberStanding,
} from "../support/cluster-standing.ts";

const INTERVAL_MS = 1000;

function newAlarms() {
  const logged: string[] = [];
  const note = (event: string, fields: object = {}): void => {
    logged.push(`${event} ${(fields as { alarm: string }).alarm}`);
  };
  const alarms = new ClusterAlarms({ error: note, info: note });
  let nowMs = 0;
  const look = (standing: ClusterStanding, afterMs = 250): readonly string[] => {
    nowMs += afterMs;
    alarms.look(standing, INTERVAL_MS, nowMs);
    return alarms.texts;
  };
  return { look, logged };
}

test("where all is well there is none", () => {
  const { look, logged } = newAlarms();
  for (let k = 0; k < 100; k++) assert.deepEqual(look(memberStanding()), []);
  look(agentStanding(), 60_000);
  assert.deepEqual(logged, []);
});

test("what the protocol has found is told at once, and once", () => {
  const { look, logged } = newAlarms();
  const led = memberStanding();
  const unled = memberStanding({ view: clusterView({ alarms: ["nobody leads: nothing is written"] }) });
  for (let k = 0; k < 10; k++) assert.deepEqual(look(unled), ["nobody leads: nothing is written"]);
  assert.deepEqual(look(led), []);
  // It flaps: this is still the same one.
  look(unled, 5000);
  look(led, 5000);
  assert.deepEqual(logged, ["cluster.alarm nobody leads: nothing is written"]);
  look(led, 10_000);
  look(unled);
  assert.deepEqual(logged, [
    "cluster.alarm nobody leads: nothing is written",
    "cluster.alarm_over nobody leads: nothing is written",
    "cluster.alarm nobody leads: nothing is written",
  ]);
});

test("a peer that is away for more than three intervals raises an alarm, in whichever direction", () => {
  for (const [isOutgoingUp, isIncomingUp, words] of [
    [false, false, "node-b has been away for"],
    [true, false, "node-b has had no connection to this node for"],
    [false, true, "this node has had no connection to node-b for"],
  ] as const) {
    const { look, logged } = newAlarms();
    const away = memberStanding({ links: [linkStanding({ isOutgoingUp, isIncomingUp })] });
    look(away);
    assert.deepEqual(look(away, 3000), []);
    assert.equal(look(away, 1000)[0], `${words} 4 s`);
    look(away, 1000);
    assert.equal(logged.length, 1);
    look(memberStanding());
    assert.deepEqual(look(away, 3500), [], "it begins anew");
  }
});

test("nodes that turn each other away, and members that differ, are told with the reason", () => {
  const { look } = newAlarms();
  const refusal = "aggregator.interval is 1s here and 2s there";
  const links = [
    linkStanding({ isOutgoingUp: false, isIncomingUp: false, fault: refusal, refusal }),
    linkStanding({ name: "node-c", warning: '"node-d" is a member here and not there' }),
  ];
  const expected = [
    `node-b and this node turn each other away: ${refusal}`,
    'node-c: "node-d" is a member here and not there',
  ];
  assert.deepEqual(look(memberStanding({ links })), expected);
  assert.deepEqual(look(memberStanding({ links }), 60_000), expected, "not away as well");
});

test("of the newest intervals that were written, one that a single member holds is enough", () => {
  const { look } = newAlarms();
  const open = intervalView({ interval: 109, state: "open" });
  const written = (degraded: number) =>
    [105, 106, 107, 108].map((interval) => intervalView({ interval, isDegraded: interval === degraded }));
  const withDegraded = (interval: number) =>
    memberStanding({ view: clusterView({ intervals: [...written(interval), open] }) });
  assert.deepEqual(look(withDegraded(105)), []);
  assert.match(look(withDegraded(106)).join(), /no second member has everything/);
  assert.match(look(withDegraded(108)).join(), /no second member has everything/);
});

test("an agent without a member raises an alarm after a while", () => {
  const { look } = newAlarms();
  const alone = agentStanding({ member: undefined });
  assert.deepEqual(look(alone), []);
  assert.match(look(alone, 3500).join(), /no member has taken this agent's snapshots for 3 s/);
});
