import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { CapSet, makeCapMemory } from "../../relay/shaping/cap.ts";

const WINDOW_MS = 1000;
const THREADS = 3;
const SHARED_CAPS = [{ prefix: "app", count: 1000 }];
const SHARED_NAMES = 3000;

/** What a thread does that shares caps with others: asks for the names of all of them, from another start. */
function admitMany(memory: SharedArrayBuffer, first: number): number[] {
  const caps = new CapSet(SHARED_CAPS, WINDOW_MS, memory);
  const admitted: number[] = [];
  for (let index = 0; index < SHARED_NAMES; index++) {
    const name = (first + index) % SHARED_NAMES;
    if (caps.admit(Buffer.from(`app.${name}`))) admitted.push(name);
  }
  return admitted;
}

if (!isMainThread) {
  const { memory, first } = workerData as { readonly memory: SharedArrayBuffer; readonly first: number };
  parentPort!.postMessage(admitMany(memory, first));
} else {
  describeCaps();
}

function admits(caps: CapSet, ...names: readonly string[]): boolean[] {
  return names.map((name) => caps.admit(Buffer.from(name)));
}

function describeCaps(): void {
  test("a prefix ends at a dot or at tags, and the longest one counts", () => {
    const caps = new CapSet(
      [
        { prefix: "app", count: 1 },
        { prefix: "app.user", count: 2 },
        { prefix: "raw.", count: 3 },
        { prefix: "caf\u00e9", count: 4 },
        { prefix: "app.user", count: 5 },
      ],
      WINDOW_MS,
    );
    const counts = (name: string): number | undefined => caps.capOf(Buffer.from(name))?.count;
    for (const name of ["app", "app.x", "app;t=1", "app,t=1", "app.users", "app."])
      assert.equal(counts(name), 1);
    for (const name of ["app.user", "app.user.7", "app.user;id=7"]) assert.equal(counts(name), 2, name);
    for (const name of ["raw.", "raw.x"]) assert.equal(counts(name), 3, name);
    assert.equal(counts("caf\u00e9.x"), 4);
    for (const name of ["", "apps", "ap", "my.app", "raw", "raws", "caf\u00c3.x"]) {
      assert.equal(counts(name), undefined, name);
    }
  });

  test("so many names pass, those again and again, and others that no cap counts", () => {
    const caps = new CapSet([{ prefix: "app", count: 2 }], WINDOW_MS);
    assert.deepEqual(admits(caps, "app.a", "app.a", "app.b", "app.c", "app.a", "other", "app.c"), [
      ...[true, true, true, false, true, true, false],
    ]);
    assert.deepEqual(caps.status(), [{ prefix: "app", count: 2, current: 2, admitted: 2, refused: 2 }]);
    assert.ok(caps.hasRoomFor(Buffer.from("app.b")));
    assert.ok(!caps.hasRoomFor(Buffer.from("app.d")));
    assert.equal(caps.status()[0]!.refused, 2, "only looking counts nothing");
  });

  test("names that come no more lose their place after this window and the next", () => {
    const caps = new CapSet([{ prefix: "app", count: 2 }], WINDOW_MS);
    assert.equal(caps.rotate(5000), false, "the first window begins");
    admits(caps, "app.a", "app.b");
    assert.equal(caps.rotate(5999), false);
    assert.equal(caps.rotate(6000), true);
    assert.deepEqual(admits(caps, "app.c", "app.a"), [false, true], "those of the last window are known");
    assert.equal(caps.rotate(6500), false);
    assert.equal(caps.rotate(7000), true);
    assert.equal(caps.status()[0]!.current, 1, "b is forgotten");
    assert.deepEqual(admits(caps, "app.c", "app.b", "app.a"), [true, false, true]);
    assert.equal(caps.rotate(1e6), true, "a long sleep is one window");
    assert.equal(caps.rotate(1e6), false);
    assert.deepEqual(admits(caps, "app.a", "app.c", "app.d"), [true, true, false]);
  });

  test("without caps there is nothing to forget", () => {
    const caps = new CapSet([], WINDOW_MS);
    assert.deepEqual(
      [0, 5000, 1e9].map((nowMs) => caps.rotate(nowMs)),
      [false, false, false],
    );
    assert.ok(caps.admit(Buffer.from("app")));
  });

  test("threads share names and windows, each by its own clock", () => {
    const caps = [{ prefix: "app", count: 1 }];
    const memory = makeCapMemory(caps);
    const [one, other] = [new CapSet(caps, WINDOW_MS, memory), new CapSet(caps, WINDOW_MS, memory)];
    assert.deepEqual([one.rotate(0), other.rotate(70_000)], [false, false]);
    assert.deepEqual([...admits(one, "app.a"), ...admits(other, "app.a", "app.b")], [true, true, false]);
    assert.deepEqual([one.rotate(1000), other.rotate(70_900), other.rotate(70_901)], [true, true, false]);
    assert.equal(
      other.rotate(71_899),
      false,
      "the window is not cut short by a thread that learns of it late",
    );
    assert.deepEqual([one.rotate(2000), other.rotate(71_950), one.rotate(2001)], [true, true, false]);
    assert.deepEqual([...admits(other, "app.b"), ...admits(one, "app.a")], [true, false]);
    assert.deepEqual(one.status(), other.status());
  });

  test("whoever takes the memory over goes on with the window", () => {
    const caps = [{ prefix: "app", count: 1 }];
    const memory = makeCapMemory(caps);
    const old = new CapSet(caps, WINDOW_MS, memory);
    old.rotate(0);
    admits(old, "app.a");
    old.rotate(900);
    const young = new CapSet(caps, WINDOW_MS, memory);
    assert.equal(young.rotate(900), false);
    assert.deepEqual(admits(young, "app.b", "app.a"), [false, true]);
    assert.equal(young.rotate(1000), true);
    assert.deepEqual(
      [young.rotate(1999), young.rotate(2000)],
      [false, true],
      "further windows have full length",
    );
  });

  test("several caps of one memory do not touch each other", () => {
    const config = [1, 2, 3, 5, 100].map((count) => ({ prefix: `p${count}`, count }));
    const caps = new CapSet(config, WINDOW_MS);
    caps.rotate(0);
    for (let window = 1; window <= 3; window++) {
      for (const { prefix, count } of config) {
        for (let index = 0; index < count; index++) assert.ok(caps.admit(Buffer.from(`${prefix}.${index}`)));
        assert.ok(!caps.admit(Buffer.from(`${prefix}.more`)));
      }
      assert.equal(caps.rotate(window * WINDOW_MS), true);
    }
    for (const { count, current, admitted, refused } of caps.status()) {
      assert.deepEqual([current, admitted, refused], [count, count, 3]);
    }
  });

  test("threads at the same time admit exactly as many names as there may be", {
    timeout: 60_000,
  }, async () => {
    const memory = makeCapMemory(SHARED_CAPS);
    const workers = Array.from({ length: THREADS }, (_, index) => {
      const first = Math.floor((index * SHARED_NAMES) / THREADS);
      return new Worker(new URL(import.meta.url), { workerData: { memory, first } });
    });
    const answers = await Promise.all(
      workers.map((worker) => once(worker, "message") as Promise<[number[]]>),
    );
    const names = new Set(answers.flatMap(([admitted]) => admitted));
    assert.equal(names.size, 1000);
    const [status] = new CapSet(SHARED_CAPS, WINDOW_MS, memory).status();
    assert.deepEqual([status!.current, status!.admitted], [1000, 1000]);
  });
}
