/** How an operator runs a relay: reloads, ring checks, peers, health of the relay itself, questions to it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { relayFile, type TestDaemon } from "../support/daemons.ts";
import {
  closeBooks,
  eventOf,
  freePort,
  IO,
  KINDS,
  named,
  openSink,
  openSinks,
  runCommand,
  sendLines,
  startWith,
} from "../support/relay-rig.ts";
import { collectLines, type UdpSink } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const RELOADS = "statsrelay_reloads_total";

type Reloadable = TestDaemon & { readonly configPath: string };

/** Writes another configuration in the place of a relay's own. */
function rewrite(relay: Reloadable, keys: string): void {
  writeFileSync(relay.configPath, relayFile(IO, keys));
}

interface Answer {
  readonly status: number;
  readonly ok: boolean;
  readonly moved: Record<string, number>;
  readonly message: string;
}

async function reload(relay: TestDaemon, query = "", headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`http://${relay.management}/-/reload${query}`, { method: "POST", headers });
  return { status: response.status, ...((await response.json()) as Omit<Answer, "status">) };
}

/** Asks a health port one thing; an empty answer means that nobody listens. */
async function askHealth(port: number, command = "health"): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    socket.write(`${command}\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    return answer.toString().trim();
  } catch {
    return "";
  } finally {
    socket.destroy();
  }
}

test("SIGHUP and POST /-/reload go on by the new file; a bad one changes nothing", async (t) => {
  const sinks = await openSinks(t, 2);
  const relay = await startWith(t, named([sinks[0]!]));
  rewrite(relay, named([sinks[1]!]));
  relay.signal("SIGHUP");
  await eventOf(relay, "relay.reloaded");
  await sendLines(relay, ["a:1|c"]);
  assert.deepEqual(await collectLines([sinks[1]!], 1), ["a:1|c"]);
  rewrite(relay, `${named([sinks[0]!])}\nnonsense = 1\nthreads = none`);
  const bad = await reload(relay);
  assert.equal(bad.status, 409);
  assert.equal(bad.ok, false);
  assert.match(bad.message, /nonsense[\s\S]*threads|threads[\s\S]*nonsense/);
  await eventOf(relay, "relay.reload_refused");
  await sendLines(relay, ["b:1|c"]);
  assert.deepEqual(await collectLines([sinks[1]!], 2), ["a:1|c", "b:1|c"]);
  rewrite(relay, `${named([sinks[0]!])}\nmetrics-prefix = p`);
  const good = await reload(relay);
  assert.equal(good.status, 200);
  assert.equal(good.moved.main, 1);
  await sendLines(relay, ["c:1|c"]);
  assert.deepEqual(await collectLines([sinks[0]!], 1), ["p.c:1|c"]);
  const metrics = await closeBooks(relay, 3);
  assert.equal(metrics.sum(RELOADS, 'outcome="done"'), 2);
  assert.equal(metrics.sum(RELOADS, 'outcome="refused"'), 1);
  assert.equal(metrics.sum("statsrelay_generation"), 3);
});

test("a reload that moves too many names is refused, unless it is forced", async (t) => {
  const sinks = await openSinks(t, 4);
  const limit = "reload-moved-max = 30";
  const relay = await startWith(t, `${named(sinks.slice(0, 3))}\n${limit}`);
  rewrite(relay, `${named(sinks)}\n${limit}`);
  const appended = await reload(relay);
  assert.equal(appended.ok, true, appended.message);
  assert.ok(Math.abs(appended.moved.main! - 0.25) < 0.02, `${appended.moved.main}`);
  rewrite(relay, `${named([...sinks].reverse())}\n${limit}`);
  const refused = await reload(relay);
  assert.equal(refused.status, 409);
  assert.match(refused.message, /reload-moved-max/);
  const command = ["reload", "--management", relay.management];
  const asked = runCommand(command);
  assert.equal(asked.code, 1);
  assert.match(asked.stdout, /^refused: .*reload-moved-max/);
  const forced = runCommand([...command, "--force"]);
  assert.equal(forced.code, 0, forced.stderr);
  assert.match(forced.stdout, /ring main: \d+\.\d\d % of its names move/);
  const metrics = await closeBooks(relay, 0);
  assert.equal(metrics.sum(RELOADS, 'outcome="refused"'), 2);
});

test("keys that need a restart are named by a reload", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, named([sink]));
  rewrite(relay, `${named([sink])}\nreceive-buffer = 1m\nmanagement-token = x`);
  const { ok, message } = await reload(relay);
  assert.equal(ok, true);
  assert.match(message, /restart is needed for .*receive-buffer.*management-token/);
  const { keys } = await eventOf(relay, "relay.needs_restart");
  assert.deepEqual([...(keys as string[])].sort(), ["management-token", "receive-buffer"]);
  await closeBooks(relay, 0);
});

test("a reload needs the token where there is one, and never comes from a web page without it", async (t) => {
  const sink = await openSink(t);
  const open = await startWith(t, named([sink]));
  assert.equal((await reload(open, "", { Origin: "http://evil.example" })).status, 403);
  assert.equal((await reload(open)).status, 200);
  const closed = await startWith(t, `${named([sink])}\nmanagement-token = s3cret`);
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
  assert.equal((await reload(closed)).status, 401);
  assert.equal((await reload(closed, "", bearer("wrong"))).status, 401);
  assert.equal((await reload(closed, "", bearer("s3cret"))).status, 200);
  const command = ["reload", "--management", closed.management];
  assert.equal(runCommand(command).code, 1);
  assert.equal(runCommand([...command, "--token", "s3cret"]).code, 0);
  assert.equal(runCommand(command, { STATSRELAY_TOKEN: "s3cret" }).code, 0);
  const metrics = await closeBooks(closed, 0);
  assert.equal(metrics.sum(RELOADS, 'outcome="done"'), 3);
  assert.equal((await open.get("/-/reload")).status, 405);
});

for (const io of KINDS) {
  test(`${io}: handover keeps known names where they are for its time, new ones move at once`, async (t) => {
    const sinks = await openSinks(t, 2);
    const before = await startWith(t, `${named([sinks[0]!])}\nhandover = 1s`, io);
    const known = Array.from({ length: 20 }, (_, number) => `known.${number}:1|c`);
    await sendLines(before, known);
    await collectLines([sinks[0]!], known.length);
    // The old destination goes on serving the names that it has.
    writeFileSync(before.configPath, relayFile(io, `${named([...sinks].reverse())}\nhandover = 1s`));
    assert.equal((await reload(before)).ok, true);
    await sendLines(before, known);
    const twice = [...known, ...known].sort();
    assert.deepEqual(await collectLines([sinks[0]!], 2 * known.length), twice);
    assert.equal(sinks[1]!.lines.length, 0);
    // Where the new ring sends them, explain knows.
    const { stdout } = runCommand(["explain", "--config", before.configPath, "--json", "known.0", "known.1"]);
    const answers = JSON.parse(stdout) as { targets: { destinations: string[] }[] }[];
    assert.equal(answers.length, 2);
    let rounds = 2;
    await waitFor("names that have moved", async () => {
      await sendLines(before, known);
      rounds += 1;
      return sinks[1]!.lines.length > 0;
    });
    await closeBooks(before, rounds * known.length);
    await collectLines(sinks, rounds * known.length);
    for (const [index, { targets }] of answers.entries()) {
      const isMoving = targets[0]!.destinations[0] === sinks[1]!.destination;
      assert.equal(sinks[1]!.lines.includes(`known.${index}:1|c`), isMoving);
    }
  });
}

test("expect-ring: another ring does not start, and is not gone over to", async (t) => {
  const sinks = await openSinks(t, 2);
  const set = (list: readonly UdpSink[]) => ["--set", `destinations=${list.map((one) => one.destination)}`];
  const ring = runCommand(["ring", ...set(sinks)]);
  const [, fingerprint = ""] = ring.stdout.split(" ");
  assert.match(fingerprint, /^[0-9a-f]{16}$/);
  const base = ["-b", "127.0.0.1", "-p", "0", "--management", "127.0.0.1:0", "--expect-ring"];
  const wrong = runCommand([...base, "0123456789abcdef", sinks[0]!.destination]);
  assert.equal(wrong.code, 78);
  assert.match(wrong.stderr, /expect-ring is 0123456789abcdef, but the ring is [0-9a-f]{16}/);
  const relay = await startWith(t, `${named(sinks)}\nexpect-ring = ${fingerprint}`);
  rewrite(relay, `${named([...sinks].reverse())}\nexpect-ring = ${fingerprint}`);
  const { ok, message } = await reload(relay, "?force=1");
  assert.equal(ok, false);
  assert.match(message, /expect-ring/);
  const metrics = await closeBooks(relay, 0);
  assert.equal(metrics.sum("statsrelay_ring_info", `fingerprint="${fingerprint}"`), 1);
  const page = (await (await relay.get("/ring")).json()) as { rings: Record<string, string> };
  assert.deepEqual(page.rings, { main: fingerprint });
});

async function startWatching(t: TestContext, sinks: readonly UdpSink[], peer: string): Promise<Reloadable> {
  return startWith(t, `${named(sinks)}\npeers[] = ${peer}\npeers-interval = 100ms`);
}

test("peers with other rings raise an alarm that ends when they are equal", async (t) => {
  const sinks = await openSinks(t, 2);
  const other = await startWith(t, named(sinks));
  const relay = await startWatching(t, [...sinks].reverse(), other.management);
  const alarm = await eventOf(relay, "relay.ring_differs");
  assert.equal(alarm.level, "error");
  assert.deepEqual(alarm.rings, ["main"]);
  const peer = `peer="${other.management}"`;
  await relay.until("the alarm", (now) => now.sum("statsrelay_peer_ring_differs", peer) === 1);
  rewrite(other, named([...sinks].reverse()));
  assert.equal((await reload(other)).ok, true);
  await eventOf(relay, "relay.ring_same");
  await relay.until("its end", (now) => now.sum("statsrelay_peer_ring_differs", peer) === 0);
  await closeBooks(other, 0);
  await other.stop();
  await eventOf(relay, "relay.peer_unreachable");
  await relay.until("no answer", (now) => now.sum("statsrelay_peer_ring_differs", peer) === -1);
  await closeBooks(relay, 0);
});

test("load balancers see the relay go before it does: drain-delay", async (t) => {
  const sink = await openSink(t);
  const health = await freePort();
  const relay = await startWith(
    t,
    `${named([sink])}\nhealth-listen = 127.0.0.1:${health}\ndrain-delay = 1s\nflush-interval = 50ms`,
  );
  assert.equal((await relay.get("/readyz")).status, 200);
  assert.equal(await askHealth(health), "health: up");
  // By hand, as before work on the machine.
  assert.equal(await askHealth(health, "health down"), "health: down");
  assert.equal((await relay.get("/readyz")).status, 503);
  assert.equal((await relay.get("/healthz")).status, 200);
  assert.equal(await askHealth(health, "health auto"), "health: up");
  assert.equal((await relay.get("/readyz")).status, 200);
  await sendLines(relay, ["before:1|c"]);
  await closeBooks(relay, 1);
  process.kill(relay.pid, "SIGTERM");
  await waitFor("not ready", async () => (await relay.get("/readyz")).status === 503);
  assert.equal(await askHealth(health), "", "nobody listens any more");
  // Whoever has not seen it yet is still served.
  await sendLines(relay, ["meanwhile:1|c"]);
  await closeBooks(relay, 2);
  assert.deepEqual(await collectLines([sink], 2), ["before:1|c", "meanwhile:1|c"]);
  await sendLines(relay, ["last:1|c"]);
  assert.deepEqual(await relay.stop(), { code: 0, signal: null });
  assert.deepEqual(await collectLines([sink], 3), ["before:1|c", "last:1|c", "meanwhile:1|c"]);
  assert.equal(relay.events("relay.stopped")[0]?.accepted, 3);
});
