/** `bioyino transfer` and `bioyino drain`: what they wait for, and what they say when it does not come. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { drain } from "../../aggregator/command/drain.ts";
import { PageAsker } from "../../aggregator/command/page-asker.ts";
import { transferLeadership } from "../../aggregator/command/transfer.ts";
import type { Clock } from "../../shared/clock.ts";
import { type HttpResponse, type HttpRoute, jsonResponse, startHttp } from "../../shared/http.ts";

/** Its pauses are over at once. */
class LeapingClock implements Clock {
  #nowMs = 0;
  nowMs(): number {
    return this.#nowMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }
  setTimer(delayMs: number, fire: () => void): { cancel(): void } {
    const pending = setImmediate(() => {
      this.#nowMs += delayMs;
      fire();
    });
    return { cancel: () => clearImmediate(pending) };
  }
}

/** Stands in for a node. Pages are asked for with how often they were before. */
async function newNode(pages: Readonly<Record<string, (asked: number, body: string) => HttpResponse>>) {
  const routes = Object.entries(pages).map(([name, answer]): HttpRoute => {
    const [method, path] = name.split(" ") as ["GET" | "POST", string];
    let asked = 0;
    return { method, path, readsBody: true, handler: ({ body }) => answer(asked++, String(body ?? "")) };
  });
  const http = await startHttp({ host: "127.0.0.1", port: 0 }, routes, { error() {} });
  return { http, asker: new PageAsker(http.address, "") };
}

const membersPage = (leader: string | null, term = 8) => jsonResponse(200, { node: "node-a", leader, term });

const LEADERS = ["node-a", null, "node-b"];

test("a transfer is over when another node leads", async () => {
  const bodies: string[] = [];
  const { http, asker } = await newNode({
    "POST /transfer": (_, body) => {
      bodies.push(body);
      return jsonResponse(200, { message: "leadership goes to another member" });
    },
    "GET /members": (asked) => membersPage(LEADERS[Math.min(asked, 2)] ?? null, 7 + asked),
  });
  const any = await transferLeadership(asker, undefined, new LeapingClock());
  assert.deepEqual(any, { isDone: true, message: "node-b leads, in term 9" });
  const named = await transferLeadership(asker, "node-b", new LeapingClock());
  assert.equal(named.isDone, true);
  assert.deepEqual(
    bodies.map((body) => JSON.parse(body)),
    [{}, { to: "node-b" }],
  );
  await http.close();
});

test("a transfer that nobody takes, or somebody else, has failed", async () => {
  for (const [leader, to, words] of [
    [null, undefined, /nobody is known to lead/],
    ["node-a", undefined, /^node-a leads still after 15 s$/],
    ["node-c", "node-b", /^node-c leads and not node-b, after 15 s$/],
  ] as const) {
    const { http, asker } = await newNode({
      "POST /transfer": () => jsonResponse(200, { message: "" }),
      "GET /members": () => membersPage(leader),
    });
    const { isDone, message } = await transferLeadership(asker, to, new LeapingClock());
    assert.equal(isDone, false);
    assert.match(message, words);
    await http.close();
  }
});

test("what is refused comes back as it was answered", async () => {
  const { http, asker } = await newNode({
    "POST /transfer": () => jsonResponse(409, { error: "this node does not lead" }),
    "POST /drain": () => jsonResponse(401, { error: "the bearer token is missing or wrong" }),
  });
  const moved = await transferLeadership(asker, undefined, new LeapingClock());
  assert.deepEqual(moved.answer, { status: 409, value: { error: "this node does not lead" } });
  const drained = await drain(asker, 1000, new LeapingClock());
  assert.deepEqual([drained.isDone, drained.answer?.status], [false, 401]);
  await http.close();
});

const DRAINING = { "POST /drain": () => jsonResponse(202, { message: "" }) };
const readiness = (ready: boolean) => jsonResponse(ready ? 200 : 503, { ready });

test("a drain without waiting is over when it has begun", async () => {
  const { http, asker } = await newNode(DRAINING);
  const { isDone, message } = await drain(asker, undefined, new LeapingClock());
  assert.deepEqual([isDone, message], [true, `${http.address} hands over, and ends`]);
  await http.close();
});

test("a drain waits until nobody listens there", async () => {
  const { http, asker } = await newNode({
    ...DRAINING,
    "GET /readyz": (asked) => {
      if (asked === 2) void http.close();
      return readiness(false);
    },
  });
  const { isDone, message } = await drain(asker, 600_000, new LeapingClock());
  assert.equal(isDone, true);
  assert.match(message, /is gone after [\d.]+ s$/);
});

test("a node that a supervisor has started again has drained", async () => {
  const { http, asker } = await newNode({ ...DRAINING, "GET /readyz": (asked) => readiness(asked === 3) });
  const { isDone, message } = await drain(asker, 60_000, new LeapingClock());
  assert.deepEqual([isDone, message], [true, `${http.address} was started anew after 0.6 s`]);
  await http.close();
});

test("a node that does not end has not drained, whatever it answers", async () => {
  const { http, asker } = await newNode({
    ...DRAINING,
    "GET /readyz": (asked) =>
      asked % 2 === 0 ? readiness(false) : { status: 200, type: "text/plain", body: "?" },
  });
  const { isDone, message } = await drain(asker, 5000, new LeapingClock());
  assert.deepEqual([isDone, message], [false, `${http.address} is still there after 5.0 s`]);
  await http.close();
});
