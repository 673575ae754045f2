import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { test } from "node:test";
import type { TopPage } from "../../relay/top/screen.ts";
import { type TopOptions, watchTop } from "../../relay/top/session.ts";
import { type HttpServer, jsonResponse, startHttp, textResponse } from "../../shared/http.ts";
import { Terminal, type TextOutput } from "../../shared/terminal/terminal.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { waitFor } from "../support/wait-for.ts";

const ENTER = "\x1b[?1049h";
const LEAVE = "\x1b[?1049l";

function pageOf(received: number): TopPage {
  const names = { items: [{ key: `seen.${received}`, count: 10, error: 0 }], floor: 0 };
  const none = { items: [], floor: 0 };
  const snapshot = { seconds: 1, lines: 10, sampled: 10, names, prefixes: none, senders: none };
  return { snapshot, buckets: [], received, dropped: 0 };
}

/** Stands in for a relay: answers /top with pages that count up. */
class FakeRelay {
  polls = 0;
  isSilent = false;
  answer: (polls: number) => unknown = pageOf;
  #server: HttpServer | undefined;

  async start(): Promise<string> {
    this.#server = await startHttp(
      { host: "127.0.0.1", port: 0 },
      [
        {
          method: "GET",
          path: "/top",
          handler: () => {
            this.polls++;
            return this.isSilent ? textResponse(500, "broken") : jsonResponse(200, this.answer(this.polls));
          },
        },
      ],
      { error: () => {} },
    );
    return this.#server.address;
  }

  async stop(): Promise<void> {
    await this.#server?.close();
  }
}

class FakeOutput implements TextOutput {
  readonly isTTY: boolean;
  readonly columns = 80;
  readonly rows = 24;
  text = "";

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
  }
}

class FakeKeys extends EventEmitter {
  readonly isTTY = true;
  isRaw = false;
  isFlowing = false;

  setRawMode(isRaw: boolean): void {
    this.isRaw = isRaw;
  }
  resume(): void {
    this.isFlowing = true;
  }
  pause(): void {
    this.isFlowing = false;
  }
}

/** One watching, with everything around it. */
class Watch {
  readonly relay = new FakeRelay();
  readonly clock = new ManualClock();
  readonly keys = new FakeKeys();
  readonly output: FakeOutput;

  constructor(isTTY: boolean) {
    this.output = new FakeOutput(isTTY);
  }

  async run(
    options: Partial<TopOptions>,
    whileWatching: () => Promise<void> = async () => {},
  ): Promise<void> {
    const management = await this.relay.start();
    try {
      const terminal = new Terminal(this.keys, this.output, {});
      const all = { management, seconds: undefined, isOnce: false, isJson: false, ...options };
      const watching = watchTop(all, terminal, this.clock);
      await Promise.all([watching, whileWatching()]);
    } finally {
      await this.relay.stop();
    }
  }

  /** Lets seconds pass until the relay was asked so many times. */
  async untilPolls(polls: number): Promise<void> {
    await waitFor(`${polls} polls`, () => {
      this.clock.advance(1000);
      return this.relay.polls >= polls;
    });
  }
}

for (const [key, bytes] of [
  ["q", "q"],
  ["Ctrl-C", "\x03"],
] as const) {
  test(`a terminal is redrawn each second, and given back when ${key} is pressed`, async () => {
    const watch = new Watch(true);
    const before = process.listenerCount("SIGINT");
    await watch.run({}, async () => {
      await watch.untilPolls(3);
      await waitFor("the second page", () => watch.output.text.includes("seen.2"));
      assert.ok(watch.keys.isRaw && watch.keys.isFlowing);
      assert.ok(watch.output.text.includes(ENTER) && !watch.output.text.includes(LEAVE));
      watch.keys.emit("data", Buffer.from(bytes));
    });
    assert.ok(watch.output.text.endsWith(LEAVE));
    assert.ok(watch.output.text.includes("q leaves"));
    assert.deepEqual(
      [watch.keys.isRaw, watch.keys.isFlowing, watch.keys.listenerCount("data")],
      [false, false, 0],
    );
    assert.equal(process.listenerCount("SIGINT"), before);
  });
}

test("a signal ends the watching and gives the terminal back", async () => {
  const watch = new Watch(true);
  await watch.run({}, async () => {
    await waitFor("the first page", () => watch.output.text.includes("seen.1"));
    process.emit("SIGTERM", "SIGTERM");
  });
  assert.ok(watch.output.text.endsWith(LEAVE));
});

test("once looks for some seconds and prints the last page, plain", async () => {
  const watch = new Watch(true);
  await watch.run({ isOnce: true, seconds: 2 }, () => watch.untilPolls(2));
  assert.match(watch.output.text, /statsrelay 127\.0\.0\.1:\d+ {3}/);
  assert.ok(!watch.output.text.includes(ENTER));
  assert.equal(watch.output.text.match(/received/g)?.length, 1);
  assert.ok(!watch.output.text.includes("seen.1 "), "the first page is empty as a rule");
});

test("once with no time at all prints the first page", async () => {
  const watch = new Watch(false);
  await watch.run({ isOnce: true, seconds: 0 });
  assert.equal(watch.relay.polls, 1);
  assert.match(watch.output.text, /^statsrelay 127.*\nreceived 1\.0\/s/);
  assert.ok(!watch.output.text.includes("\x1b"));
});

test("what is no terminal gets pages as they come, or JSON, one text a line", async () => {
  const plain = new Watch(false);
  await plain.run({ seconds: 3 }, () => plain.untilPolls(3));
  assert.ok(plain.output.text.includes("seen.1") && plain.output.text.includes("seen.2"));
  assert.ok(!plain.output.text.includes("\x1b"));
  const json = new Watch(false);
  await json.run({ seconds: 0, isJson: true });
  assert.deepEqual(JSON.parse(json.output.text), pageOf(1));
});

test("a relay that falls silent is said so on the screen, until it is back", async () => {
  const watch = new Watch(true);
  await watch.run({}, async () => {
    await waitFor("the first page", () => watch.output.text.includes("seen.1"));
    watch.relay.isSilent = true;
    await watch.untilPolls(2);
    await waitFor("a notice", () => watch.output.text.includes("answers /top with 500"));
    watch.relay.isSilent = false;
    const polls = watch.relay.polls;
    await watch.untilPolls(polls + 2);
    await waitFor("a page", () => watch.output.text.includes(`seen.${polls + 1}`));
    watch.keys.emit("data", Buffer.from("q"));
  });
});

test("where no relay answers, or something else does, the terminal stays as it is", async () => {
  const port = createTcpServer().listen(0, "127.0.0.1");
  await once(port, "listening");
  const management = `127.0.0.1:${(port.address() as AddressInfo).port}`;
  await new Promise((resolve) => port.close(resolve));
  const nobody = new Watch(true);
  const failing = watchTop(
    { management, seconds: undefined, isOnce: false, isJson: false },
    new Terminal(nobody.keys, nobody.output, {}),
    nobody.clock,
  );
  await assert.rejects(failing, /^OperatorError: no relay answers at 127\.0\.0\.1:\d+ \(ECONNREFUSED\); /);
  assert.equal(nobody.output.text, "");
  for (const answer of [null, 7, {}, { ...pageOf(1), snapshot: {} }, { ...pageOf(1), buckets: [{}] }]) {
    const other = new Watch(true);
    other.relay.answer = () => answer;
    await assert.rejects(other.run({}), /has no page \/top of this version/);
    assert.equal(other.output.text, "");
  }
});

test("colour and screen depend on the terminal and the environment", () => {
  const keys = new FakeKeys();
  const of = (isTTY: boolean, environment: Record<string, string>) =>
    new Terminal(keys, new FakeOutput(isTTY), environment);
  assert.equal(of(true, {}).hasColour, true);
  assert.equal(of(true, { NO_COLOR: "1" }).hasColour, false);
  assert.equal(of(true, { NO_COLOR: "" }).hasColour, true);
  assert.equal(of(true, { TERM: "dumb" }).isInteractive, false);
  assert.equal(of(false, {}).hasColour, false);
  assert.deepEqual(new Terminal(keys, { write() {} }, {}).size(), { width: 80, height: 24 });
});
