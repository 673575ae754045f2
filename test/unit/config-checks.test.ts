/** What no option of the relay can tell by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Override } from "../../shared/config.ts";
import { faultsOf, warningsOf } from "../support/config-fault.ts";

const ROUTE = "[route.x]\ndestinations = a:1 b:2";

/** Texts, and the contradictions in them. */
const BAD: readonly (readonly [text: string, ...faults: string[]])[] = [
  ["[relay]\ntls-cert = c", "line 2: relay.tls-cert = c: needs tls-key beside it; name both or none"],
  ["[relay]\ntls-key = k", "line 2: relay.tls-key = k: needs tls-cert beside it; name both or none"],
  [
    "[relay]\nshards = 8",
    "line 2: relay.shards = 8: is for hash = murmur3-shards alone, and the hash is fnv1a-jump; write 0",
  ],
  [
    `[relay]\nhash = murmur3-shards\nshards = 8\n${ROUTE}\nhash = djb2-mod`,
    "line 6: route.x.hash = djb2-mod: has no shards, and there are 8; write shards = 0",
  ],
  [
    `${ROUTE}\nshards = 8`,
    "line 3: route.x.shards = 8: is for hash = murmur3-shards alone, and the hash is fnv1a-jump; write 0",
  ],
  // What a route merely inherits is told once.
  [
    `[relay]\nshards = 8\n${ROUTE}`,
    "line 2: relay.shards = 8: is for hash = murmur3-shards alone, and the hash is fnv1a-jump; write 0",
  ],
  [
    "[relay]\nreplicas = 3\ndestinations = a:1 b:2*9 a:1",
    "line 2: relay.replicas = 3: is more than there are different destinations; choose at most 2",
  ],
  [
    "[relay]\nreplicas = 3\ndestinations = a:1 b:2 c:3\n[route.x]\ndestinations = a:1",
    "line 5: route.x.destinations = a:1: has 1 different ones, fewer than replicas (3); name more",
  ],
  [
    "[relay]\ndestinations = a:1\ndestinations-file = f",
    "line 3: relay.destinations-file = f: stands beside destinations; keep one of them",
  ],
  // All of them in one report, beside faults of single options.
  [
    "[relay]\nshards = 8\ntls-key = k\nreplicas = 2\ndestinations = a:1\nthreads = 0",
    "line 2: relay.shards = 8: is for hash = murmur3-shards alone, and the hash is fnv1a-jump; write 0",
    "line 3: relay.tls-key = k: needs tls-cert beside it; name both or none",
    "line 4: relay.replicas = 2: is more than there are different destinations; choose at most 1",
    "line 6: relay.threads = 0: is too small; choose within 1..64",
  ],
  // A faulty value contradicts nothing.
  [
    "[relay]\nhash = murmur\nshards = 8",
    "line 2: relay.hash = murmur: is unknown; " +
      "choose one of fnv1a-jump, djb2-mod, murmur3-shards, ketama-etsy",
  ],
];

for (const [text, ...faults] of BAD) {
  test(`contradictions of ${JSON.stringify(text)}`, () => assert.equal(faultsOf(text), faults.join("\n")));
}

const OPEN =
  "relay.management can be reached from other machines and relay.management-token is empty; " +
  "requests that change something are refused";
const ALONE = "relay.on-dead is next, but relay.destinations names no other to take over";
const UNSPOOLED = "relay.spool-dir is set, but on-dead is nowhere hold; nothing will be spooled";
const UNDEAD = "relay.health is none, so that no destination is ever down and on-dead never acts";

/** Texts that work, and what is probably not meant in them. */
const ODD: readonly (readonly [text: string, ...warnings: string[]])[] = [
  [""],
  ["[relay]\nsendproto = test\ndestinations = tcp://a:1 tls://b:2 unixgram:///c"],
  ["[relay]\ntls-cert = c\ntls-key = k"],
  ["[relay]\nhash = murmur3-shards\nshards = 4096\ndestinations = a:1"],
  ["[relay]\nreplicas = 2\non-dead = next\ndestinations = a:1 a:1:x"],
  ["[relay]\nreplicas = 2"],
  ["[relay]\nreplicas = 2\ndestinations-file = f"],
  ["[relay]\nmanagement = 0.0.0.0:9126", OPEN],
  ["[relay]\nmanagement = [::]:9126", OPEN],
  ["[relay]\nmanagement = relay.example:9126", OPEN],
  ["[relay]\nmanagement = 0.0.0.0:9126\nmanagement-token = x"],
  ["[relay]\nmanagement ="],
  ["[relay]\nmanagement = localhost:1"],
  ["[relay]\nmanagement = [::1]:1"],
  ["[relay]\non-dead = next\ndestinations = a:1*2 a:1", ALONE],
  ["[relay]\non-dead = next\ndestinations-file = f"],
  [
    "[route.x]\non-dead = next\ndestinations = a:1",
    "route.x.on-dead is next, but route.x.destinations names no other to take over",
  ],
  [
    "[relay]\non-dead = hold\ndestinations = unixgram:///a b:1",
    "relay.on-dead is hold, but what is held for a unixgram destination is lost",
  ],
  ["[relay]\nspool-dir = /x", UNSPOOLED],
  ["[relay]\nspool-dir = /x\non-dead = hold"],
  [`[relay]\nspool-dir = /x\n${ROUTE}\non-dead = hold`],
  ["[relay]\nhealth = none\non-dead = drop", UNDEAD],
  [`[relay]\nhealth = none\n${ROUTE}\non-dead = drop`, UNDEAD],
  ["[relay]\nhealth = none"],
];

for (const [text, ...warnings] of ODD) {
  test(`warnings of ${JSON.stringify(text)}`, () => assert.deepEqual(warningsOf(text), warnings));
}

test("a contradiction with a flag is told at the flag", () => {
  const replicas: Override = { section: "relay", key: "replicas", values: ["3"], origin: "--replicas" };
  assert.throws(
    () =>
      warningsOf("", [
        replicas,
        { section: "relay", key: "destinations", values: ["a:1"], origin: "destination" },
      ]),
    /command line: 1 fault\n {2}--replicas: "3" is more than there are different destinations; choose at/,
  );
});
