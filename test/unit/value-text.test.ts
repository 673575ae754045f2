/** How pages are shown to people. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeValue } from "../../shared/terminal/value-text.ts";

test("fractions have six digits, whole numbers all of theirs", () => {
  assert.equal(
    describeValue({ ms: 1.1216239999998834, sec: 1795275384815, tiny: 1.25e-9 }),
    `ms    1.12162
sec   1795275384815
tiny  1.25e-9
`,
  );
});
