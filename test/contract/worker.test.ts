// The handshake: a worker either serves or says why not, and its end is told whatever its cause.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EXIT_CONFIG, EXIT_START, OperatorError } from "../../shared/errors.ts";
import { type StartedWorker, startWorker } from "../../shared/worker.ts";
import type { EchoOrder, HandshakeAct } from "../support/handshake-worker.ts";

const workerUrl = new URL("../support/handshake-worker.js", import.meta.url);

interface EchoInfo {
  readonly ports: readonly number[];
}

interface Echo {
  readonly text: string;
}

/** How a worker that was ready ended. */
interface Exit {
  readonly code: number;
  readonly error: Error | undefined;
}

/** Hears a worker out: messages in order, and how it ended. */
class Listener {
  readonly messages: Echo[] = [];
  readonly exits: Exit[] = [];
  #wake: () => void = () => {};

  onMessage = (message: Echo): void => {
    this.messages.push(message);
    this.#wake();
  };

  onExit = (code: number, error: Error | undefined): void => {
    this.exits.push({ code, error });
    this.#wake();
  };

  /** Resolves when as many messages came, or the worker ended. */
  async untilMessages(count: number): Promise<void> {
    while (this.messages.length < count && this.exits.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function start(act: HandshakeAct, listener = new Listener()): Promise<StartedWorker<EchoInfo>> {
  return startWorker<EchoInfo, Echo>(workerUrl, act, listener);
}

function send(started: StartedWorker<EchoInfo>, order: EchoOrder): void {
  started.worker.postMessage(order);
}

/**
 * Starts a worker that will not, checks that its end is not told twice, and returns why the start failed.
 */
async function failure(act: HandshakeAct): Promise<Error> {
  const listener = new Listener();
  const reason: unknown = await start(act, listener).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(reason instanceof Error, `${act} was ready`);
  assert.deepEqual([listener.messages, listener.exits], [[], []]);
  return reason;
}

test("ready: what the worker said then, its messages in order, and its clean exit", async () => {
  const listener = new Listener();
  const started = await start("echo", listener);
  assert.deepEqual(started.info, { ports: [8125] });
  for (const text of ["second", "third"]) send(started, { text });
  await listener.untilMessages(3);
  assert.deepEqual(
    listener.messages.map(({ text }) => text),
    ["first", "second", "third"],
  );
  assert.deepEqual(listener.exits, []);
  send(started, "leave");
  assert.equal(await started.exited, 0);
  assert.deepEqual(listener.exits, [{ code: 0, error: undefined }]);
});

test("an exit code of the worker's own is carried over", async () => {
  const listener = new Listener();
  const started = await start("echo", listener);
  send(started, "exit");
  assert.equal(await started.exited, 7);
  assert.deepEqual(listener.exits, [{ code: 7, error: undefined }]);
});

test("an error that nobody caught after ready ends the worker and is told once", async () => {
  const listener = new Listener();
  const started = await start("echo", listener);
  send(started, "throw");
  assert.equal(await started.exited, 1);
  assert.equal(listener.exits.length, 1);
  const { code, error } = listener.exits[0]!;
  assert.equal(code, 1);
  assert.ok(error instanceof TypeError);
  assert.equal(error.message, "thrown while serving");
});

test("an OperatorError stays one, with its text and its exit code", async () => {
  const error = await failure("operator-error");
  assert.ok(error instanceof OperatorError);
  assert.equal(error.message, "port 8125 is taken");
  assert.equal(error.exitCode, EXIT_CONFIG);
});

test("a fault that is reported keeps its stack, and is no operator's error", async () => {
  const error = await failure("fault");
  assert.ok(!(error instanceof OperatorError));
  assert.match(error.message, /^RangeError: an index too large\n\s+at .*handshake-worker/);
  assert.equal((await failure("no-error")).message, "only a text");
});

test("an error that nobody caught before ready fails the start", async () => {
  const error = await failure("throw");
  assert.ok(error instanceof TypeError);
  assert.equal(error.message, "thrown while starting");
});

test("a worker that ends without a word fails the start", async () => {
  assert.match((await failure("exit-early")).message, /handshake-worker\.js ended with code 3 before it was/);
  assert.match((await failure("end-early")).message, /ended with code 0 before it was ready$/);
});

test("a worker whose module is missing fails the start", async () => {
  const url = new URL("../support/no-such-worker.mjs", import.meta.url);
  await assert.rejects(startWorker(url, undefined, new Listener()), /no-such-worker/);
});

test("a worker that failed but is busy keeps the process from nothing", async () => {
  const error = await failure("busy-failure");
  assert.ok(error instanceof OperatorError);
  assert.equal(error.exitCode, EXIT_START);
  // A worker that still counted would stand here, and this process would never end.
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((name) => name === "MessagePort"),
    [],
  );
});
