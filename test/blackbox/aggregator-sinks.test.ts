// Six carbons and a file under load: one carbon is well, the others never read, never acknowledge, reset,
// refuse or are killed and come back. The good ones get every interval in time, intake loses nothing, and
// every row of every sink is accounted for.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { type Metrics, startAggregator, type TestDaemon } from "../support/daemons.ts";
import { type Behaviour, FakeCarbon } from "../support/fake-carbon.ts";
import { LineSource } from "../support/line-source.ts";
import { type FileRow, RowFile } from "../support/row-file.ts";
import { waitFor } from "../support/wait-for.ts";

const NAMES = 1000;
const INTERVALS = 7;
const LOAD = { protocol: "udp", linesPerSecond: 20_000, linesPerDatagram: 20, names: NAMES, linesMax: 1e6 };
/** Behind the end of its interval a row that a carbon has may at most be. */
const LATE_MS_MAX = 3000;
const QUICK = [
  "connect-timeout = 500ms\nwrite-timeout = 500ms\nack-timeout = 500ms",
  "retry-delay = 20ms\nretry-delay-max = 100ms",
].join("\n");
const DEAD = ["stuck", "silent", "reset", "refused"] as const;
/** More connections than there can be in this time. */
const ATTEMPTS = 5000;

function behaves(behaviour: Behaviour): Promise<FakeCarbon> {
  return FakeCarbon.start(new Array<Behaviour>(ATTEMPTS).fill(behaviour));
}

/** Rows by `name second`, the later of two. Throws on what is no line. */
function rowsOf(carbon: FakeCarbon): Map<string, number> {
  const rows = carbon.lines().map((line): [string, number] => {
    const match = /^(\S+) (\S+) (\d+)$/.exec(line);
    assert.ok(match, line);
    return [`${match[1]} ${match[3]}`, Number(match[2])];
  });
  return new Map(rows);
}

function mapOf(rows: readonly FileRow[]): Map<string, number> {
  return new Map(rows.map(({ name, timestamp, value }) => [`${name} ${timestamp}`, value]));
}

/** Notes in `delays` how long after the end of its interval each acknowledged piece was read whole. */
async function noteDelays(carbon: FakeCarbon, delays: number[]): Promise<void> {
  for (;;) {
    await carbon.until(() => carbon.acknowledged.length > delays.length);
    for (const piece of carbon.acknowledged.slice(delays.length)) {
      const second = Number(/^\S+ \S+ (\d+)\n/.exec(piece.toString())?.[1]);
      delays.push(Date.now() - second * 1000);
    }
  }
}

interface Ledger {
  readonly sent: number;
  readonly lost: number;
  readonly queued: number;
  readonly spooled: number;
}

function ledgerOf(metrics: Metrics, sink: string): Ledger {
  const sum = (family: string) => metrics.sum(`bioyino_sink_${family}`, `sink="${sink}"`);
  return {
    sent: sum("rows_sent_total"),
    lost: sum("rows_lost_total"),
    queued: sum("queued_rows"),
    spooled: sum("spooled_rows"),
  };
}

function total({ sent, lost, queued, spooled }: Ledger): number {
  return sent + lost + queued + spooled;
}

/** Sum that each name must come to: the numbers below `sent` that have its remainder. */
function expectedSums(sent: number): Map<string, number> {
  const sums = new Map<string, number>();
  for (let number = 0; number < sent; number++) {
    const name = `load.${number % NAMES}.requests`;
    sums.set(name, (sums.get(name) ?? 0) + number);
  }
  return sums;
}

function intervalsFlushed(aggregator: TestDaemon): number {
  return aggregator.events("interval.flushed").filter(({ rows }) => Number(rows) > 0).length;
}

test("sinks that hang, reset, refuse and die delay nobody and lose nothing uncounted", async () => {
  const folder = mkdtempSync(join(tmpdir(), "aggregator-sinks-"));
  const file = new RowFile();
  const [live, killed, refused] = [
    await FakeCarbon.start(),
    await FakeCarbon.start(),
    await FakeCarbon.start(),
  ];
  const stuck = await behaves({ kind: "stuck", afterBytes: 0 });
  const silent = await behaves({ kind: "silent" });
  const reset = await behaves({ kind: "reset", afterBytes: 5000 });
  await refused.stop();
  const section = (carbon: FakeCarbon, more = "") => `address[] = 127.0.0.1:${carbon.port}\n${more}`;
  const aggregator = await startAggregator(await chooseIo("auto"), {
    aggregator: [
      "interval = 1s\ndrain-timeout = 2s",
      "sinks[] = carbon, carbon.killed, carbon.stuck, carbon.silent, carbon.reset, carbon.refused, file",
    ].join("\n"),
    cluster: "snapshot-interval = 200ms",
    file: file.config,
    carbon: section(live, QUICK),
    "carbon.killed": section(killed),
    "carbon.stuck": section(stuck, "queue-bytes = 64k"),
    "carbon.silent": section(silent),
    "carbon.reset": section(reset, "queue-bytes = 64k\nconnections = 3\nchunk-bytes = 8k"),
    "carbon.refused": section(refused, `queue-bytes = 64k\nspool-dir = ${join(folder, "spool")}`),
  });
  const delays: number[] = [];
  void noteDelays(live, delays);
  try {
    const source = LineSource.start({ ...LOAD, protocol: "udp", port: aggregator.ports[0]! });
    await waitFor("two intervals", () => intervalsFlushed(aggregator) >= 2);
    await killed.stop();
    await waitFor("four intervals", () => intervalsFlushed(aggregator) >= 4);
    await killed.restart();
    await waitFor("all intervals", () => intervalsFlushed(aggregator) >= INTERVALS);
    const sent = await source.stop();
    const sinks = ["carbon", "carbon.killed", ...DEAD.map((name) => `carbon.${name}`), "file"];

    // Intake: all that was sent, and nothing else.
    const settled = await aggregator.until("all of it in every sink's account", (now) => {
      const rows = now.sum("bioyino_flushed_rows_total");
      const isQuiet = now.sum("bioyino_open_series") === 0 && now.sum("bioyino_samples_in_flight") === 0;
      const isDelivered = ["carbon", "carbon.killed", "file"].every(
        (sink) => ledgerOf(now, sink).sent === rows,
      );
      return isQuiet && isDelivered && now.sum("bioyino_flushed_samples_total") === sent;
    });
    assert.equal(settled.sum("bioyino_lines_received_total"), sent);
    assert.equal(settled.sum("bioyino_lines_accepted_total"), sent);
    assert.equal(settled.sum("bioyino_kernel_drops_total"), 0);
    assert.equal(settled.sum("bioyino_samples_lost_total"), 0);
    assert.equal(settled.sum("bioyino_conservation_error"), 0);
    assert.equal(settled.sum("bioyino_watchdog_alarms_total"), 0);

    // Ledgers: every row that was flushed is in one column of each sink.
    const rows = settled.sum("bioyino_flushed_rows_total");
    for (const sink of sinks) {
      const ledger = ledgerOf(settled, sink);
      assert.equal(total(ledger), rows, `${sink} ${JSON.stringify(ledger)}`);
    }
    for (const name of DEAD) assert.equal(ledgerOf(settled, `carbon.${name}`).sent, 0, name);
    assert.ok(ledgerOf(settled, "carbon.stuck").lost > 0, "a small queue is full");
    assert.ok(ledgerOf(settled, "carbon.refused").spooled > 0, "what does not fit is on disk");
    assert.equal(ledgerOf(settled, "carbon.refused").lost, 0);
    assert.equal(ledgerOf(settled, "carbon.silent").lost, 0);

    // What is delivered is exact: sums over all intervals, and each interval alike in all good sinks.
    assert.equal((await aggregator.stop()).code, 0);
    const inFile = file.rows().filter(({ name }) => name.startsWith("load."));
    assert.deepEqual(file.sums(), expectedSums(sent));
    assert.deepEqual(rowsOf(live), mapOf(inFile));
    assert.deepEqual(rowsOf(killed), mapOf(inFile));
    const seconds = [...new Set(inFile.map(({ timestamp }) => timestamp))];
    assert.ok(seconds.length >= INTERVALS);
    const unbroken = seconds.map((_, index) => seconds[0]! + index);
    assert.deepEqual(seconds, unbroken, "no interval is left out");
    const worst = Math.max(...delays);
    assert.ok(worst < LATE_MS_MAX, `${worst} ms late`);
  } finally {
    await Promise.all([live, killed, stuck, silent, reset].map((carbon) => carbon.stop()));
    file.remove();
    rmSync(folder, { recursive: true });
  }
});
