/** The relay's kernel and its rules against a plain model, under any plan and on any bytes. */
import { test } from "node:test";
import fc from "fast-check";
import type { RouteConfig } from "../../shared/config.ts";
import type { PlanOptions } from "../support/plans.ts";
import { compareWithModel as compare, type Step } from "../support/relay-comparison.ts";

const byte = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...Buffer.from("aab.1:|#@\n\r\0,;=c_e{")) },
  { weight: 1, arbitrary: fc.nat(255) },
);
const soup = fc.array(byte, { maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
/** Few enough that rules often fit, and that no two of them share a place in the memory of names. */
const poolName = fc.constantFrom("app.requests", "app.web.requests", "db.load;host=b;az=a", "", "q", "é.x");
const name = fc.oneof(
  { weight: 5, arbitrary: poolName.map((text) => Buffer.from(text).toString("latin1")) },
  { weight: 2, arbitrary: fc.nat(40).map((number) => `app.metric.${number}`) },
  {
    weight: 2,
    arbitrary: fc.string({ unit: fc.constantFrom(..."ab.;,=-_|#\xe9\xff"), maxLength: 140 }),
  },
  { weight: 1, arbitrary: fc.constantFrom("_e{1,2}", "_sc|x", "a".repeat(64), "b.".repeat(2100)) },
);
const tag = fc.oneof(
  fc.constantFrom("env:prod", "b:2", "a:1", "bare", "", ":", ":v", "k:", "x:y:z", "d.e:f.g", "p=q:r;s"),
  fc.string({ unit: fc.constantFrom(..."ab:.=;"), maxLength: 9 }),
);
const tags = fc.oneof(
  { weight: 12, arbitrary: fc.array(tag, { maxLength: 6 }) },
  { weight: 1, arbitrary: fc.integer({ min: 254, max: 258 }).map((count) => new Array(count).fill("t:1")) },
);
const section = fc.oneof(
  { weight: 2, arbitrary: fc.constant("") },
  { weight: 1, arbitrary: tags.map((all) => `|#${all.join(",")}`) },
);
const rate = fc.oneof(
  { weight: 3, arbitrary: fc.constant("") },
  { weight: 2, arbitrary: fc.constantFrom("|@0.5", "|@1", "|@.25", "|@10.5", "|@", "|@1e-3", "|@5.", "|@.") },
);
const type = fc.constantFrom("c", "ms", "g", "h", "d", "s", "m", "", "k", "mss", "c:2|c");
const tail = fc.constantFrom("", "", "", "\r", "\r\r", "|c:container", "|T1700000000", "|#twice", "|");
const value = fc
  .tuple(fc.constantFrom("1", "-3.5", "1:2:3", "", "abc"), type, fc.boolean(), rate, section, tail)
  .map(([number, kind, isRateLast, part, tagged, rest]) => {
    const parts = isRateLast ? tagged + part : part + tagged;
    return `:${number}|${kind}${parts}${rest}`;
  });
const oddValue = fc.constantFrom("", ":", ":1", "|#a:1", ":1|c|#", ":\r", ":1|c\0");
const line = fc
  .tuple(name, fc.oneof({ weight: 8, arbitrary: value }, { weight: 1, arbitrary: oddValue }))
  .map((parts) => parts.join(""));
const lines = fc.array(line, { minLength: 5, maxLength: 60 }).map((all) => all.join("\n").slice(0, 65_507));
const long = fc
  .tuple(fc.integer({ min: 1, max: 65_500 }), fc.constantFrom("n", "a,", "\r"), fc.boolean(), value)
  .map(([bytes, unit, isName, rest]) => {
    const much = unit.repeat(bytes).slice(0, 65_507 - Math.min(rest.length, 4000) - 5);
    const text = isName ? `${much}${rest}` : `q:${much}${rest}`;
    return text.slice(0, 65_507);
  });
const datagram = fc.oneof(
  { weight: 8, arbitrary: soup },
  { weight: 12, arbitrary: lines },
  { weight: 1, arbitrary: long },
);

const word = fc.oneof(
  { weight: 3, arbitrary: fc.constant("") },
  { weight: 2, arbitrary: fc.string({ unit: fc.constantFrom(..."ab.-_"), minLength: 1, maxLength: 70 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 1024 }).map((bytes) => "w".repeat(bytes)) },
);
const patterns = fc.constantFrom(
  ...["app.**", "app.*.requests", "*", "**", "a?p.*", "{app,db}.**", "é.x", "/^app\\.(\\w+)/", "/[ab]+/"],
);
const rename = fc.constantFrom(
  ...["app.*.requests -> $1.r", "/app/ -> äpp", "** -> all", "a** -> z.$1.$1", "q -> é", "? -> €"],
  ...["/^([^.]*)\\.([^.]*)/ -> $2.$1", `q -> ${"r".repeat(1024)}`, "{app,db}.** -> $1;from=$0"],
  `app.requests -> ${"$0.".repeat(341)}`,
);
const some = (pattern: fc.Arbitrary<string>): fc.Arbitrary<string[]> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<string[]>([]) },
    fc.array(pattern, { minLength: 1, maxLength: 3 }),
  );
const filter = {
  allow: some(patterns),
  block: some(patterns),
  rename: some(rename),
  metricsPrefix: word,
  metricsSuffix: word,
  metricsTags: word,
};
const ring = fc
  .record({
    hash: fc.constantFrom("fnv1a-jump", "djb2-mod", "murmur3-shards", "ketama-etsy"),
    key: fc.constantFrom("auto", "name", "untagged", "sorted", "comma-sorted"),
    entries: fc.uniqueArray(fc.tuple(fc.nat(9), fc.constantFrom("", "*2", "*5")), {
      minLength: 1,
      maxLength: 6,
      selector: ([port]) => port,
    }),
    replicas: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ hash, key, entries, replicas }) => ({
    hash,
    key,
    destinations: entries.map(([port, weight]) => `h:${port + 1}${weight}`),
    replicas: Math.min(replicas, entries.length),
  }));
const plainRing = fc.constant({
  hash: "fnv1a-jump" as const,
  key: "auto" as const,
  destinations: ["h:1", "h:2", "h:3"],
  replicas: 1,
});
const anyRing = fc.oneof(ring, plainRing);
const route = fc
  .record({
    ring: anyRing,
    match: some(patterns),
    mode: fc.constantFrom("copy", "move"),
    sharePercent: fc.oneof(fc.constant(100), fc.constantFrom(0, 0.5, 50, 99.9)),
    ...filter,
  })
  .map(({ ring: placing, ...rest }) => ({ ...placing, ...rest }));
const plainFilter = fc.constant({
  ...{ allow: [], block: [], rename: [], metricsPrefix: "", metricsSuffix: "", metricsTags: "" },
});
const options: fc.Arbitrary<PlanOptions> = fc
  .record({
    main: anyRing,
    filter: fc.oneof(fc.record(filter), fc.record({ ...filter, allow: fc.constant([]) }), plainFilter),
    isMainEmpty: fc.nat(9).map((number) => number === 0),
    routes: fc.oneof(fc.array(route, { maxLength: 0 }), fc.array(route, { maxLength: 3 })),
    packetlen: fc.oneof(fc.nat(80), fc.constantFrom(0, 1, 512, 1400, 8932, 65_507)),
    strictPacketlen: fc.boolean(),
    trimCr: fc.boolean(),
    tagsInSection: fc.boolean(),
    validate: fc.boolean(),
    tagFormat: fc.constantFrom("keep", "graphite", "name"),
    caps: fc.oneof(
      fc.constant([]),
      fc.constant([
        { prefix: "app", count: 4 },
        { prefix: "app.metric", count: 5 },
      ]),
    ),
  })
  .map(({ main, filter: ofMain, isMainEmpty, routes, ...rest }) => {
    const { destinations, ...placing } = main;
    const named = routes.map((one, index) => ({ ...routeDefaults, ...one, name: `r${index}` }));
    const entries = isMainEmpty && named.length > 0 ? [] : destinations;
    return { ...rest, ...placing, ...ofMain, entries, routes: named as RouteConfig[] };
  });
const routeDefaults = { destinationsFile: "", expectRing: "", shards: 0, onDead: "keep" };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("batch" as const),
      datagrams: fc.array(datagram, { minLength: 1, maxLength: 12 }),
      isCut: fc.nat(9).map((number) => number === 0),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "flush" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "forget" as const }) },
  { weight: 1, arbitrary: word.map((text) => ({ kind: "own" as const, line: `own.${text}:1|g` })) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("states" as const),
      states: fc.array(fc.constantFrom(0, 0, 1, 2), { minLength: 1, maxLength: 7 }),
    }),
  },
);
const history = fc.array(step, { minLength: 2, maxLength: 8 });

for (const debug of [false, true]) {
  const build = debug ? "debug" : "release";

  test(`lines are shaped and packed as the model does (${build})`, async () => {
    await fc.assert(
      fc.asyncProperty(options, history, (chosen, steps) => compare(chosen, steps, debug)),
      { numRuns: debug ? 40 : 120 },
    );
  });
}

/** Sampling, of few names: the model knows nothing of places in the memory of names. */
const sampledLines = fc
  .array(fc.tuple(poolName, value), { minLength: 20, maxLength: 200 })
  .map((all) => all.map(([text, rest]) => `${Buffer.from(text).toString("latin1")}${rest}\n`).join(""));
const sampledStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.array(sampledLines, { minLength: 1, maxLength: 5 }).map((datagrams) => ({
      kind: "batch" as const,
      datagrams,
      isCut: false,
    })),
  },
  { weight: 1, arbitrary: step.filter(({ kind }) => kind !== "batch") },
);
const sampling = fc
  .record({
    chosen: options,
    sampleThreshold: fc.integer({ min: 1, max: 30 }),
    sampleRate: fc.constantFrom(0.1, 0.01, 0.001),
  })
  .map(({ chosen, ...rest }): PlanOptions => ({ ...chosen, ...rest, tagFormat: "keep" }));

for (const debug of [false, true]) {
  test(`names are thinned out as the model does (${debug ? "debug" : "release"})`, async () => {
    await fc.assert(
      fc.asyncProperty(sampling, fc.array(sampledStep, { minLength: 1, maxLength: 6 }), (chosen, steps) =>
        compare(chosen, steps, debug),
      ),
      { numRuns: debug ? 20 : 60 },
    );
  });
}

/** So many different names, in as few datagrams as they need. */
function manyNames(count: number): string[] {
  const lines = Array.from({ length: count }, (_, index) => `app.${index}:1|c\n`);
  const perDatagram = 4000;
  return Array.from({ length: Math.ceil(count / perDatagram) }, (_, slot) =>
    lines.slice(slot * perDatagram, (slot + 1) * perDatagram).join(""),
  );
}

for (const debug of [false, true]) {
  test(`names that share places in memory are not confused (${debug ? "debug" : "release"})`, async () => {
    const batch: Step = { kind: "batch", datagrams: manyNames(60_000), isCut: false };
    const chosen = { entries: ["h:1", "h:2", "h:3"], packetlen: 8932 };
    await compare(chosen, [batch, batch, { kind: "states", states: [0, 2, 0] }, batch], debug);
    await compare({ ...chosen, replicas: 2, hash: "murmur3-shards" }, [batch, batch], debug);
  });

  test(`all is forgotten when verdicts fill their memory (${debug ? "debug" : "release"})`, async () => {
    const batch: Step = { kind: "batch", datagrams: manyNames(24_000), isCut: false };
    const rename = [`** -> $0;${"x".repeat(1000)}`];
    await compare({ entries: ["h:1", "h:2"], rename, key: "untagged", replicas: 2 }, [batch, batch], debug);
  });
}
