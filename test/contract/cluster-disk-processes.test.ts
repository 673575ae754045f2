/** State folders of processes that are killed, and of processes that want the same one. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { openStateFolder } from "../../cluster/disk/state-folder.ts";

const log = { warn: () => {} };
const MODULE = new URL("../../cluster/disk/state-folder.js", import.meta.url).href;
/** Opens a folder, says so, and does what comes. */
const OPENING = `
  const { openStateFolder } = await import(${JSON.stringify(MODULE)});
  process.on("disconnect", () => process.exit());
  let state;
  try {
    state = await openStateFolder(process.argv[1], { warn() {} });
    console.log("open");
  } catch (error) {
    console.log(error.message);
  }
`;
/** Saves votes and registers as fast as it can, and says each time what is on disk. */
const SAVING = `${OPENING}
  const save = (number) => {
    state.saveVote({ term: number, votedFor: "a" }, (isSaved) => {
      console.log("vote " + (isSaved ? number : "failed"));
      save(number + 1);
    });
  };
  const record = (number) => {
    const pending = { term: 1, revision: number, manifest: [{ source: "a.0.1", from: 0, to: number }] };
    state.saveRegister(number % 7, { pending }, (isSaved) => {
      console.log("register " + (isSaved ? number : "failed"));
      record(number + 1);
    });
  };
  save(state.saved.vote.term + 1);
  record(Math.max(0, ...state.saved.registers.map(([, { pending }]) => pending.revision)) + 1);
`;

/** Takes the locks of the folders that it is told of. */
const RACING = `
  const { lockFolder } = await import(${JSON.stringify(MODULE.replace("state-folder", "folder-lock"))});
  process.on("disconnect", () => process.exit());
  process.on("message", (folder) => {
    lockFolder(folder).then(() => console.log("taken"), (error) => console.log(error.message));
  });
  console.log("ready");
`;

function tempFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "cluster-disk-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a process, and returns its lines as they come. It ends with this one. */
function start(context: TestContext, script: string, folder: string): [ChildProcess, AsyncIterator<string>] {
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, folder], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  context.after(() => child.kill("SIGKILL"));
  return [child, createInterface({ input: child.stdout! })[Symbol.asyncIterator]()];
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

test("what a killed process said is on disk is on disk", async (context) => {
  const folder = tempFolder(context);
  let generations = 0;
  for (let round = 1; round <= 4; round++) {
    const [child, lines] = start(context, SAVING, folder);
    const said = new Map<string, number>();
    for (let count = 0; count < 200 * round; count++) {
      const [what = "", number] = String((await lines.next()).value).split(" ");
      if (number !== undefined) said.set(what, Number(number));
    }
    await kill(child);
    const state = await openStateFolder(folder, log);
    const { saved } = state;
    const revisions = saved.registers.map(([, { pending }]) => pending.revision);
    assert.ok(saved.vote.term >= said.get("vote")!, `vote ${saved.vote.term} of ${said.get("vote")}`);
    assert.ok(Math.max(...revisions) >= said.get("register")!);
    assert.deepEqual([saved.registers.length, saved.isEmpty, state.status().isDamaged], [7, false, false]);
    await state.close();
    generations += 1;
  }
  assert.equal(generations, 4);
});

test("a folder that a process has is refused, and had when that one is gone", async (context) => {
  const folder = tempFolder(context);
  const state = await openStateFolder(folder, log);
  await assert.rejects(openStateFolder(folder, log), /held by this process/);
  const [, refused] = start(context, OPENING, folder);
  const message = String((await refused.next()).value);
  assert.match(message, new RegExp(`^aggregator.state-dir is .* held by process ${process.pid} on `));
  await state.close();

  const [child, lines] = start(context, OPENING, folder);
  assert.equal((await lines.next()).value, "open");
  await assert.rejects(openStateFolder(folder, log), new RegExp(`held by process ${child.pid} on`));
  await kill(child);
  await (await openStateFolder(folder, log)).close();
});

test("of many that find a dead one's lock, one gets the folder", async (context) => {
  const folder = tempFolder(context);
  const processes = Array.from({ length: 4 }, () => start(context, RACING, folder));
  for (const [, lines] of processes) assert.equal((await lines.next()).value, "ready");
  for (let round = 1; round <= 40; round++) {
    const contested = join(folder, String(round));
    mkdirSync(contested);
    symlinkSync(JSON.stringify([hostname(), process.pid, "1"]), join(contested, "lock.5"));
    for (const [child] of processes) child.send(contested);
    const answers = await Promise.all(processes.map(async ([, lines]) => String((await lines.next()).value)));
    assert.equal(answers.filter((answer) => answer === "taken").length, 1, answers.join("\n"));
    assert.deepEqual(readdirSync(contested), ["lock.6"]);
  }
});

test("a lock of another machine is left alone while it is touched", async (context) => {
  const folder = tempFolder(context);
  symlinkSync(JSON.stringify(["elsewhere", 1, ""]), join(folder, "lock.1"));
  await assert.rejects(openStateFolder(folder, log), /held by process 1 on elsewhere/);
  unlinkSync(join(folder, "lock.1"));
  symlinkSync("nothing that this program wrote", join(folder, "lock.3"));
  const state = await openStateFolder(folder, log);
  assert.match(readlinkSync(join(folder, "lock.4")), new RegExp(`,${process.pid},`));
  await state.close();
  assert.equal(readlinkSync(join(folder, "lock.5")), "released");
});
