import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorError } from "../../shared/errors.ts";
import {
  compilePattern,
  decodeName,
  encodeName,
  nameEncoding,
  patternFault,
  replacementFault,
} from "../../shared/pattern.ts";

/** Pattern, names that fit, names that do not. */
const FITS: readonly [pattern: string, fit: readonly string[], unfit: readonly string[]][] = [
  ["app", ["app"], ["", "ap", "apps", "my.app", "App"]],
  ["app.*", ["app.", "app.x"], ["app", "app.x.y", "xapp.x"]],
  ["*", ["", "x"], [".", "x.y"]],
  ["**", ["", "x", "x.y", "..", "a b", "a\nb"], []],
  ["app.**", ["app.", "app.x", "app.x.y"], ["app", "apps.x"]],
  ["**.count", [".count", "a.b.count"], ["count", "a.count.b"]],
  ["a**z", ["az", "a.b.z", "a\nz"], ["a", "z"]],
  ["***", ["", "a.b"], []],
  ["a?c", ["abc", "a\u{1f600}c", "a\u00e9c"], ["ac", "a.c", "abbc"]],
  ["{a,bc}.x", ["a.x", "bc.x"], ["b.x", "abc.x", "{a,bc}.x"]],
  ["a{,.b}", ["a", "a.b"], ["a.", "a,.b"]],
  ["{a,{b,c}d}", ["a", "bd", "cd"], ["b", "c", "ad"]],
  ["{*.x,y}", ["a.x", "y"], ["a.b.x", "a.y"]],
  ["h[0-9][a-c_-]", ["h0a", "h9_", "h5-"], ["h0", "hxa", "h0d"]],
  ["[!0-9]", ["a", "-"], ["0", ".", "", "ab"]],
  ["[^ab.]", ["c"], ["a", "b", "."]],
  ["[].]", ["]", "."], ["[", "a"]],
  ["[*][?][[][{]", ["*?[{"], ["a"]],
  ["a}b,c]d", ["a}b,c]d"], ["ab"]],
  ["a+(b)|^$\\d", ["a+(b)|^$\\d"], ["aab"]],
  ["caf\u00e9.*", ["caf\u00e9.x"], ["cafe.x"]],
  ["[\u00e0-\u00ef]", ["\u00e9"], ["e"]],
  ["a-b", ["a-b"], ["a.b"]],
  ["/app/", ["app", "my.app.x"], ["ap", "APP"]],
  ["/^app\\./i", ["app.x", "APP.y"], ["my.app.x"]],
  ["/a/b/", ["xa/by"], ["ab"]],
  ["/a\\/b$/", ["a/b"], ["a/bc"]],
  ["/^a$/", ["a"], ["a\nb", "b\na"]],
  ["/^\\w+\\d{2,3}$/", ["ab12", "a123"], ["a1", "a-12"]],
  ["/^\\pL+$/", ["\u00e9t\u00e9"], ["a1"]],
];

test("names fit patterns or not", () => {
  for (const [text, fit, unfit] of FITS) {
    const pattern = compilePattern(text);
    assert.equal(patternFault(text), undefined, text);
    assert.equal(pattern.text, text);
    for (const name of fit) assert.ok(pattern.matches(name), `${text} must fit ${JSON.stringify(name)}`);
    for (const name of unfit)
      assert.ok(!pattern.matches(name), `${text} must not fit ${JSON.stringify(name)}`);
  }
});

test("faults say what is wrong and how to mend it", () => {
  const faults: readonly [text: string, fault: RegExp][] = [
    ["", /^is empty; write/],
    ["a".repeat(1025), /^is longer than 1024; shorten/],
    ["a\tb", /cannot be printed; remove/],
    ["a[b", /\[ without its \]; close it/],
    ["a[]", /has \[\], which names no characters; write/],
    ["a[!]", /has \[!\], which names no characters; write/],
    ["[z-a]", /has \[z-a\], which names no characters; write/],
    ["{a,b", /\{ without its \}; close it/],
    ["/app", /no slash at its end; write/],
    ["/", /no slash at its end; write/],
    ["//", /is empty; write something between/],
    ["/a/g", /has "g" behind its last slash; write/],
    ["/a/b.c", /has "b.c" behind its last slash; write/],
    ["/(/", /no regular expression \(missing closing \).*; mend it/],
    ["/(a)\\1/", /no regular expression \(invalid escape sequence.*; mend it/],
    ["/a(?=b)/", /no regular expression \(.*; mend it/],
    ["/(?<=a)b/", /no regular expression \(.*; mend it/],
    ["/a{1001}/", /too complex; lower/],
    ["/(a{100}){100}/", /too complex; lower/],
    ["/((a{30}){30}){2}/", /too complex; lower/],
    ["/a{1000}a{1000}/", /too complex; lower/],
    [`/${"(".repeat(33)}${")".repeat(33)}/`, /more than 32 groups; write \(\?:/],
  ];
  for (const [text, fault] of faults) assert.match(patternFault(text) ?? "fine", fault, text);
  assert.throws(
    () => compilePattern("[z-a]"),
    (error: unknown) => error instanceof OperatorError && /pattern "\[z-a\]" has/.test(error.message),
  );
});

test("the longest patterns of text and wildcards are not too complex", () => {
  for (const text of [
    "a".repeat(1024),
    "?".repeat(1024),
    "*.".repeat(340),
    "**x".repeat(340),
    "\u00e9".repeat(1024),
  ])
    assert.equal(patternFault(text), undefined, text.slice(0, 9));
});

test("names are replaced by what was captured", () => {
  const cases: readonly [pattern: string, name: string, replacement: string, result: string | undefined][] = [
    ["*.web.**", "eu.web.hits.total", "web.$1.$2", "web.eu.hits.total"],
    ["a?.{x*,y}", "ab.x12", "$1-$2", "b-12"],
    ["a?.{x*,y}", "ab.y", "$1-$2", "b-"],
    ["a.[xyz].*", "a.x.b", "$1", "b"],
    ["**.*", "a.b.c", "$2.$1", "c.a.b"],
    ["a", "a", "$0.$0", "a.a"],
    ["a.**", "a.b", "$0", "a.b"],
    ["a.**", "b.b", "x", undefined],
    ["a", "a", "$$1$x$", "$1$x$"],
    ["a*", "ab", "$10", "b0"],
    ["a", "a", "[$1]", "[]"],
    ["**********", "ab", "$5", ""],
    ["*.*.*.*.*.*.*.*.*.*.*", "a.b.c.d.e.f.g.h.i.j.k", "$9$1", "ia"],
    ["/^app\\./", "app.x.app.y", "service.", "service.x.app.y"],
    ["/\\.(\\d+)\\./", "a.12.b.34.c", "_$1_", "a_12_b.34.c"],
    ["/(a)|(b)/", "xb", "<$1$2>", "x<b>"],
    ["/(?P<host>h\\d)/", "a.h1.b", "$1", "a.h1.b"],
    ["/x*/", "abc", "-", "-abc"],
    ["/$/", "abc", ".end", "abc.end"],
    ["/B+/i", "abBc", "", "ac"],
    ["*\u{1f600}*", "a\u{1f600}b", "$2$1", "ba"],
  ];
  for (const [pattern, name, replacement, result] of cases) {
    assert.equal(compilePattern(pattern).replace(name, replacement), result, `${pattern} ${replacement}`);
  }
});

test("replacements ask only for what is captured", () => {
  assert.equal(replacementFault("*.web.**", "$2.$1.$0"), undefined);
  assert.equal(replacementFault("a", "$$1"), undefined);
  assert.match(replacementFault("a", "x$1")!, /asks for \$1, but its pattern captures nothing; use/);
  assert.match(
    replacementFault("/(a)(b)/", "$3")!,
    /asks for \$3, but its pattern captures only \$1\.\.\$2; use/,
  );
  assert.equal(replacementFault("[z-a]", "$3"), undefined, "that is the pattern's fault");
});

test("a replacement that grows is cut short above the longest name", () => {
  const name = "a".repeat(4096);
  const result = compilePattern("**").replace(name, "$1".repeat(512))!;
  assert.ok(result.length > 4096 && result.length <= 3 * 4096, `${result.length} characters`);
});

test("no pattern takes more than linear time", { timeout: 60_000 }, () => {
  // With a backtracking engine the first of these alone would outlive the universe.
  const patterns = [
    "/^(a+)+$/",
    "/(a|aa)+$/",
    "/(a*)*b?!$/",
    "/^(([a-z])+.)+[A-Z]([a-z])+$/",
    "/(.*)(.*)(.*)(.*)(.*)[!]$/",
    "/(a?){30}a{30}!$/",
    "/(a|b)*a(a|b){12}!?$/",
    "**a**a**a**a**a**!",
    "*a*a*a*a*a*a*a*!",
    "{a,aa}{a,aa}{a,aa}**{a,?a}!",
    "[a-c]?**[!b]*?!",
  ];
  const same = "a".repeat(65_536);
  let state = 1;
  const mixed = Array.from({ length: 65_536 }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) & 1 ? "a" : "b";
  }).join("");
  for (const text of patterns) {
    const pattern = compilePattern(text);
    for (const name of [same, `${same}!`, mixed, `${mixed}!`, "a.".repeat(32_768)]) {
      const isFit = pattern.matches(name);
      assert.equal(
        pattern.replace(name.slice(0, 4096), "x$1") !== undefined,
        pattern.matches(name.slice(0, 4096)),
      );
      if (text === "/^(a+)+$/") assert.equal(isFit, name === same);
    }
  }
});

test("names are read as UTF-8 where they are, else byte by byte, and written the same way", () => {
  const utf8 = Buffer.from("caf\u00e9.\ufeffx");
  assert.equal(nameEncoding(utf8), "utf8");
  assert.equal(decodeName(utf8, "utf8"), "caf\u00e9.\ufeffx");
  assert.deepEqual(encodeName("\u00e9\u6642", utf8), Buffer.from("\u00e9\u6642"));
  const latin = Buffer.from([0x63, 0xe9, 0x80]);
  assert.equal(nameEncoding(latin), "latin1");
  assert.equal(decodeName(latin, "latin1"), "c\u00e9\u0080");
  assert.deepEqual(encodeName("\u00e9x\u0080", latin), Buffer.from([0xe9, 0x78, 0x80]));
  assert.equal(encodeName("\u6642", latin), undefined);
  assert.deepEqual(encodeName("\u6642", Buffer.from("ascii")), Buffer.from("\u6642"));
  assert.equal(decodeName(new Uint8Array(Buffer.from("xxabcxx")).subarray(2, 5), "latin1"), "abc");
  // Overlong forms and surrogates are no UTF-8.
  for (const hex of ["c080", "eda080", "f4908080"]) {
    assert.equal(nameEncoding(Buffer.from(hex, "hex")), "latin1");
  }
});
