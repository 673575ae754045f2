/** Prefixes of own metrics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ownPrefix } from "../../aggregator/stats-prefix.ts";
import { parseConfig } from "../../shared/config.ts";

test("nodes of a cluster can share a file and still have metrics of their own", () => {
  const prefixOf = (prefix: string) =>
    ownPrefix(parseConfig(`[aggregator]\nstats-prefix = ${prefix}\n[cluster]\nnode = web.1`, "x.ini"));
  assert.equal(prefixOf("bioyino"), "bioyino");
  assert.equal(prefixOf("stats.{node}.bioyino"), "stats.web_1.bioyino");
});
