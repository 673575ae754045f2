/** Lists whose items are patterns and rules: how they are written, and what is wrong with some. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../shared/config.ts";
import { faultsOf } from "../support/config-fault.ts";

test("patterns take their whole line", () => {
  const text = [
    "[relay]",
    "allow[] = /^a{1,2}\\.(b|c d)$/",
    'allow[] = "app;env=*"',
    'allow[] = "/\\\\d#/"',
    "block = x.*",
    "rename[] = *.web.**   ->  web.$1.$2",
    'rename[] = "/^(.*) -> x;$/ -> y"',
  ].join("\n");
  const { allow, block, rename } = parseConfig(text, "x.ini").relay;
  assert.deepEqual(allow, ["/^a{1,2}\\.(b|c d)$/", "app;env=*", "/\\d#/"]);
  assert.deepEqual(block, ["x.*"]);
  assert.deepEqual(rename, ["*.web.** -> web.$1.$2", "/^(.*) -> x;$/ -> y"]);
});

test("a line without an item adds none", () => {
  assert.deepEqual(parseConfig('[relay]\nallow[] =\nblock[] = ""\nrename =', "x.ini").relay.allow, []);
});

test("patterns that are none", () => {
  const place = "put the value in double quotes, or a comment on a line of its own";
  const blanks = "has blanks or commas, which do not part these items; write allow[] = ITEM for each";
  const long = "has a replacement longer than 1024; shorten it";
  const arrow = "write PATTERN -> REPLACEMENT";
  const faults: Readonly<Record<string, string>> = {
    "allow = a.* b.*": `relay.allow = a.* b.*: ${blanks}`,
    "allow = a,b": `relay.allow = a,b: ${blanks}`,
    "allow[] = a # all": `relay.allow[] = a # all: has # in it; ${place}`,
    "allow[] = a\\;b": `relay.allow[] = a\\;b: has ; in it; ${place}`,
    "rename[] = a": `relay.rename = a: has no arrow between two names; ${arrow}`,
    "rename[] = a ->": `relay.rename = a ->: has nothing behind its arrow; ${arrow}`,
    "rename[] = a.* -> b.$2":
      "relay.rename = a.* -> b.$2: asks for $2, but its pattern captures only $1..$1; " +
      "use those, or write $$ for a dollar",
    "rename[] = a -> b:c": "relay.rename = a -> b:c: has a blank, colon or bar in its replacement; remove it",
    [`rename[] = a -> ${"b".repeat(1025)}`]: `relay.rename = a -> ${"b".repeat(55)}...: ${long}`,
  };
  for (const [line, fault] of Object.entries(faults)) {
    assert.equal(faultsOf(`[relay]\n${line}`), `line 2: ${fault}`);
  }
  for (const key of ["allow[] = /(/", "block[] = /(/", "rename[] = /(/ -> x"]) {
    assert.match(faultsOf(`[relay]\n${key}`), /^line 2: relay\.(allow|block|rename) = \/\(\/.*; /);
  }
});
