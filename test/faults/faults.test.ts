// Real faults, done to real processes on machines of their own: the short form of `npm run test:faults`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { networkFault, runInNetwork } from "../support/fault-network.ts";
import type { Row } from "./check.ts";
import { describeRow } from "./report.ts";

const DEADLINE_MS = 110_000;
const fault = networkFault();

test("a cluster bears a killed, a stopped and a cut-off leader, and a carbon that resets connections", {
  skip: fault ?? false,
  timeout: DEADLINE_MS,
}, async (t) => {
  let output = "";
  const script = fileURLToPath(new URL("./run.js", import.meta.url));
  const code = await runInNetwork(script, ["--short", "--json"], {
    signal: t.signal,
    onOutput(text) {
      output += text;
    },
  });
  const lines = output.split("\n").filter((line) => line.startsWith("{"));
  const rows = lines.map((line) => JSON.parse(line) as Row);
  for (const row of rows) t.diagnostic(describeRow(row));
  const red = rows.filter(({ offences }) => offences.length > 0).map(describeRow);
  assert.deepEqual(red, []);
  assert.equal(code, 0);
  assert.deepEqual(
    rows.filter(({ leftOut }) => leftOut === "").map(({ id }) => id),
    ["R1", "R9", "R3", "R4", "R20"],
  );
});
