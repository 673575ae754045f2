/** The state folder of a node, over restarts, damage, crashes and full disks. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openMemoryState } from "../../cluster/disk/memory-state.ts";
import type { NodeState } from "../../cluster/disk/node-state.ts";
import { openStateFolder } from "../../cluster/disk/state-folder.ts";
import type { Register } from "../../cluster/register.ts";
import type { Vote } from "../../cluster/world.ts";
import { OperatorError } from "../../shared/errors.ts";
import { mountSmallDisk, unmountSmallDisk } from "../support/small-disk.ts";

const SLOT_BYTES = 4096;

/** A log that nobody reads. */
const log = { warn: () => {} };

function tempFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "cluster-disk-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function saveVote(state: NodeState, vote: Vote): Promise<boolean> {
  return new Promise((resolve) => state.saveVote(vote, resolve));
}

function saveRegister(state: NodeState, interval: number, register: Register): Promise<boolean> {
  return new Promise((resolve) => state.saveRegister(interval, register, resolve));
}

/** A register with runs in its manifest. */
function register(revision: number, runs = 3): Register {
  const manifest = Array.from({ length: runs }, (_, index) => ({
    source: `a${index}.0.1`,
    from: 0,
    to: index,
  }));
  const slot = { term: 4, revision, manifest };
  return { pending: slot, delivered: { ...slot, sinks: ["carbon"], isComplete: revision > 1 } };
}

/** Opens a folder, does something, and closes it. */
async function during<T>(folder: string, act: (state: NodeState) => Promise<T> | T): Promise<T> {
  const state = await openStateFolder(folder, log);
  try {
    return await act(state);
  } finally {
    await state.close();
  }
}

test("what was saved is there at the next start", async (context) => {
  const folder = join(tempFolder(context), "state");
  const doubtful = { pending: { ...register(1).pending, isInDoubt: true } };
  const first = await during(folder, async (state) => {
    assert.equal(state.saved.isEmpty, true);
    assert.deepEqual(state.saved.vote, { term: 0, votedFor: undefined });
    assert.equal(await saveVote(state, { term: 7, votedFor: "b" }), true);
    assert.equal(await saveRegister(state, 100, register(1)), true);
    assert.equal(await saveRegister(state, 101, doubtful), true);
    assert.equal(await saveRegister(state, 100, register(2)), true);
    return state;
  });
  await during(folder, (state) => {
    assert.deepEqual(state.saved, {
      vote: { term: 7, votedFor: "b" },
      registers: [
        [100, register(2)],
        [101, doubtful],
      ],
      isEmpty: false,
    });
    assert.equal(state.node, first.node);
    assert.ok(state.incarnation > first.incarnation && state.incarnation < 1n << 64n);
    assert.equal((state.incarnation >> 32n) - (first.incarnation >> 32n), 1n);
    assert.equal(state.status().isDamaged, false);
  });
});

test("a folder with nothing but a vote has no state yet", async (context) => {
  const folder = tempFolder(context);
  await during(folder, (state) => saveVote(state, { term: 1, votedFor: undefined }));
  await during(folder, ({ saved }) => {
    assert.deepEqual(saved, { vote: { term: 1, votedFor: undefined }, registers: [], isEmpty: true });
  });
});

test("answers come in order, and registers that are dropped do not come back", async (context) => {
  const folder = tempFolder(context);
  await during(folder, async (state) => {
    const answers: number[] = [];
    const saves = Array.from({ length: 50 }, async (_, index) => {
      await saveRegister(state, index, register(1));
      answers.push(index);
    });
    await Promise.all(saves);
    assert.deepEqual(answers, [...answers.keys()]);
    state.dropRegisters(48);
    await saveRegister(state, 50, register(1));
  });
  await during(folder, ({ saved }) =>
    assert.deepEqual(
      saved.registers.map(([interval]) => interval),
      [48, 49, 50],
    ),
  );
});

test("a register that is forgotten is not written anew", async (context) => {
  const folder = tempFolder(context);
  await during(folder, async (state) => {
    await saveRegister(state, 1, register(1));
    // As if a lost interval kept the lowest where it is: the files are filled by those that come and go.
    for (let interval = 2; interval < 300; interval++) {
      await saveRegister(state, interval, register(2));
      state.forgetRegister?.(interval - 1);
    }
  });
  await during(folder, ({ saved }) => assert.ok(saved.registers.length < 300, `${saved.registers.length}`));
});

test("the files keep their lengths, however much is saved", async (context) => {
  const folder = tempFolder(context);
  const lengths = (): number[] =>
    ["vote", "identity", "registers.0", "registers.1"].map((name) => statSync(join(folder, name)).size);
  await during(folder, async (state) => {
    const before = lengths();
    for (let interval = 0; interval < 60; interval++) {
      for (let revision = 1; revision <= 10; revision++) {
        await saveRegister(state, interval, register(revision, 100));
      }
      state.dropRegisters(interval - 10);
      await saveVote(state, { term: interval, votedFor: "a" });
    }
    assert.deepEqual(lengths(), before);
  });
  await during(folder, (state) => {
    assert.equal(state.saved.vote.term, 59);
    assert.deepEqual(state.saved.registers.at(-1), [59, register(10, 100)]);
    // What was dropped last would have been noted with whatever was saved next.
    assert.deepEqual([state.saved.registers.length, state.status().isDamaged], [12, false]);
  });
});

test("damage to either slot costs no vote, and damage to both is no new vote", async (context) => {
  const folder = tempFolder(context);
  const path = join(folder, "vote");
  for (let term = 1; term <= 3; term++) {
    await during(folder, (state) => saveVote(state, { term, votedFor: "b" }));
  }
  const sound = readFileSync(path);
  for (const slot of [0, SLOT_BYTES]) {
    for (const offset of [0, 8, 15, 16, 20, 24, 32]) {
      const bytes = Buffer.from(sound);
      bytes.writeUInt8(bytes.readUInt8(slot + offset) ^ 0x01, slot + offset);
      writeFileSync(path, bytes);
      await during(folder, ({ saved }) => assert.deepEqual(saved.vote, { term: 3, votedFor: "b" }));
      assert.equal(
        readFileSync(path)
          .subarray(slot, slot + 8)
          .toString(),
        "BYSLOT1\n",
        "it is mended",
      );
    }
  }
  writeFileSync(path, sound);
  truncateSync(path, SLOT_BYTES + 10);
  await during(folder, ({ saved }) => assert.equal(saved.vote.term, 3));
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(2 * SLOT_BYTES), Buffer.from("BYSLOT2\n").fill(1, 8)]) {
    writeFileSync(path, bytes);
    await assert.rejects(openStateFolder(folder, log), (error: unknown) => {
      assert.ok(error instanceof OperatorError);
      assert.match(error.message, /aggregator\.state-dir: .*vote is damaged.*remove the whole folder/);
      return true;
    });
  }
  rmSync(path);
  await assert.rejects(openStateFolder(folder, log), /vote was removed/);
});

test("a vote that was written to one slot only counts", async (context) => {
  const folder = tempFolder(context);
  const path = join(folder, "vote");
  await during(folder, (state) => saveVote(state, { term: 1, votedFor: "b" }));
  const before = readFileSync(path);
  await during(folder, (state) => saveVote(state, { term: 2, votedFor: "c" }));
  const after = readFileSync(path);
  for (const [first, second] of [
    [before, after],
    [after, before],
  ] as const) {
    writeFileSync(path, Buffer.concat([first.subarray(0, SLOT_BYTES), second.subarray(SLOT_BYTES)]));
    await during(folder, ({ saved }) => assert.deepEqual(saved.vote, { term: 2, votedFor: "c" }));
  }
});

/** Saves five registers; returns where the file that has them is, and its bytes. */
async function fiveRegisters(folder: string): Promise<{ path: string; bytes: Buffer; end: number }> {
  await during(folder, async (state) => {
    for (let interval = 1; interval <= 5; interval++) await saveRegister(state, interval, register(1));
  });
  // A new folder's first generation is in the second file, the next one in the first.
  const path = join(folder, "registers.0");
  const bytes = readFileSync(path);
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  return { path, bytes, end };
}

test("a write that was cut short costs nothing that was saved before", async (context) => {
  const folder = tempFolder(context);
  const { path, bytes, end } = await fiveRegisters(folder);
  const lastLength = Math.floor(end / 5) - 20;
  for (let cut = end - lastLength; cut < end; cut += 13) {
    for (const rest of [Buffer.alloc(0), Buffer.alloc(1000), Buffer.alloc(1000, 0xa5)]) {
      writeFileSync(path, Buffer.concat([bytes.subarray(0, cut), rest]));
      await during(folder, async (state) => {
        assert.deepEqual(
          state.saved.registers.map(([interval]) => interval),
          [1, 2, 3, 4],
        );
        assert.deepEqual([state.saved.isEmpty, state.status().isDamaged], [false, false], `cut at ${cut}`);
      });
    }
  }
});

test("after damage a node has all or knows that it has not", async (context) => {
  const folder = tempFolder(context);
  const { path, bytes, end } = await fiveRegisters(folder);
  const otherPath = join(folder, "registers.1");
  const other = readFileSync(otherPath);
  let lost = 0;
  for (let offset = 0; offset < end; offset += 13) {
    const damaged = Buffer.from(bytes);
    damaged.writeUInt8(damaged.readUInt8(offset) ^ (1 << (offset % 8)), offset);
    writeFileSync(path, damaged);
    writeFileSync(otherPath, other);
    await during(folder, ({ saved }) => {
      const isLast = saved.registers.length === 4 && saved.registers.at(-1)?.[0] === 4;
      if (saved.registers.length < 5) lost += 1;
      // The last record may have been cut short: nobody can tell.
      assert.ok(saved.registers.length === 5 || saved.isEmpty || isLast, `offset ${offset}`);
      for (const [, found] of saved.registers) assert.deepEqual(found, register(1));
    });
    // What it has is whole again, and stays.
    await during(folder, (state) => assert.equal(state.status().isDamaged, false, `offset ${offset}`));
  }
  assert.ok(lost > 10);
  for (const garbage of [Buffer.alloc(0), Buffer.alloc(bytes.length), Buffer.from("x")]) {
    writeFileSync(path, garbage);
    writeFileSync(otherPath, other);
    await during(folder, (state) => assert.equal(state.status().isDamaged, true, "the newest is gone"));
  }
  for (const garbage of [Buffer.from("BYR2 of another version"), Buffer.alloc(5000, 0xff)]) {
    writeFileSync(path, garbage);
    writeFileSync(otherPath, garbage);
    await during(folder, ({ saved }) => assert.deepEqual([saved.registers, saved.isEmpty], [[], true]));
    await during(folder, (state) => assert.equal(state.status().isDamaged, false));
  }
});

test("a damaged identity makes another node of it", async (context) => {
  const folder = tempFolder(context);
  const before = await during(folder, (state) => state);
  writeFileSync(join(folder, "identity"), "nonsense");
  await during(folder, (state) => {
    assert.notEqual(state.node, before.node);
    assert.ok(state.incarnation >> 32n >= before.incarnation >> 32n);
  });
});

test("a folder that cannot be had is an operator's error", async (context) => {
  const folder = tempFolder(context);
  writeFileSync(join(folder, "file"), "");
  for (const path of [join(folder, "file"), join(folder, "file", "state"), join(folder, "x", "y", "z")]) {
    await assert.rejects(openStateFolder(path, log), (error: unknown) => {
      assert.ok(error instanceof OperatorError);
      assert.match(error.message, /^aggregator\.state-dir is .*name a folder/);
      return true;
    });
  }
});

test("a full disk stops no vote; registers without room are saved when there is some", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "cluster-disk-"));
  const isMounted = mountSmallDisk(folder);
  context.after(() => {
    if (isMounted) unmountSmallDisk(folder);
    rmSync(folder, { recursive: true, force: true });
  });
  if (!isMounted) {
    context.skip("mounting takes a privilege");
    return;
  }
  const state = await openStateFolder(folder, log);
  // The disk has less room than the files want from the start, so it is full already.
  assert.throws(() => writeFileSync(join(folder, "more"), Buffer.alloc(8192)), /ENOSPC/);
  rmSync(join(folder, "more"), { force: true });
  for (let term = 1; term <= 20; term++) assert.equal(await saveVote(state, { term, votedFor: "a" }), true);
  assert.equal(await saveRegister(state, 1, register(1)), true);
  assert.equal(await saveRegister(state, 2, register(1, 10_000)), false);
  assert.deepEqual([state.status().isBehind, state.status().failedWrites], [true, 1]);
  // Once it is not wanted any more there is room for the rest of what is in memory.
  state.dropRegisters(3);
  assert.equal(await saveRegister(state, 3, register(2)), true);
  assert.equal(state.status().isBehind, false);
  await state.close();
  await during(folder, ({ saved }) => {
    assert.equal(saved.vote.term, 20);
    assert.deepEqual(saved.registers, [[3, register(2)]]);
  });
});

test("state in memory is empty at each start, with another number", async () => {
  const [first, second] = [openMemoryState(), openMemoryState()];
  assert.equal(await saveVote(first, { term: 1, votedFor: "a" }), true);
  assert.equal(await saveRegister(first, 1, register(1)), true);
  assert.equal(first.status().isLasting, false);
  assert.deepEqual(second.saved, { vote: { term: 0, votedFor: undefined }, registers: [], isEmpty: true });
  assert.notEqual(first.incarnation, second.incarnation);
});
