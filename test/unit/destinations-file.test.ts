/** Files of destinations: what they may say, and what is made of their changes. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  DestinationsFile,
  parseDestinations,
  readDestinations,
} from "../../relay/destinations/destinations-file.ts";
import { OperatorError } from "../../shared/errors.ts";
import { EventLog } from "../support/event-log.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait-for.ts";

const POLL_MS = 1000;
const folder = mkdtempSync(join(tmpdir(), "destinations-"));
const watched: DestinationsFile[] = [];
after(() => {
  for (const file of watched) file.close();
  rmSync(folder, { recursive: true });
});

let files = 0;
function newFile(text: string): string {
  files += 1;
  const path = join(folder, `${files}.txt`);
  writeFileSync(path, text);
  return path;
}

async function watch(text: string) {
  const path = newFile(text);
  const clock = new ManualClock();
  const events = new EventLog();
  const lists: (readonly string[])[] = [];
  // A poll is over when it has set the timer of the next.
  let polls = 0;
  const counting = {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    setTimer: (delayMs: number, fire: () => void) => {
      polls += 1;
      return clock.setTimer(delayMs, fire);
    },
  };
  const file = new DestinationsFile({
    path,
    log: events.log,
    onChange: (list) => lists.push(list),
    clock: counting,
  });
  watched.push(file);
  const first = await file.start();
  const poll = async (times = 1): Promise<void> => {
    for (let time = 0; time < times; time++) {
      const before = polls;
      clock.advance(POLL_MS);
      await waitFor("a poll", () => polls > before);
    }
  };
  return { path, file, first, lists, events, poll, clock };
}

test("one a line, with blanks and comments, in order, as written", async () => {
  const text =
    "\uFEFF# aggregators\r\n  10.0.0.2:8125:b*2\t\r\n\r\n[::1]:8125 # the local one\n#10.0.0.3:1\n" +
    "tcp://some.name:8125\nunixgram:///run/a#b.sock\n10.0.0.2:8125:b*2";
  assert.deepEqual(await readDestinations(newFile(text)), [
    "10.0.0.2:8125:b*2",
    "[::1]:8125",
    "tcp://some.name:8125",
    "unixgram:///run/a#b.sock",
    "10.0.0.2:8125:b*2",
  ]);
});

test("an array of texts in JSON", () => {
  assert.deepEqual(parseDestinations(' [\n "10.0.0.1:1" ,"[::1]:2"]\n', "f"), ["10.0.0.1:1", "[::1]:2"]);
  assert.deepEqual(parseDestinations("[::1]:2", "f"), ["[::1]:2"]);
});

test("all faults are told with their lines", async () => {
  const cases: [string, RegExp][] = [
    ["a:1\nb\n\nc:0\n", /f, line 2: destination b .*\nf, line 4: destination c:0 /],
    ["a:1, b:1\n", /f, line 1: /],
    ['["a:1", "b"]', /f, item 2: destination b /],
    ['["a:1", 5]', /f: no array of texts/],
    ['["a:1"', /f: no valid JSON/],
    ["[]", /f: no destination is given/],
    ["", /f: no destination is given/],
    ["# none\n", /f: no destination is given/],
    ["b\n".repeat(50), /^(?:f, line \d+: .*\n){20}f: and 30 more$/],
  ];
  for (const [text, expected] of cases) {
    assert.throws(
      () => parseDestinations(text, "f"),
      (error: unknown) => {
        assert.ok(error instanceof OperatorError);
        assert.match(error.message, expected);
        return true;
      },
    );
  }
});

test("what cannot be read is told with its path", async () => {
  const large = newFile("");
  truncateSync(large, 5 << 20);
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  for (const [path, fault] of [
    [join(folder, "none.txt"), "ENOENT"],
    [folder, "no file"],
    [pipe, "no file"],
    [large, "more than"],
  ] as const) {
    await assert.rejects(readDestinations(path), (error: unknown) => {
      return error instanceof OperatorError && error.message.includes(path) && error.message.includes(fault);
    });
  }
});

test("a change that stands for a poll is told, once", async () => {
  const { path, file, first, lists, events, poll } = await watch("a:1\n");
  assert.deepEqual(first, ["a:1"]);
  await poll(3);
  assert.deepEqual(lists, []);
  writeFileSync(path, "a:1\nb:1\n");
  await poll();
  assert.deepEqual(lists, []);
  await poll();
  assert.deepEqual(lists, [["a:1", "b:1"]]);
  assert.deepEqual(file.destinations, ["a:1", "b:1"]);
  await poll(3);
  assert.equal(lists.length, 1);
  assert.equal(events.last("relay.destinations_file_changed")?.now, 2);
});

test("a file that is still being written is not read", async () => {
  const { path, lists, poll } = await watch("a:1\nb:1\nc:1\n");
  for (const text of ["a:1\n", "a:1\nb:1\n", "a:1\nb:1\nc:1\n", "a:1\nb:1\nc:1\nd:1\n"]) {
    writeFileSync(path, text);
    await poll();
  }
  assert.deepEqual(lists, []);
  await poll();
  assert.deepEqual(lists, [["a:1", "b:1", "c:1", "d:1"]]);
});

test("replaced by a rename, missing for a while, touched: only another list is told", async () => {
  const { path, lists, events, poll, file } = await watch("a:1\nb:1\n");
  const next = `${path}.new`;
  writeFileSync(next, "b:1\na:1\n");
  renameSync(next, path);
  await poll(2);
  assert.deepEqual(lists, [["b:1", "a:1"]]);
  unlinkSync(path);
  await poll(5);
  assert.deepEqual(file.destinations, ["b:1", "a:1"]);
  writeFileSync(path, "# the same again\nb:1\na:1\n");
  await poll(2);
  assert.equal(lists.length, 1);
  writeFileSync(path, '["a:1"]');
  await poll(2);
  assert.deepEqual(lists.at(-1), ["a:1"]);
  assert.equal(events.events.filter((event) => event === "relay.destinations_file_missing").length, 1);
});

test("an invalid file is logged once, and what was known stays", async () => {
  const { path, lists, events, poll, file } = await watch("a:1\n");
  writeFileSync(path, "a:1\nb\n");
  await poll(5);
  assert.deepEqual(lists, []);
  assert.deepEqual(file.destinations, ["a:1"]);
  const entry = events.last("relay.destinations_file_invalid");
  assert.match(String(entry?.fault), /line 2/);
  assert.equal(entry?.level, "error");
  assert.equal(events.entries.length, 1);
  writeFileSync(path, "a:1\nb:1\n");
  await poll(2);
  assert.deepEqual(lists, [["a:1", "b:1"]]);
});

test("a change that shows neither in size nor in time of writing is told", async () => {
  const { path, lists, poll } = await watch("a:1\n");
  const time = new Date(1_700_000_000_000);
  utimesSync(path, time, time);
  await poll(2);
  writeFileSync(path, "b:1\n");
  utimesSync(path, time, time);
  chmodSync(path, 0o640);
  assert.equal(statSync(path).mtimeMs, time.getTime());
  await poll(2);
  assert.deepEqual(lists, [["b:1"]]);
});

test("closed, it looks no more", async () => {
  const { path, lists, file, clock } = await watch("a:1\n");
  writeFileSync(path, "b:1\n");
  file.close();
  clock.advance(10 * POLL_MS);
  assert.deepEqual(await readDestinations(path), ["b:1"]);
  assert.deepEqual(lists, []);
});
