// The daemon in front of a real VictoriaMetrics: names, tags and values of two presets as it exports them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { sendDatagrams, startAggregator } from "../support/daemons.ts";
import { RowFile } from "../support/row-file.ts";
import { hasVictoria, Victoria } from "../support/victoria.ts";
import { waitFor } from "../support/wait-for.ts";

const reason = "victoria-metrics is not installed";
const isMissing = !hasVictoria();
if (isMissing) console.error(`SKIPPED: the aggregator was NOT tried with VictoriaMetrics, ${reason}`);

/** One datagram, so that all falls into one interval. Values have few digits: about fifteen are kept. */
const LINES = [
  "app.hits:1.5|c\napp.hits:2|c|@0.5",
  "app.req:4|c|#zone:eu,host:web-1",
  "app.req;zone=us;host=web-1:6|c",
  "app.level:21.75|g|#room:kitchen",
  "app.users:ann|s|#env:prod\napp.users:bob|s|#env:prod\napp.users:ann|s|#env:prod",
  ...Array.from({ length: 101 }, (_, index) => `app.lat:${(index * 37) % 101}|ms|#env:prod`),
].join("\n");

type Labels = Readonly<Record<string, string>>;
type Expected = readonly (readonly [name: string, labels: Labels, value: number])[];

const APP_LAT = { env: "prod" };

const PRESETS: Readonly<Record<string, Expected>> = {
  bioyino: [
    ["app.hits", {}, 5.5],
    ["app.req", { zone: "eu", host: "web-1" }, 4],
    ["app.req", { zone: "us", host: "web-1" }, 6],
    ["app.level", { room: "kitchen" }, 21.75],
    ["app.users", { aggregate: "count", env: "prod" }, 2],
    ["app.lat", { aggregate: "count", ...APP_LAT }, 101],
    ["app.lat", { aggregate: "last", ...APP_LAT }, (100 * 37) % 101],
    ["app.lat", { aggregate: "min", ...APP_LAT }, 0],
    ["app.lat", { aggregate: "max", ...APP_LAT }, 100],
    ["app.lat", { aggregate: "sum", ...APP_LAT }, 5050],
    ["app.lat", { aggregate: "mean", ...APP_LAT }, 50],
    ["app.lat", { aggregate: "median", ...APP_LAT }, 50],
    ["app.lat", { aggregate: "rate", ...APP_LAT }, 101],
    ["app.lat", { aggregate: "percentile.75", ...APP_LAT }, 75],
    ["app.lat", { aggregate: "percentile.95", ...APP_LAT }, 95],
    ["app.lat", { aggregate: "percentile.98", ...APP_LAT }, 98],
    ["app.lat", { aggregate: "percentile.99", ...APP_LAT }, 99],
    ["app.lat", { aggregate: "percentile.999", ...APP_LAT }, 99.9],
  ],
  prometheus: [
    ["app_hits", {}, 5.5],
    ["app_req", { zone: "eu", host: "web-1" }, 4],
    ["app_req", { zone: "us", host: "web-1" }, 6],
    ["app_level", { room: "kitchen" }, 21.75],
    ["app_users_count", { env: "prod" }, 2],
    ["app_lat_count", APP_LAT, 101],
    ["app_lat_sum", APP_LAT, 5050],
    ["app_lat_min", APP_LAT, 0],
    ["app_lat_max", APP_LAT, 100],
    ["app_lat_mean", APP_LAT, 50],
    ["app_lat", { quantile: "0.5", ...APP_LAT }, 50],
    ["app_lat", { quantile: "0.9", ...APP_LAT }, 90],
    ["app_lat", { quantile: "0.95", ...APP_LAT }, 95],
    ["app_lat", { quantile: "0.99", ...APP_LAT }, 99],
  ],
};

/** A series in one line: its labels in order, then its points. */
function describe(metric: Labels, points: readonly (readonly [second: number, value: number])[]): string {
  const labels = Object.entries(metric).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify(labels)} ${JSON.stringify(points)}`;
}

for (const [preset, expected] of Object.entries(PRESETS)) {
  test(`naming ${preset}: VictoriaMetrics exports exactly what was sent`, {
    skip: isMissing && reason,
  }, async () => {
    const victoria = await Victoria.start();
    const file = new RowFile();
    const aggregator = await startAggregator(await chooseIo("auto"), {
      aggregator: "interval = 1s\nsinks[] = carbon, file",
      aggregation: `naming = ${preset}`,
      carbon: `address[] = 127.0.0.1:${victoria.graphitePort}`,
      file: file.config,
    });
    try {
      await sendDatagrams(aggregator.ports[0]!, [LINES]);
      await waitFor("the flush", () => file.rows().length >= expected.length);
      assert.equal((await aggregator.stop()).code, 0);
      const second = file.rows()[0]!.timestamp;
      const wanted = expected.map(([name, labels, value]) =>
        describe({ ...labels, __name__: name }, [[second, value]]),
      );
      let exported: string[] = [];
      await waitFor("as many series", async () => {
        exported = (await victoria.export()).map(({ metric, values, timestamps }) =>
          describe(
            metric,
            values.map((value, index) => [timestamps[index]! / 1000, value]),
          ),
        );
        return exported.length >= wanted.length;
      });
      assert.deepEqual(exported.sort(), wanted.sort());
    } finally {
      await victoria.stop();
      file.remove();
    }
  });
}
