/** Sections [route.NAME]: their order, what they inherit, and their faults. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig, printConfig, type RouteConfig } from "../../shared/config.ts";
import { faultsOf, warningsOf } from "../support/config-fault.ts";

function routes(text: string): readonly RouteConfig[] {
  return parseConfig(text, "x.ini").relay.routes;
}

const BARE = { destinations: ["a:1"], destinationsFile: "", expectRing: "" };

test("a route that says nothing takes everything, as a copy, with what [relay] has by default", () => {
  assert.deepEqual(routes("[route.x]\ndestinations = a:1"), [
    {
      name: "x",
      match: [],
      mode: "copy",
      sharePercent: 100,
      ...BARE,
      hash: "fnv1a-jump",
      key: "auto",
      shards: 0,
      replicas: 1,
      onDead: "keep",
      metricsPrefix: "",
      metricsSuffix: "",
      metricsTags: "",
      allow: [],
      block: [],
      rename: [],
    },
  ]);
});

const RELAY = [
  "[relay]",
  "destinations = r:1 r:2",
  "destinations-file =",
  "expect-ring = 0123456789abcdef",
  "hash = murmur3-shards",
  "key = sorted",
  "shards = 64",
  "replicas = 2",
  "on-dead = hold",
  "metrics-prefix = p",
  "metrics-suffix = s",
  "metrics-tags = t:1",
  "allow[] = a.**",
  "allow[] = b.**",
  "block[] = c",
  "rename[] = d -> e",
].join("\n");

test("what a route does not say it has from [relay], wherever that stands", () => {
  const inherited = {
    hash: "murmur3-shards",
    key: "sorted",
    shards: 64,
    replicas: 2,
    onDead: "hold",
    metricsPrefix: "p",
    metricsSuffix: "s",
    metricsTags: "t:1",
    allow: ["a.**", "b.**"],
    block: ["c"],
    rename: ["d -> e"],
  };
  const destinations = ["x:1", "x:2"];
  const wanted = {
    name: "x",
    match: [],
    mode: "copy",
    sharePercent: 100,
    ...BARE,
    ...inherited,
    destinations,
  };
  const route = "[route.x]\ndestinations = x:1 x:2";
  assert.deepEqual(routes(`${RELAY}\n${route}`), [wanted]);
  assert.deepEqual(routes(`${route}\n${RELAY}`), [wanted]);
});

test("what a route says is its own, lists as a whole, also when they are empty", () => {
  const own = [
    "[route.x]",
    "destinations-file = /x",
    "expect-ring =",
    "match[] = m",
    "mode = move",
    "share = 2.5%",
    "hash = fnv1a-jump",
    "key = name",
    "shards = 0",
    "replicas = 1",
    "on-dead = next",
    "metrics-prefix =",
    "metrics-suffix = q",
    "metrics-tags =",
    "allow =",
    "block[] = f",
    "rename =",
  ].join("\n");
  const [x] = routes(`${RELAY}\n${own}`);
  assert.deepEqual(x, {
    name: "x",
    match: ["m"],
    mode: "move",
    sharePercent: 2.5,
    destinations: [],
    destinationsFile: "/x",
    expectRing: "",
    hash: "fnv1a-jump",
    key: "name",
    shards: 0,
    replicas: 1,
    onDead: "next",
    metricsPrefix: "",
    metricsSuffix: "q",
    metricsTags: "",
    allow: [],
    block: ["f"],
    rename: [],
  });
});

test("routes come in the order of the file, whatever they are called", () => {
  const names = ["z", "1", "__proto__", "a_b-C", "constructor", "0".repeat(32), "NAME"];
  const text = names.map((name) => `[route.${name}]\ndestinations = ${name.length}:1`.replace("= ", "= h"));
  assert.deepEqual(
    routes(text.join("\n")).map(({ name, destinations }) => [name, destinations]),
    names.map((name) => [name, [`h${name.length}:1`]]),
  );
});

test("a printed configuration has its routes, and they parse to the same ones", () => {
  const text =
    `${RELAY}\n[route.b]\ndestinations = x:1 x:2\nallow =\nmatch[] = "/a;b, c/"\n` +
    "[route.a]\nreplicas = 1\ndestinations-file = /x y\nrename[] = q* -> $1.q\nshare = 0.5";
  const config = parseConfig(text, "x.ini");
  const printed = printConfig(config);
  assert.deepEqual(parseConfig(printed, "x.ini"), config);
  const [, ofB = ""] = /\[route\.b\]\n([^[]*)\n\n\[route\.a\]/.exec(printed.replaceAll("[]", "")) ?? [];
  assert.deepEqual(ofB.split("\n"), [
    'match = "/a;b, c/"',
    "mode = copy",
    "share = 100",
    "destinations = x:1",
    "destinations = x:2",
    "destinations-file =",
    "expect-ring =",
    "allow =",
  ]);
});

const REMEDY = "write [route.NAME], with up to 32 letters, digits, _ and - for NAME";

/** Texts, and what is wrong with them. */
const BAD: readonly (readonly [text: string, ...faults: string[]])[] = [
  ["[route]", `line 1: [route]: is no name of a route; ${REMEDY}`],
  ["[route.]", `line 1: [route.]: is no name of a route; ${REMEDY}`],
  ["[route.a b]", `line 1: [route.a b]: is no name of a route; ${REMEDY}`],
  ["[route.a.b]", `line 1: [route.a.b]: is no name of a route; ${REMEDY}`],
  ["[route.\u00e9]", `line 1: [route.\u00e9]: is no name of a route; ${REMEDY}`],
  [`[route.${"x".repeat(33)}]`, `line 1: [route.${"x".repeat(33)}]: is no name of a route; ${REMEDY}`],
  ["[route.main]", `line 1: [route.main]: is how the ring of [relay] is called; ${REMEDY}`],
  ["[routes.x]", `line 1: [routes.x]: is no name of a route; ${REMEDY}`],
  [
    "[route.x]\ndestinations = a:1\n[log]\n[route.x]",
    "line 4: [route.x]: is there already, in line 1; put its keys together",
  ],
  ["\n[route.x]", "line 2: [route.x]: has no destinations; name some, or a destinations-file"],
  ["[route.x]\ndestinations =", "line 1: [route.x]: has no destinations; name some, or a destinations-file"],
  [
    "[route.x]\ndestinations = a",
    "line 2: route.x.destinations = a: has no port; " +
      "write HOST:PORT or HOST:PORT:INSTANCE, with an IPv6 address in brackets",
  ],
  [
    "[route.x]\ndestinations = a:1\ndestinations-file = b",
    "line 3: route.x.destinations-file = b: stands beside destinations; keep one of them",
  ],
  [
    "[route.x]\ndestination = a:1\ndestinations = a:1",
    "line 2: route.x.destination = a:1: is an unknown key; did you mean destinations?",
  ],
  [
    "[route.x]\nthreads = 2\ndestinations = a:1",
    "line 2: route.x.threads = 2: is an unknown key; it belongs into [relay]",
  ],
  [
    "[route.x]\nmanagement = a:1\ndestinations = a:1",
    "line 2: route.x.management = a:1: is an unknown key; it belongs into [relay]",
  ],
  [
    "[route.x]\nmode = mirror\nshare = 101\nkey = all\ndestinations = a:1",
    "line 2: route.x.mode = mirror: is unknown; choose one of copy, move",
    "line 3: route.x.share = 101: is too large; choose within 0..100",
    "line 4: route.x.key = all: is unknown; choose one of auto, name, untagged, sorted, comma-sorted",
  ],
  // A fault of [relay] is told once, not for everyone who inherits it.
  [
    "[relay]\nhash = md5\n[route.x]\ndestinations = a:1\n[route.y]\ndestinations = a:1",
    "line 2: relay.hash = md5: is unknown; choose one of fnv1a-jump, djb2-mod, murmur3-shards, ketama-etsy",
  ],
];

for (const [text, ...faults] of BAD) {
  test(`report of ${JSON.stringify(text)}`, () => assert.deepEqual(faultsOf(text), faults.join("\n")));
}

test("31 routes and no more", () => {
  const many = (count: number): string =>
    Array.from({ length: count }, (_, index) => `[route.r${index}]\ndestinations = a:1`).join("\n");
  assert.equal(routes(many(31)).length, 31);
  assert.equal(faultsOf(many(32)), "line 63: [route.r31]: is one route too many; have at most 31");
});

test("routes behind one that takes everything", () => {
  const text = (first: string): string =>
    `[relay]\ndestinations = m:1\n[route.a]\ndestinations = a:1\n${first}\n[route.b]\ndestinations = b:1`;
  const why = "gets no lines, because route.a before it takes all of them";
  for (const all of ["mode = move", "mode = move\nmatch[] = **", "mode = move\nallow[] = **"]) {
    assert.deepEqual(warningsOf(text(all)), [`route.b ${why}`, `relay.destinations ${why}`]);
  }
  for (const some of ["share", "share = 99.9", "match[] = a", "allow[] = a", "block[] = a", "mode = copy"]) {
    assert.deepEqual(
      warningsOf(text(some === "share" ? "" : some.startsWith("mode") ? some : `mode = move\n${some}`)),
      [],
    );
  }
});
