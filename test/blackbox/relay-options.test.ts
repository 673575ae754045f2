/** What options make of lines and packets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sendDatagrams } from "../support/daemons.ts";
import {
  closeBooks,
  dropped,
  IO,
  KINDS,
  named,
  openSink,
  openSinks,
  sendLines,
  startByCommand,
  startWith,
} from "../support/relay-rig.ts";
import { collectLines } from "../support/udp-sink.ts";
import { waitFor } from "../support/wait-for.ts";

const PACKETLEN = 120;
const numbered = (count: number): string[] =>
  Array.from({ length: count }, (_, number) => `app.request.${number}:${number}|ms`);

for (const io of KINDS) {
  test(`${io}: strict-packetlen counts all that a packet holds`, async (t) => {
    const sinks = await openSinks(t, 2);
    const rewriting = `metrics-prefix = some.prefix\nmetrics-tags = dc:east\npacketlen = ${PACKETLEN}`;
    const lines = numbered(200);
    const longest: number[] = [];
    for (const [index, isStrict] of ["yes", "no"].entries()) {
      const keys = `${named([sinks[index]!])}\n${rewriting}\nstrict-packetlen = ${isStrict}`;
      const relay = await startWith(t, keys, io);
      await sendLines(relay, lines);
      await collectLines([sinks[index]!], lines.length);
      await closeBooks(relay, lines.length);
      longest.push(Math.max(...sinks[index]!.packets.map(({ length }) => length)));
    }
    const lineBytes = "some.prefix.app.request.100:100|ms|#dc:east\n".length;
    assert.ok(longest[0]! <= PACKETLEN && longest[0]! > PACKETLEN - lineBytes, `${longest[0]} bytes`);
    assert.ok(longest[1]! > PACKETLEN, `without it, ${longest[1]} bytes`);
    assert.deepEqual([...sinks[0]!.lines].sort(), [...sinks[1]!.lines].sort());
    for (const { packets } of sinks) assert.ok(packets.every((packet) => packet.length > 0));
  });
}

test("a line that is longer than packetlen travels alone, and no empty packet goes before it", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\npacketlen = 20\nflush-interval = 10ms\nprefix = x`);
  const long = `${"n".repeat(1000)}:1|c`;
  await sendLines(relay, ["a:1|c", long, "b:1|c"]);
  await collectLines([sink], 3);
  await closeBooks(relay, 3);
  assert.ok(sink.packets.includes(`${long}\n`));
  assert.ok(sink.packets.every((packet) => packet !== ""));
});

test("trim-cr drops the carriage return that others leave", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\ntrim-cr = yes\nmetrics-tags = k:v`);
  await sendDatagrams(relay.ports[0]!, ["a:1|c\r\nb:2|g\r\n\r\n", "c:3|c\r"]);
  assert.deepEqual(await collectLines([sink], 3), ["a:1|c|#k:v", "b:2|g|#k:v", "c:3|c|#k:v"]);
  await closeBooks(relay, 3);
});

test("tags-in-section puts tags where a line has its own, also in front of later fields", async (t) => {
  const lines = ["a:1|c|#x:y|c:container", "b:1|c|@0.5", "c:1|c|#|T1", "d:1|c|#x"];
  const wanted = {
    yes: ["a:1|c|#x:y,k:v|c:container", "b:1|c|@0.5|#k:v", "c:1|c|#k:v|T1", "d:1|c|#x,k:v"],
    // As Go statsrelay does.
    no: ["a:1|c|#x:y|c:container,k:v", "b:1|c|@0.5|#k:v", "c:1|c|#|T1,k:v", "d:1|c|#x,k:v"],
  };
  for (const choice of ["yes", "no"] as const) {
    const sink = await openSink(t);
    const relay = await startWith(t, `${named([sink])}\nmetrics-tags = k:v\ntags-in-section = ${choice}`);
    await sendLines(relay, lines);
    assert.deepEqual(await collectLines([sink], lines.length), wanted[choice], choice);
    await closeBooks(relay, lines.length);
  }
});

test("validate drops what is no statsd and counts it", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\nvalidate = yes`);
  const good = ["a:1|c", "b:-2.5|g|@0.1", "c:3|ms|#x:y", "d:member|s", "e:1|h", "f;t=v:1|c"];
  const bad = ["g:|c", "h:1", "i:1|", ":1|c", "j:1|c,#x", "k:1|zz"];
  await sendLines(relay, [...good, ...bad, "nocolon"]);
  assert.deepEqual(await collectLines([sink], good.length), good);
  const metrics = await closeBooks(relay, good.length + bad.length + 1);
  assert.equal(dropped(metrics, "invalid"), bad.length);
  assert.equal(dropped(metrics, "no_colon"), 1);
});

test("tag-format moves tags into the name", async (t) => {
  const lines = ["a:1|c|#k:v,b:w", "plain:1|c", "c:1|ms|@0.5|#k:v"];
  const wanted = {
    graphite: ["a;k=v;b=w:1|c", "c;k=v:1|ms|@0.5", "plain:1|c"],
    name: ["a.__b=w.__k=v:1|c", "c.__k=v:1|ms|@0.5", "plain:1|c"],
    keep: ["a:1|c|#k:v,b:w", "c:1|ms|@0.5|#k:v", "plain:1|c"],
  };
  for (const [format, left] of Object.entries(wanted)) {
    const sink = await openSink(t);
    const relay = await startWith(t, `${named([sink])}\ntag-format = ${format}`);
    await sendLines(relay, lines);
    const got = await collectLines([sink], lines.length);
    const sortTags = (line: string) => line.replace(/^[^:]*/, (name) => name.split(";").sort().join(";"));
    assert.deepEqual(got.map(sortTags), left.map(sortTags), format);
    await closeBooks(relay, lines.length);
  }
});

test("sample-threshold thins a name that sends too much, and the kept lines tell their rate", async (t) => {
  const sink = await openSink(t);
  // One window, so that the threshold counts once.
  const relay = await startWith(
    t,
    `${named([sink])}\nsample-threshold = 100\nsample-rate = 0.01\nflush-interval = 1m`,
  );
  const busy = 20_000;
  const quiet = Array.from({ length: 100 }, () => "quiet:1|c");
  await sendLines(relay, [...quiet, ...new Array<string>(busy).fill("busy:1|c")]);
  const metrics = await closeBooks(relay, busy + quiet.length);
  const sampled = dropped(metrics, "sampled");
  const { code } = await relay.stop();
  assert.equal(code, 0);
  const left = await collectLines([sink], busy + quiet.length - sampled);
  const count = (line: string) => left.filter((one) => one === line).length;
  assert.equal(count("quiet:1|c"), quiet.length);
  assert.equal(count("busy:1|c"), 100);
  const thinned = count("busy:1|c|@0.01");
  assert.equal(thinned, busy - 100 - sampled);
  // Four standard deviations of a binomial distribution around 199.
  assert.ok(Math.abs(thinned - 199) < 57, `${thinned} lines`);
});

test("metrics-suffix stands before the tags of a name", async (t) => {
  const sink = await openSink(t);
  const args = ["-b", "127.0.0.1", "-p", "0", "--io", IO, "--management", "127.0.0.1:0"];
  const flags = ["--flush-interval", "50ms", "-metrics-suffix", "s", "-metrics-prefix=p", "-prefix", "own"];
  const relay = await startByCommand(t, [...args, ...flags, sink.destination]);
  await sendLines(relay, ["a.b:1|c", "a;k=v:1|c", "a,k=v:1|c"]);
  assert.deepEqual(await collectLines([sink], 3), ["p.a.b.s:1|c", "p.a.s,k=v:1|c", "p.a.s;k=v:1|c"]);
  await closeBooks(relay, 3);
  // The relay's own line is left as it is.
  await waitFor("its own line", () => sink.packets.join("").includes("own.statsProcessed:3|c\n"));
});

test("stats = full sends the account as metrics, too", async (t) => {
  const sink = await openSink(t);
  const relay = await startWith(t, `${named([sink])}\nstats = full\nprefix = own\nblock[] = bad`);
  await sendLines(relay, ["a:1|c", "bad:1|c", "nocolon"]);
  const destination = `127_0_0_1_${sink.port}`;
  const wanted = [
    /^own\.linesReceived:3\|c$/,
    /^own\.linesDropped\.filtered:1\|c$/,
    /^own\.linesDropped\.no_colon:1\|c$/,
    new RegExp(`^own\\.destination\\.main\\.${destination}\\.linesSent:[1-9]\\d*\\|c$`),
    new RegExp(`^own\\.destination\\.main\\.${destination}\\.up:1\\|g$`),
    /^own\.ring\.main\.fingerprint:\d+\|g$/,
  ];
  for (const line of wanted) {
    await waitFor(String(line), () => sink.lines.some((one) => line.test(one)));
  }
  await closeBooks(relay, 3);
});
