/** Runs of receivers: pausing and going on, leaving a socket to the next reader, watching senders. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { OperatorError } from "../../shared/errors.ts";
import { hashHost } from "../../shared/sender-hash.ts";
import {
  type BatchReceiver,
  CONTROL_DRAIN,
  CONTROL_LEAVE,
  chooseIo,
  type ListenAddress,
  openReceiver,
  openSender,
  type RemoteAddress,
} from "../../shared/udp.ts";
import {
  fill,
  HEADERS,
  type Kind,
  newBatch,
  newControl,
  receiveUntil,
  textsOf,
} from "../support/receive-batch.ts";

const options = { receiveBufferBytes: 4 << 20, sharePort: false };
const hasMmsg = (await chooseIo("auto")) === "mmsg";
const skip = !hasMmsg && "no mmsg here";
const udp = { kind: "udp", host: "127.0.0.1", port: 0 } as const;
const LINES = 3000;

interface Feeder {
  /** Sends one datagram, or one chunk of a stream. */
  feed(text: string): void;
  close(): void;
}

async function newFeeder(io: Kind, { address }: BatchReceiver): Promise<Feeder> {
  if (address.kind !== "udp" && address.kind !== "unixgram") {
    assert.ok(address.kind !== "tls");
    const client = address.kind === "tcp" ? connect(address.port, address.host) : connect(address.path);
    client.on("error", () => {});
    await once(client, "connect");
    return { feed: (text) => client.write(text), close: () => client.destroy() };
  }
  const batch = await newBatch(io);
  const sender = await openSender(io, address, { memory: batch.memory, queueBytesMax: 1 << 20 });
  return {
    feed(text) {
      fill(batch, [Buffer.from(text)]);
      sender.send(HEADERS, 1);
    },
    close: () => sender.close(),
  };
}

const folder = mkdtempSync(join(tmpdir(), "runs-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

const subjects: readonly { readonly io: Kind; readonly listen: ListenAddress }[] = [
  ...(hasMmsg ? [{ io: "mmsg", listen: udp } as const] : []),
  { io: "dgram", listen: udp },
  { io: "dgram", listen: { kind: "tcp", host: "127.0.0.1", port: 0 } },
  { io: "dgram", listen: { kind: "unix", path: join(folder, "stream.sock") } },
];

for (const { io, listen } of subjects) {
  const name = listen.kind === "udp" ? io : listen.kind;

  test(`${name}: pauses under traffic lose nothing`, async () => {
    const receiver = await openReceiver(io, listen, options);
    const feeder = await newFeeder(io, receiver);
    const batches = [await newBatch(io), await newBatch(io)];
    const control = newControl();
    let fed = 0;
    const feed = (count: number) => {
      for (let i = 0; i < count && fed < LINES; i++) feeder.feed(`line.${fed++}:1|c\n`);
    };
    let text = "";
    let runs = 0;
    const isComplete = () => text.endsWith(`line.${LINES - 1}:1|c\n`);
    while (!isComplete()) {
      const batch = batches[runs % 2]!;
      let calls = 0;
      feed(20);
      const onBatch = (received: number): boolean => {
        assert.ok(calls < 3, "nothing is delivered after the handler has left");
        text += textsOf(batch, received).join("");
        feed(7);
        calls += 1;
        return calls < 3 && !isComplete();
      };
      await receiver.run(batch, { onBatch }, control);
      feed(20);
      runs += 1;
    }
    assert.ok(runs > 3, `${runs} runs`);
    assert.equal(text, Array.from({ length: LINES }, (_, i) => `line.${i}:1|c\n`).join(""));
    assert.equal(receiver.kernelDrops(), 0);
    feeder.close();
    receiver.close();
  });

  test(`${name}: a handler may leave while the receiver drains`, async () => {
    const receiver = await openReceiver(io, listen, options);
    const feeder = await newFeeder(io, receiver);
    const control = newControl();
    Atomics.store(control, 0, CONTROL_DRAIN);
    const batch = await newBatch(io);
    feeder.feed("one\n");
    let text = "";
    for (const isGoingOn of [false, true]) {
      const onBatch = (received: number): boolean => {
        text += textsOf(batch, received).join("");
        return isGoingOn || received === 0;
      };
      await receiver.run(batch, { onBatch }, control);
      if (!isGoingOn) feeder.feed("two\n");
    }
    assert.equal(text, "one\ntwo\n");
    feeder.close();
    receiver.close();
  });

  test(`${name}: senders are seen while they are watched`, async () => {
    const receiver = await openReceiver(io, listen, options);
    const feeder = await newFeeder(io, receiver);
    const batch = await newBatch(io);
    const control = newControl();
    const seen: string[] = [];
    feeder.feed("off\n");
    const onBatch = (received: number): boolean => {
      if (received === 0) return true;
      const words = textsOf(batch, received).join("").trim();
      seen.push(`${words} ${receiver.senderOf(0)}`.trim());
      assert.equal(receiver.senderHashOf(0), hashHost(receiver.senderOf(0)));
      if (words === "off") receiver.watchSenders(true);
      if (words === "again") receiver.watchSenders(false);
      const next = { off: "on", on: "again", again: "off-again" }[words];
      if (next !== undefined) feeder.feed(`${next}\n`);
      // A new run has to see them too.
      return words !== "on" && next !== undefined;
    };
    await receiver.run(batch, { onBatch }, control);
    await receiver.run(batch, { onBatch }, control);
    const host = listen.kind === "unix" ? "" : " 127.0.0.1";
    assert.deepEqual(seen, ["off", `on${host}`, `again${host}`, "off-again"]);
    assert.equal(receiver.senderOf(0), "");
    assert.equal(receiver.senderHashOf(0), 0);
    // Nothing may be written to memory that is gone.
    assert.equal(batch.view.getBigUint64(HEADERS, true), 0n);
    feeder.close();
    receiver.close();
  });
}

for (const io of hasMmsg ? (["mmsg", "dgram"] as const) : (["dgram"] as const)) {
  test(`${io}: a watched sender is written in its usual form`, async () => {
    const receiver = await openReceiver(io, { ...udp, host: "::" }, options);
    assert.ok(receiver.address.kind === "udp");
    receiver.watchSenders(true);
    const batch = await newBatch(io);
    const hosts = ["127.0.0.1", "::1"];
    const seen: string[] = [];
    for (const host of hosts) {
      const remote: RemoteAddress = { ...receiver.address, host };
      const packets = await newBatch(io);
      const sender = await openSender(io, remote, { memory: packets.memory, queueBytesMax: 1000 });
      fill(packets, [Buffer.from("a")]);
      sender.send(HEADERS, 1);
      await sender.flush();
      const onBatch = (received: number): boolean => {
        if (received > 0) {
          seen.push(receiver.senderOf(0));
          assert.equal(receiver.senderHashOf(0), hashHost(host));
        }
        return received === 0;
      };
      await receiver.run(batch, { onBatch }, newControl());
      sender.close();
    }
    assert.deepEqual(seen, hosts);
    receiver.close();
  });
}

/** Descriptors of this process that are sockets. */
function socketDescriptors(): Set<number> {
  return new Set(readdirSync("/proc/self/fd").map(Number).filter(isSocket));
}

function isSocket(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    return false;
  }
}

/** Opens a receiver that nobody runs, and tells its descriptor. */
async function openHolder(listen: ListenAddress, inheritedFd?: number) {
  const before = socketDescriptors();
  const holder = await openReceiver("mmsg", listen, {
    ...options,
    ...(inheritedFd === undefined ? {} : { inheritedFd }),
  });
  const fd = [...socketDescriptors()].find((one) => !before.has(one));
  assert.ok(fd !== undefined);
  return { holder, fd };
}

for (const listen of [udp, { kind: "unixgram", path: join(folder, "left.sock") }] as const) {
  test(`mmsg: what is left in an inherited ${listen.kind} socket is read by the next`, { skip }, async () => {
    const { holder, fd } = await openHolder(listen);
    const inherited = { ...options, inheritedFd: fd };
    const first = await openReceiver("mmsg", holder.address, inherited);
    const second = await openReceiver("mmsg", holder.address, {
      ...inherited,
      sharePort: true,
      isFirst: false,
    });
    assert.deepEqual(first.address, holder.address);
    const feeder = await newFeeder("mmsg", first);
    // As many as a unix socket holds by default.
    const sent = Array.from({ length: 10 }, (_, i) => `d${i}`);
    for (const text of sent) feeder.feed(text);
    const control = newControl();
    Atomics.store(control, 0, CONTROL_LEAVE);
    const none = { onBatch: () => assert.fail("the socket was read") };
    await first.run(await newBatch("mmsg"), none, control);
    first.close();
    const texts = await receiveUntil(second, "mmsg", (all) => all.length === sent.length, CONTROL_LEAVE);
    assert.deepEqual(texts, sent);
    assert.equal(second.kernelDrops(), 0);
    second.close();
    feeder.feed("later");
    assert.deepEqual(await receiveUntil(holder, "mmsg", (all) => all.length === 1), ["later"]);
    feeder.close();
    holder.close();
  });
}

test("dgram: an inherited socket is left when told, and nothing is lost on the way", { skip }, async () => {
  const { holder, fd } = await openHolder(udp);
  // A receiver of this kind closes the descriptor that it was given, so each gets one of its own.
  const { fd: fd2 } = await openHolder(holder.address, fd);
  const { holder: last } = await openHolder(holder.address, fd);
  const feeder = await newFeeder("mmsg", last);
  const texts: string[] = [];
  const sent: string[] = [];
  for (const inheritedFd of [fd, fd2]) {
    const receiver = await openReceiver("dgram", last.address, { ...options, inheritedFd });
    assert.deepEqual(receiver.address, last.address);
    const feedMore = () => {
      for (let i = 0; i < 20; i++) {
        feeder.feed(`d${sent.length}`);
        sent.push(`d${sent.length}`);
      }
    };
    feedMore();
    const count = sent.length;
    texts.push(...(await receiveUntil(receiver, "dgram", (all) => all.length > 0, CONTROL_LEAVE)));
    assert.ok(texts.length >= count);
    feedMore();
    receiver.close();
  }
  texts.push(...(await receiveUntil(last, "mmsg", (all) => texts.length + all.length >= sent.length)));
  assert.deepEqual(texts, sent);
  feeder.close();
  last.close();
});

test("mmsg: a descriptor that is no socket is refused with a remedy", { skip }, async () => {
  await assert.rejects(
    async () => openReceiver("mmsg", udp, { ...options, inheritedFd: 99_999 }),
    (error) => error instanceof OperatorError && /inherited socket 99999/.test(error.message),
  );
});
