import assert from "node:assert/strict";
import { test } from "node:test";
import { OPENAPI } from "../../aggregator/page/openapi.ts";
import { aggregatorRoutes } from "../../aggregator/page/routes.ts";
import { SCHEMAS } from "../../aggregator/page/schemas.ts";
import { Standing } from "../../aggregator/page/standing.ts";
import type { AggregatorView } from "../../aggregator/page/view.ts";

/** Nothing of it is asked while routes are made. */
const routes = aggregatorRoutes({
  view: {} as AggregatorView,
  standing: new Standing(),
  log: { info() {}, warn() {} },
});

test("every route is described, and every description has its route", () => {
  const described = Object.entries(OPENAPI.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const served = routes.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(described.sort(), served.sort());
  assert.equal(new Set(served).size, served.length, "no route twice");
});

test("every schema that is referred to is there, and none is for nothing", () => {
  const text = JSON.stringify(OPENAPI.paths);
  const used = new Set([...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name!));
  for (const name of used) assert.ok(SCHEMAS[name] !== undefined, name);
  const idle = Object.keys(SCHEMAS).filter((name) => !used.has(name));
  // Messages of a tail are no answers of a route; its summary names them.
  assert.deepEqual(idle, ["TailLine"]);
});

test("the help names every page", async () => {
  const help = await routes
    .find(({ path }) => path === "/")!
    .handler({
      method: "GET",
      path: "/",
      query: new URLSearchParams(),
      headers: {},
      client: "127.0.0.1",
    });
  for (const { path } of routes) {
    if (["/", "/healthcheck"].includes(path)) continue;
    assert.ok(String(help.body).includes(path), path);
  }
});
