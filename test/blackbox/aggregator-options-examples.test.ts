/** The examples for aggregators start on loopback, take lines and write rows; so does suite.ini. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { signDatagram } from "../../aggregator/listener/signed-datagram.ts";
import { startDaemon } from "../../bin/daemon.ts";
import { Metrics, sendDatagrams } from "../support/daemons.ts";
import { FakeCarbon } from "../support/fake-carbon.ts";
import { tlsPath } from "../support/tcp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const top = findTop(dirname(fileURLToPath(import.meta.url)));
const executable = fileURLToPath(new URL("../../bin/bioyino.js", import.meta.url));

/** The nearest folder upwards that holds the examples. */
function findTop(folder: string): string {
  return existsSync(join(folder, "config", "examples")) ? folder : findTop(dirname(folder));
}

/** Turns what an example says of the outer world into what a test has. Its interval is a whole hour. */
function onLoopback(text: string, carbon: FakeCarbon, folder: string): string {
  return `${text}\n`
    .replace(/^((?:listen(?:\[\])?|management|admin) = (?:\w+:\/\/)?)[\d.]+:\d+$/gm, "$1127.0.0.1:0")
    .replace(/^(address(?:\[\])? = )[\w.-]+:\d+$/gm, `$1127.0.0.1:${carbon.port}`)
    .replace(/^((?:\w|-)+ = (?:\w+:\/\/)?)\/(?:etc|var(?!\/run\/secrets)|run)\/(?:\w+\/)*/gm, `$1${folder}/`)
    .replace(/^interval = .*$/gm, "interval = 1h")
    .replace(/^protocol = tls$/gm, "protocol = tcp")
    .replace(/^tls-ca = .*$/gm, "")
    .replace(/^level = \w+$/gm, "level = info")
    .replace(/^receive-buffer = .*$/gm, "receive-buffer = 1m");
}

async function runExample(t: TestContext, path: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "example-"));
  const carbon = await FakeCarbon.start();
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
    return carbon.stop();
  });
  writeFileSync(join(folder, "statsd.key"), "secret\n");
  copyFileSync(tlsPath("server.pem"), join(folder, "server.pem"));
  copyFileSync(tlsPath("server.key"), join(folder, "server.key"));
  copyFileSync(tlsPath("ca.pem"), join(folder, "clients-ca.pem"));
  let text = onLoopback(readFileSync(join(top, "config", path), "utf8"), carbon, folder);
  if (!/^management/m.test(text))
    text = text.replace("[aggregator]", "[aggregator]\nmanagement = 127.0.0.1:0");
  const config = join(folder, "suite.ini");
  writeFileSync(config, text);

  const output: string[] = [];
  const onLine = (line: string): void => void output.push(line);
  const startedEvent = "aggregator.started";
  const daemon = startDaemon(executable, ["--config", config], { startedEvent, environment: {}, onLine });
  t.after(() => daemon.stop());
  const { listen, management } = await daemon.started.catch((error: unknown) => {
    throw new Error(`${path}: ${String(error)}\n${output.join("\n")}`);
  });
  const metrics = async (): Promise<Metrics> =>
    new Metrics(await (await fetch(`http://${management}/metrics`)).text());

  const udp = listen
    .filter((address) => address.startsWith("udp://"))
    .map((one) => Number(one.split(":")[2]));
  await sendDatagrams(udp[0]!, ["hits:1|c\nhits:2|c"]);
  if (udp.length > 1) {
    const signed = signDatagram(Buffer.from("secret"), Date.now(), 1, Buffer.from("hits:4|c"));
    await sendDatagrams(udp[1]!, [signed]);
  }
  const lineCount = 1 + udp.length;
  await waitFor(`${path}: the lines`, async () => {
    return (await metrics()).sum("bioyino_samples_merged_total") >= lineCount;
  });
  assert.equal((await daemon.stop()).code, 0, path);
  const sum = udp.length > 1 ? 7 : 3;
  // Of two carbons one may get a pickle, over a connection of its own.
  const rows = carbon.acknowledged
    .flatMap((bytes) => bytes.toString("latin1").split("\n"))
    .filter((line) => /^(?:stats_counts\.)?hits /.test(line));
  assert.ok(rows.length > 0, `${path}: no row\n${output.join("\n")}`);
  for (const row of rows) assert.equal(Number(row.split(" ")[1]), sum, path);
  assert.deepEqual(
    output.filter((line) => /"level":"(?:warn|error)"/.test(line) && !line.includes("single_thread")),
    [],
    path,
  );
}

const FILES = ["bioyino", "brubeck", "dogstatsd", "etsy", "secure", "two-carbons", "ipvs/bioyino"];
describe("examples", { concurrency: 2 }, () => {
  for (const name of FILES) test(`examples/${name}.ini`, (t) => runExample(t, `examples/${name}.ini`));
  test("suite.ini, the aggregator's part of it", (t) => runExample(t, "suite.ini"));
});
