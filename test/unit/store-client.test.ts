import assert from "node:assert/strict";
import { test } from "node:test";
import { type AskMessage, StoreClient, StoreFault } from "../../aggregator/page/store-client.ts";
import { ManualClock } from "../support/manual-clock.ts";

function makeClient(): { client: StoreClient; clock: ManualClock; posted: AskMessage[] } {
  const clock = new ManualClock();
  const posted: AskMessage[] = [];
  const client = new StoreClient((message) => void posted.push(message), clock);
  return { client, clock, posted };
}

const DELETE = { kind: "delete", match: "a" } as const;
const isFault = (kind: StoreFault["kind"]) => (error: unknown) =>
  error instanceof StoreFault && error.kind === kind;

test("each answer finds its question, in whatever order they come", async () => {
  const { client, posted } = makeClient();
  const [first, second] = [client.ask(DELETE), client.ask({ ...DELETE, match: "b" })];
  assert.deepEqual(
    posted.map(({ question }) => question),
    [DELETE, { ...DELETE, match: "b" }],
  );
  client.take({ kind: "answer", id: posted[1]!.id, answer: { deleted: 2 } });
  client.take({ kind: "answer", id: posted[0]!.id, error: "no such thing" });
  assert.deepEqual(await second, { deleted: 2 });
  await assert.rejects(first, isFault("refused"));
});

test("a store that is silent is given up, and what it says later is left alone", async () => {
  const { client, clock, posted } = makeClient();
  const asked = client.ask(DELETE);
  const failing = assert.rejects(asked, isFault("timeout"));
  clock.advance(4_999);
  client.take({ kind: "answer", id: -1, answer: {} });
  clock.advance(1);
  await failing;
  client.take({ kind: "answer", id: posted[0]!.id, answer: { deleted: 1 } });
});

test("questions that wait are bounded, and let go of at the end", async () => {
  const { client, posted } = makeClient();
  const waiting = Array.from({ length: 64 }, () => client.ask(DELETE));
  await assert.rejects(client.ask(DELETE), isFault("busy"));
  client.take({ kind: "answer", id: posted[0]!.id, answer: { deleted: 0 } });
  waiting.push(client.ask(DELETE));
  const [first, ...others] = waiting.map((asked) => asked.catch((error: unknown) => error));
  client.close();
  assert.deepEqual(await first, { deleted: 0 });
  for (const error of await Promise.all(others)) assert.ok(isFault("refused")(error));
});
