import assert from "node:assert/strict";
import { test } from "node:test";
import { explain, explainVerdict } from "../../relay/shaping/describe.ts";
import { needsHost, type RouteData, type RuleData } from "../../relay/shaping/rule-data.ts";
import { RuleSet, type Verdict } from "../../relay/shaping/rules.ts";
import { OperatorError } from "../../shared/errors.ts";

const NO_RULES = { allow: [], block: [], rename: [] } as const;

function route(name: string, rules: Partial<RouteData> = {}): RouteData {
  return { name, mode: "copy", match: [], ...NO_RULES, ...rules };
}

function ruleData(rules: Partial<RuleData["main"]>, routes: readonly RouteData[] = []): RuleData {
  return { main: { ...NO_RULES, ...rules }, routes, caps: [], capWindowMs: 1000 };
}

/** A verdict in one word: `filtered`, or `0 2=renamed`. */
function show(verdict: Verdict): string {
  if ("drop" in verdict) return verdict.drop;
  return verdict.targets
    .map(({ route, name }) =>
      name === undefined ? `${route}` : `${route}=${Buffer.from(name).toString("latin1")}`,
    )
    .join(" ");
}

function judgeAll(data: RuleData, ...names: readonly string[]): string[] {
  const rules = new RuleSet(data);
  return names.map((name) => show(rules.judge(Buffer.from(name, "latin1"))));
}

test("without rules every name goes to main and to all routes", () => {
  assert.deepEqual(judgeAll(ruleData({}), "a", ""), ["0", "0"]);
  assert.deepEqual(judgeAll(ruleData({}, [route("x"), route("y")]), "a"), ["1 2 0"]);
});

test("allow and block filter, and both must let a name pass", () => {
  const data = ruleData({ allow: ["app.**", "db.*"], block: ["**.debug", "/secret/"] });
  assert.deepEqual(judgeAll(data, "app.x", "db.x", "db.x.y", "app.debug", "app.secrets.x"), [
    "0",
    "0",
    "filtered",
    "filtered",
    "filtered",
  ]);
});

test("routes take what they match, and a move ends a name's way", () => {
  const data = ruleData({}, [
    route("copy", { match: ["app.**"] }),
    route("move", { match: ["app.billing.**", "pay.**"], mode: "move", block: ["**.debug"] }),
    route("late", { match: ["**.x"] }),
  ]);
  assert.deepEqual(judgeAll(data, "app.a", "app.billing.a", "pay.x", "db.x", "db.y", "pay.debug"), [
    "1 0",
    "1 2",
    "2",
    "3 0",
    "0",
    "0",
  ]);
});

test("names without a target are filtered where a route refused them, else have no route", () => {
  const routes = [
    route("x", { match: ["x.**"], block: ["**.no"] }),
    route("y", { match: ["y.**"], allow: ["y.a"] }),
  ];
  const none = { block: ["**"] };
  assert.deepEqual(judgeAll(ruleData(none, routes), "x.a", "x.no", "y.a", "y.b"), [
    "1",
    "filtered",
    "2",
    "filtered",
  ]);
  // What is in no share is refused by nobody.
  const rules = new RuleSet(ruleData({}, routes));
  assert.equal(show(rules.judge(Buffer.from("z"), () => false)), "no_route");
  assert.equal(show(rules.judge(Buffer.from("x.no"), () => false)), "filtered");
});

test("a name outside a moving route's share goes on to those behind it", () => {
  const rules = new RuleSet(ruleData({}, [route("x", { mode: "move" }), route("y")]));
  const asked: number[] = [];
  const judge = (shares: readonly number[]): string =>
    show(
      rules.judge(Buffer.from("a"), (index) => {
        asked.push(index);
        return shares.includes(index);
      }),
    );
  assert.deepEqual([judge([0, 1, 2]), judge([0, 2]), judge([0])], ["1", "2 0", "0"]);
  assert.deepEqual(asked, [1, 1, 2, 0, 1, 2, 0], "routes that do not matter are not asked");
});

test("each target has the name that its own first rule makes", () => {
  const data = ruleData({ rename: ["old.** -> new.$1", "old.x -> never", "*.keep -> $0"] }, [
    route("x", { rename: ["/^old/ -> ancient"] }),
    route("y"),
  ]);
  assert.deepEqual(judgeAll(data, "old.x", "a.keep", "b"), ["1=ancient.x 2 0=new.x", "1 2 0", "1 2 0"]);
});

test("a rename that makes no name is refused and counted, and the name stays", () => {
  const rules = new RuleSet(
    ruleData({
      rename: [
        "/^empty$/ -> $1",
        "/^ctl(.*)/ -> a$1",
        "/^big(.*)/ -> $1$1",
        "/^cut.*/ -> short",
        "/^\u6642|^\u00ff/ -> \u6642",
      ],
    }),
  );
  const judge = (name: string | Buffer): string => show(rules.judge(Buffer.from(name as string)));
  assert.equal(judge("empty"), "0");
  assert.equal(rules.renamesRefused, 1);
  assert.deepEqual(
    ["ctl\n", "ctl\r", "ctl\t", "ctl\0", "ctl\x7f", "ctl:"].map(judge),
    new Array(6).fill("0"),
  );
  assert.equal(rules.renamesRefused, 7);
  assert.equal(judge(`big${"x".repeat(2048)}`), `0=${"x".repeat(4096)}`);
  assert.equal(judge(`big${"x".repeat(2049)}`), "0");
  assert.equal(judge(`big${"x".repeat(4094)}`), "0", "too long itself");
  assert.equal(rules.renamesRefused, 9);
  assert.equal(judge(Buffer.from([0xff, 0x61])), "0", "a byte has no room for that character");
  assert.equal(rules.renamesRefused, 10);
  assert.equal(judge(`cut${"x".repeat(4094)}`), "0", "too long itself, though its new form is not");
  assert.equal(rules.renamesRefused, 11);
  // The limit is one of bytes.
  assert.equal(judge(`big${"\u00e9".repeat(1025)}`), "0");
  assert.equal(rules.renamesRefused, 12);
});

test("renamed names are written as they were read", () => {
  const data = ruleData({ rename: ["caf\u00e9.* -> \u00e9t\u00e9.$1"] });
  const rules = new RuleSet(data);
  assert.equal(show(rules.judge(Buffer.from("caf\u00e9.x"))), "0=\xc3\xa9t\xc3\xa9.x");
  assert.equal(show(rules.judge(Buffer.from("caf\u00e9.x\x80", "latin1"))), "0=\xe9t\xe9.x\x80");
});

test("a name's bytes may change after the verdict", () => {
  const rules = new RuleSet(ruleData({ rename: ["a.* -> b.$1", "** -> $0"] }));
  const name = Buffer.from("a.x");
  const verdict = rules.judge(name);
  name.fill(0x7a);
  assert.equal(show(verdict), "0=b.x");
});

test("caps come first, and names that are dropped anyhow do not use them up", () => {
  const data = { ...ruleData({ block: ["**.junk*"] }), caps: [{ prefix: "app", count: 2 }] };
  const rules = new RuleSet(data);
  const judge = (name: string): string => show(rules.judge(Buffer.from(name)));
  assert.equal(judge("app.junk1"), "filtered");
  assert.deepEqual(["app.a", "app.b", "app.c", "app.a", "db.c"].map(judge), [
    "0",
    "0",
    "cardinality",
    "0",
    "0",
  ]);
  assert.equal(judge("app.junk2"), "cardinality");
  assert.deepEqual(rules.caps.status(), [{ prefix: "app", count: 2, current: 2, admitted: 2, refused: 2 }]);
  assert.deepEqual(
    [rules.rotate(0), rules.rotate(999), rules.rotate(1000), rules.rotate(2000)],
    [...[false, false, true, true]],
  );
  assert.equal(judge("app.c"), "0");
});

test("the host is asked only where rules tell names apart", () => {
  const data = ruleData({}, [route("x", { mode: "move" }), route("y")]);
  assert.ok(!needsHost(data));
  assert.ok(needsHost({ ...data, caps: [{ prefix: "a", count: 1 }] }));
  for (const list of ["allow", "block", "rename"] as const) {
    const rule = list === "rename" ? "a -> b" : "a";
    assert.ok(needsHost(ruleData({ [list]: [rule] })), list);
    assert.ok(needsHost(ruleData({}, [route("x"), route("y", { [list]: [rule] })])), `route ${list}`);
  }
  assert.ok(needsHost(ruleData({}, [route("x", { match: ["a"] })])));
});

test("faulty rules are the operator's", () => {
  for (const main of [{ allow: ["[z-a]"] }, { rename: ["a b"] }, { rename: ["/(/ -> b"] }]) {
    assert.throws(() => new RuleSet(ruleData(main)), OperatorError);
  }
});

test("a verdict is explained by the rules that decided, without counting", () => {
  const data: RuleData = {
    ...ruleData({ block: ["**.debug"], rename: ["app.* -> service.$1", "/^ctl/ -> a:b"] }, [
      route("mirror", { match: ["zzz", "app.**"], allow: ["app.*"] }),
      route("bills", { match: ["pay.**"], mode: "move" }),
    ]),
    caps: [{ prefix: "app", count: 1 }],
  };
  const rules = new RuleSet(data);
  const lines = (name: string): readonly string[] => explainVerdict(rules, Buffer.from(name));
  assert.deepEqual(lines("app.x"), [
    "route mirror takes a copy: match has app.** and allow has app.*",
    "main takes it: every name may pass",
    "renamed to service.x by app.* -> service.$1",
    "route bills is not meant for it: no pattern of match fits",
    "cap app=1 counts it: dropped if it comes after that many other names",
  ]);
  assert.deepEqual(lines("app.x.debug").slice(0, 3), [
    "route mirror refuses it: no pattern of allow fits",
    "route bills is not meant for it: no pattern of match fits",
    "main refuses it: block has **.debug",
  ]);
  assert.deepEqual(lines("pay.x"), [
    "route bills takes it away: match has pay.**",
    "route mirror is not meant for it: no pattern of match fits",
    "main and later routes do not get it: route bills took it away",
  ]);
  assert.equal(lines("ctl")[1], "keeps its name, though /^ctl/ -> a:b fits: it would hold a colon");
  assert.equal(rules.renamesRefused, 0);
  assert.equal(rules.caps.status()[0]!.current, 0);
  const { targets, others } = explain(rules, Buffer.from("pay.x"), (index) => index !== 2);
  assert.deepEqual(targets, [{ route: 0, name: undefined, why: ["main takes it: every name may pass"] }]);
  assert.equal(others[1], "route bills leaves it out: it is not in the route's share of names");
});
