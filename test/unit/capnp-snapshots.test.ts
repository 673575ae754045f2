/** The frames of a listener for Rust peers, and a clock that steps back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readMessage } from "../../aggregator/capnp/message-reader.ts";
import { SnapshotWriter } from "../../aggregator/capnp/snapshot-writer.ts";
import { readLabel, type SnapshotLabel } from "../../shared/wire.ts";
import { messageNamed, WRITER_OPTIONS } from "../support/capnp-messages.ts";

const INTERVAL_MS = WRITER_OPTIONS.intervalMs;
const START = 1000;

/** A writer, and what it has sent: intervals, and which is the lowest that is open. */
function newWriter() {
  const frames: Buffer[] = [];
  const writer = new SnapshotWriter(WRITER_OPTIONS, START * INTERVAL_MS, (frame) => {
    frames.push(Buffer.from(frame));
    return true;
  });
  const gauge = messageNamed("gauge");
  const write = (nowMs: number) => {
    writer.advance(nowMs);
    readMessage(gauge, (message, metric) => writer.write(message, metric, nowMs));
  };
  const sent = () =>
    frames
      .map((frame): SnapshotLabel => readLabel(frame)!)
      .map(({ interval, lowestOpen, entries }) => [interval, lowestOpen, entries]);
  const stamps = () =>
    frames
      .filter((frame) => frame.includes("depth"))
      .map((frame) => frame.readDoubleLE(frame.indexOf("depth") + 5 + 16));
  return { writer, write, sent, stamps };
}

test("a clock that steps back a little is waited for, in the interval at hand", () => {
  const { writer, write, sent, stamps } = newWriter();
  write(START * INTERVAL_MS);
  write((START + 1) * INTERVAL_MS + 500);
  write((START - 1) * INTERVAL_MS);
  write((START - 1) * INTERVAL_MS + 10);
  writer.close(START * INTERVAL_MS);
  assert.deepEqual(sent(), [
    [START, START + 1, 2],
    [START + 1, START + 1, 2],
    [START + 1, START + 1, 4],
    [START + 1, START + 2, 0],
  ]);
  // What comes later wins all the same.
  assert.ok(stamps()[2]! > stamps()[1]!);
});

test("a clock that was days ahead begins anew", () => {
  const { writer, write, sent, stamps } = newWriter();
  write(START * INTERVAL_MS);
  const early = START - 500;
  write(early * INTERVAL_MS);
  writer.close(early * INTERVAL_MS + 1);
  assert.deepEqual(sent(), [
    [START, early, 2],
    [early, early, 2],
    [early, early + 1, 0],
  ]);
  assert.deepEqual(stamps(), [START * INTERVAL_MS, early * INTERVAL_MS]);
});

test("a frame is cut early where it would be too large", () => {
  const labels: SnapshotLabel[] = [];
  const writer = new SnapshotWriter(
    { ...WRITER_OPTIONS, bodyBytesMax: 200 },
    START * INTERVAL_MS,
    (frame) => {
      assert.ok(frame.length <= 280);
      return labels.push(readLabel(frame)!) > 0;
    },
  );
  for (let turn = 0; turn < 10; turn++) {
    readMessage(messageNamed("gauge"), (message, metric) =>
      writer.write(message, metric, START * INTERVAL_MS),
    );
  }
  writer.close(START * INTERVAL_MS);
  assert.ok(labels.length > 5);
  assert.deepEqual(
    labels.map(({ sequence }) => sequence),
    labels.map((_, index) => index),
  );
  assert.equal(
    labels.reduce((sum, { entries }) => sum + entries, 0),
    20,
  );
});
