/** Reloads and restarts of the relay under load: every line that was sent arrives, once. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { TestDaemon } from "../support/daemons.ts";
import { InheritedSocket } from "../support/inherited-socket.ts";
import { Ledger } from "../support/ledger.ts";
import { LineSource } from "../support/line-source.ts";
import { waitFor } from "../support/wait-for.ts";

const RESTARTS = 5;
const RELOADS_EACH = 4;
const LINES_PER_SECOND = 100_000;
const LINES_MAX = 4_000_000;
/** Lines that come between two events, so that each of them happens under load. */
const LINES_BETWEEN = 10_000;
const SINKS = 4;

const needsMmsg = { skip: (await chooseIo("auto")) === "dgram" && "no mmsg here", timeout: 90_000 };

/** A relay that reads an inherited socket, with a configuration file that a test rewrites. */
class ReloadableRelay {
  readonly #t: TestContext;
  readonly #socket: InheritedSocket;
  readonly #ledger: Ledger;
  readonly #file: string;
  #sinks = SINKS - 1;
  #reloads = 0;
  /** Lines that relays accepted that have ended. */
  accepted = 0;
  daemon!: TestDaemon;

  constructor(t: TestContext, socket: InheritedSocket, ledger: Ledger) {
    const folder = mkdtempSync(join(tmpdir(), "statsrelay-reload-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    this.#t = t;
    this.#socket = socket;
    this.#ledger = ledger;
    this.#file = join(folder, "relay.ini");
    this.#writeConfig();
  }

  #writeConfig(): void {
    const lines = [
      "[relay]",
      `listen[] = ${this.#socket.address}`,
      "management = 127.0.0.1:0",
      "flush-interval = 50ms",
      "receive-buffer = 32m",
      "queue-bytes = 256m",
      ...this.#ledger.destinations.slice(0, this.#sinks).map((one) => `destinations[] = ${one}`),
    ];
    writeFileSync(this.#file, `${lines.join("\n")}\n`);
  }

  async start(): Promise<void> {
    const output: string[] = [];
    const args = ["--config", this.#file];
    const daemon = this.#socket.start("statsrelay", args, "relay.started", (line) => output.push(line));
    this.#t.after(() => daemon.stop());
    const { listen, management } = await daemon.started;
    const folder = mkdtempSync(join(tmpdir(), "statsrelay-"));
    this.daemon = new TestDaemon(daemon, output, listen, management, folder);
  }

  /** Adds a destination, or takes it away again; by signal and by request in turn. */
  async reload(): Promise<void> {
    this.#sinks = this.#sinks === SINKS ? SINKS - 1 : SINKS;
    this.#writeConfig();
    if (this.#reloads++ % 2 === 0) process.kill(this.daemon.pid, "SIGHUP");
    else {
      const answer = await fetch(`http://${this.daemon.management}/-/reload`, { method: "POST" });
      assert.equal(answer.status, 200, await answer.text());
    }
    const wanted = this.#sinks;
    await this.daemon.until(`${wanted} destinations`, (metrics) => {
      return metrics.sum("statsrelay_ring_destinations") === wanted;
    });
    if (wanted < SINKS) return;
    const before = this.#ledger.linesOf(SINKS - 1);
    await waitFor("lines at the new destination", () => this.#ledger.linesOf(SINKS - 1) > before);
  }

  async stop(): Promise<void> {
    assert.deepEqual(await this.daemon.stop(), { code: 0, signal: null });
    const [stopped] = this.daemon.events("relay.stopped");
    assert.ok(stopped !== undefined, "the relay tells its totals at its end");
    assert.equal(stopped.received, stopped.accepted);
    this.accepted += Number(stopped.accepted);
  }
}

/** Waits until so many lines more were sent. */
async function moreLines(source: LineSource): Promise<void> {
  const wanted = source.sent + LINES_BETWEEN;
  await waitFor(`${wanted} lines sent`, () => source.sent >= wanted);
}

/** Waits until everything that was sent has arrived; a failure tells what has not. */
async function allArrived(ledger: Ledger, sent: number): Promise<void> {
  try {
    await waitFor(`${sent} lines at the sinks`, () => ledger.lines >= sent);
  } catch (error) {
    throw new Error(`${String(error)}: ${JSON.stringify(ledger.report(sent))}`);
  }
}

function assertExact(ledger: Ledger, sent: number): void {
  assert.deepEqual(ledger.report(sent), { missing: 0, repeated: 0, firstMissing: [] });
  assert.equal(ledger.strange, 0);
}

test("udp: no line is lost in 20 reloads and 5 restarts under load", needsMmsg, async (t) => {
  const ledger = await Ledger.open({ protocol: "udp", sinks: SINKS, linesMax: LINES_MAX });
  t.after(() => ledger.close());
  const socket = await InheritedSocket.udp();
  t.after(() => socket.close());
  const relay = new ReloadableRelay(t, socket, ledger);
  await relay.start();
  const source = LineSource.start({
    protocol: "udp",
    port: socket.port,
    linesPerSecond: LINES_PER_SECOND,
    linesPerDatagram: 20,
    names: 1000,
    linesMax: LINES_MAX,
  });
  t.after(() => source.close());
  const begunMs = performance.now();
  for (let restart = 0; restart < RESTARTS; restart++) {
    for (let reload = 0; reload < RELOADS_EACH; reload++) {
      await moreLines(source);
      await relay.reload();
    }
    await moreLines(source);
    await relay.stop();
    await relay.start();
  }
  await moreLines(source);
  const sent = await source.stop();
  const perSecond = Math.round((sent * 1e3) / (performance.now() - begunMs));
  t.diagnostic(`${sent} lines sent, ${perSecond} a second`);
  await allArrived(ledger, sent);
  await relay.stop();
  assert.equal(socket.drops(), 0, "datagrams that the system dropped");
  assertExact(ledger, sent);
  assert.equal(relay.accepted, sent);
});

test(
  "tcp: a connection made before the relay, and reloads under load, lose no line",
  needsMmsg,
  async (t) => {
    const ledger = await Ledger.open({ protocol: "tcp", sinks: SINKS, linesMax: LINES_MAX });
    t.after(() => ledger.close());
    const socket = await InheritedSocket.tcp();
    t.after(() => socket.close());
    // Nobody accepts yet: the system holds the connection and its first lines.
    const source = LineSource.start({
      protocol: "tcp",
      port: socket.port,
      linesPerSecond: LINES_PER_SECOND / 2,
      linesPerDatagram: 20,
      names: 1000,
      linesMax: LINES_MAX,
    });
    t.after(() => source.close());
    await waitFor("the first lines", () => source.sent > 0);
    const relay = new ReloadableRelay(t, socket, ledger);
    await relay.start();
    for (let reload = 0; reload < RELOADS_EACH; reload++) {
      await moreLines(source);
      await relay.reload();
    }
    const sent = await source.stop();
    await allArrived(ledger, sent);
    await relay.stop();
    assertExact(ledger, sent);
    assert.equal(relay.accepted, sent);
  },
);
