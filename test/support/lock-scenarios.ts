/** What every store must give to nodes that want its lock, and what must not happen when it misbehaves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExternalKind, ExternalOptionsByKind } from "../../cluster/election/external-engines.ts";
import { seededRandom } from "../../shared/random.ts";
import type { FakeStore, Mischief, StoreRequest } from "./fake-store.ts";
import { LockContenders } from "./lock-contenders.ts";

/** A kind of store, and what may be expected of it. */
export interface LockSubject<Kind extends ExternalKind, Store extends FakeStore = FakeStore> {
  readonly kind: Kind;
  start(rig: LockContenders): Promise<Store>;
  options(name: string): Omit<ExternalOptionsByKind[Kind], "endpoints">;
  /** Whether a request is to take the lock, or to keep it. */
  isLocking(request: StoreRequest): boolean;
  /** Until somebody else leads when the leader is gone without a word. */
  readonly failoverMs: number;
  /** Until somebody else leads when the leader resigned. */
  readonly handoverMs: number;
  /** Requests that a node may make in a minute. */
  readonly requestsPerMinute: number;
}

export const TTL_MS = 10_000;
const NAMES = ["a", "b", "c"];
const FAULTS: readonly Mischief[] = [
  "hang",
  "lose",
  "cut",
  { isDone: "before", delayMs: 900 },
  { isDone: "after", delayMs: 900 },
  { isDone: "after", delayMs: 4000 },
  { status: 500, body: { message: "leader is gone" } },
  { status: 503, body: "Service Unavailable" },
  { status: 429, body: "", headers: { "Retry-After": "2" } },
  { status: 409, body: { message: "conflict" } },
  { status: 200, body: "what?" },
];

/** Runs a test with three nodes, and ends them. */
export async function withContenders<Kind extends ExternalKind, Store extends FakeStore>(
  subject: LockSubject<Kind, Store>,
  names: readonly string[],
  body: (rig: LockContenders, store: Store) => Promise<void>,
): Promise<void> {
  const rig = new LockContenders();
  const store = await subject.start(rig);
  rig.store = store;
  try {
    for (const name of names) rig.add(subject.kind, subject.options(name));
    await body(rig, store);
  } finally {
    store.mischief = () => undefined;
    await rig.stop();
    await store.stop();
  }
}

/** Registers the tests that all stores share. */
export function testLocks<Kind extends ExternalKind>(subject: LockSubject<Kind>): void {
  const { kind, failoverMs, handoverMs } = subject;
  const run = (body: (rig: LockContenders, store: FakeStore) => Promise<void>) => () =>
    withContenders(subject, NAMES, body);
  const firstLeader = async (rig: LockContenders): Promise<string> => {
    await rig.until("a first leader", () => rig.leader !== undefined, 2000);
    return rig.leader!;
  };
  const cutOff = (store: FakeStore, names: readonly string[]): void => {
    store.mischief = ({ client }: StoreRequest) => (names.includes(client) ? "hang" : undefined);
  };

  test(
    `${kind}: one of three leads for as long as it lives, all know, and the store is left in peace`,
    run(async (rig, store) => {
      const leader = await firstLeader(rig);
      await rig.pass(10_000);
      store.requests.length = 0;
      await rig.pass(60_000);
      assert.equal(rig.leader, leader);
      assert.equal(rig.reigns.length, 1);
      for (const { name, election, log } of rig.contenders.values()) {
        assert.equal(election.leadership().leader, leader);
        assert.equal(election.leadership().term, rig.reigns[0]!.term);
        const count = store.requests.filter(({ client }) => client === name).length;
        assert.ok(count > 5 && count <= subject.requestsPerMinute, `${name}: ${count} requests`);
        assert.equal(log.last("election.store-fault"), undefined);
      }
    }),
  );

  test(
    `${kind}: a leader that is cut off stops by itself, another leads in time, and it comes back as follower`,
    run(async (rig, store) => {
      const leader = await firstLeader(rig);
      await rig.pass(7000);
      cutOff(store, [leader]);
      const goneMs = await rig.until("the old one stops", () => rig.leader === undefined, TTL_MS);
      const tookMs = await rig.until("a new one", () => rig.leader !== undefined, failoverMs);
      assert.ok(goneMs + tookMs <= failoverMs, `${goneMs} + ${tookMs} ms`);
      const successor = rig.leader;
      assert.notEqual(successor, leader);
      store.mischief = () => undefined;
      await rig.pass(30_000);
      assert.equal(rig.leader, successor);
      assert.equal(rig.contenders.get(leader)!.election.leadership().leader, successor);
    }),
  );

  test(
    `${kind}: nobody leads without the store, nobody hammers it, and each says so once`,
    run(async (rig, store) => {
      const leader = await firstLeader(rig);
      const { term } = rig.contenders.get(leader)!.election.leadership();
      await rig.pass(7000);
      store.requests.length = 0;
      const failsMs = 60_000;
      store.mischief = () => ({ status: 500, body: { message: "no quorum" } });
      await rig.until("the leader stops", () => rig.leader === undefined, TTL_MS);
      await rig.pass(failsMs);
      assert.equal(rig.leader, undefined);
      for (const { name, log, election } of rig.contenders.values()) {
        const count = store.requests.filter(({ client }) => client === name).length;
        assert.ok(count < 60, `${name}: ${count} requests of a store that fails`);
        const faults = log.entries.filter(({ event }) => event === "election.store-fault");
        assert.equal(faults.length, 1, JSON.stringify(faults));
        assert.match(String(faults[0]!.endpoint), /^http:\/\/127\.0\.0\.1:\d+$/);
        assert.equal(faults[0]!.fault, "HTTP 500: no quorum");
        assert.notEqual(faults[0]!.remedy, "");
        assert.equal(election.leadership().leader, undefined);
      }
      store.mischief = () => undefined;
      await rig.until("a leader again", () => rig.leader !== undefined, failoverMs);
      assert.ok(rig.reigns.at(-1)!.term > term);
      await rig.pass(TTL_MS);
      for (const { log } of rig.contenders.values()) {
        assert.equal(log.events.filter((event) => event === "election.store-works").length, 1);
      }
    }),
  );

  test(
    `${kind}: a leader that resigns is followed soon, stays out, and comes back when it is asked to`,
    run(async (rig) => {
      const leader = await firstLeader(rig);
      const { election } = rig.contenders.get(leader)!;
      election.resign();
      assert.equal(election.leadership().role, "follower");
      assert.equal(election.leadership().leaseUntilMs, 0);
      await rig.until("another leads", () => rig.leader !== undefined, handoverMs);
      const successor = rig.contenders.get(rig.leader!)!;
      assert.notEqual(successor.name, leader);
      for (const { name, election: other } of rig.contenders.values()) {
        if (name !== leader && name !== successor.name) other.setEligible(false);
      }
      election.takeOver(rig.clock.monotonicMs());
      successor.election.resign(leader);
      await rig.until("the first one again", () => rig.leader === leader, 1000);
      election.resign();
      await rig.pass(TTL_MS);
      assert.equal(rig.leader, undefined, "all others are out as well");
      await rig.until("somebody again", () => rig.leader !== undefined, 3 * TTL_MS);
    }),
  );

  test(
    `${kind}: only who may stand leads`,
    run(async (rig) => {
      const leader = await firstLeader(rig);
      const { election } = rig.contenders.get(leader)!;
      election.setEligible(false);
      assert.equal(election.leadership().role, "follower");
      await rig.until("another leads", () => rig.leader !== undefined, handoverMs);
      assert.notEqual(rig.leader, leader);
      for (const contender of rig.contenders.values()) contender.election.setEligible(false);
      await rig.pass(3 * TTL_MS);
      assert.equal(rig.leader, undefined);
      election.setEligible(true);
      await rig.until("it leads", () => rig.leader === leader, handoverMs);
    }),
  );

  test(
    `${kind}: a term that others know is passed, for good`,
    run(async (rig) => {
      const leader = await firstLeader(rig);
      const { election } = rig.contenders.get(leader)!;
      const high = 2 ** 40;
      election.sawTerm(high);
      assert.equal(election.leadership().role, "candidate");
      assert.equal(election.leadership().term, high);
      await rig.until(
        "a term above",
        () => rig.leader !== undefined && rig.reigns.at(-1)!.term > high,
        2 * TTL_MS,
      );
      const { term } = rig.reigns.at(-1)!;
      rig.contenders.get(rig.leader!)!.election.resign();
      await rig.until("the next", () => rig.leader !== undefined, handoverMs);
      assert.ok(rig.reigns.at(-1)!.term > term);
    }),
  );

  for (const { rate, delayMs } of [
    { rate: 0.95, delayMs: 0 },
    { rate: 0.93, delayMs: 800 },
    { rate: 1.05, delayMs: 0 },
  ]) {
    const title = `answers that take ${delayMs} ms and a clock that runs at ${rate} of the others'`;
    test(`${kind}: ${title} make no two leaders`, () =>
      withContenders(subject, [], async (rig, store) => {
        const late = { isDone: "before", delayMs } as const;
        const slow = ({ client, method }: StoreRequest): Mischief | undefined => {
          if (client !== "a") return undefined;
          // The other one looks often now, and sees at once what is done here.
          if (method === "PUT") rig.contenders.get("b")?.election.takeOver(0);
          return delayMs > 0 ? late : undefined;
        };
        store.mischief = slow;
        rig.add(kind, subject.options("a"), { rate });
        await rig.until("it leads", () => rig.leader === "a", 6000);
        const { election } = rig.add(kind, subject.options("b"));
        const isOther = () => rig.leader === "b";
        for (let turn = 0; turn < 5; turn++) {
          await rig.pass(5000 + 370 * turn);
          cutOff(store, ["a"]);
          await rig.until("the other", isOther, failoverMs);
          store.mischief = slow;
          await rig.pass(TTL_MS);
          election.setEligible(false);
          await rig.until("it again", () => rig.leader === "a", 2 * failoverMs);
          election.setEligible(true);
        }
      }));
  }

  test(`${kind}: what is heard while the lock is being taken counts`, () =>
    withContenders(subject, [], async (rig, store) => {
      const { election } = rig.add(kind, subject.options("a"));
      const heard = [
        () => election.sawTerm(1000),
        () => election.setEligible(false),
        () => election.resign(),
        () => {},
      ];
      store.mischief = (request) => {
        if (subject.isLocking(request)) heard.shift()?.();
        return undefined;
      };
      const after = async (passMs: number): Promise<readonly unknown[]> => {
        await rig.pass(passMs);
        return [rig.leader, heard.length];
      };
      assert.deepEqual(await after(1000), [undefined, 2]);
      election.setEligible(true);
      assert.deepEqual(await after(1000), [undefined, 1]);
      await rig.until("it leads", () => rig.leader === "a", 3 * TTL_MS);
      assert.equal(rig.reigns.length, 1);
      assert.ok(rig.reigns[0]!.term > 1000);
    }));

  test(
    `${kind}: a lease is no good until renewed when the machine may have slept`,
    run(async (rig) => {
      const { election } = rig.contenders.get(await firstLeader(rig))!;
      assert.ok(election.leadership().leaseUntilMs > rig.clock.monotonicMs());
      rig.jumpWall(90_000);
      assert.equal(election.leadership().role, "leader");
      assert.equal(election.leadership().leaseUntilMs, 0);
      await rig.pass(500);
      assert.ok(election.leadership().leaseUntilMs > rig.clock.monotonicMs());
      assert.equal(rig.reigns.length, 1);
    }),
  );

  test(
    `${kind}: stopping frees the lock`,
    run(async (rig) => {
      const leader = await firstLeader(rig);
      await rig.contenders.get(leader)!.election.stop();
      await rig.until("another leads", () => rig.leader !== undefined, handoverMs);
      assert.notEqual(rig.leader, leader);
    }),
  );

  test(
    `${kind}: a store that wants to be left alone is`,
    run(async (rig, store) => {
      await firstLeader(rig);
      await rig.pass(1000);
      const name = NAMES.find((one) => one !== rig.leader)!;
      const asked: number[] = [];
      store.mischief = ({ client }) => {
        if (client !== name) return undefined;
        asked.push(rig.clock.monotonicMs());
        return { status: 429, body: "", headers: { "Retry-After": "8" } };
      };
      await rig.pass(30_000);
      const gaps = asked.slice(1).map((atMs, index) => atMs - asked[index]!);
      assert.ok(asked.length >= 3 && gaps.every((gapMs) => gapMs >= 8000), gaps.join(" "));
    }),
  );

  test(`${kind}: an endpoint that refuses or hangs does not cost the lease`, () =>
    withContenders(subject, [], async (rig, store) => {
      const endpoints = ["http://127.0.0.1:1", store.endpoint("hung"), store.endpoint("good")];
      store.mischief = ({ client }) => (client === "hung" ? "hang" : undefined);
      rig.add(kind, { ...subject.options("a"), endpoints });
      await rig.until("it leads", () => rig.leader === "a", 6000);
      store.mischief = ({ client }) => (client === "good" ? "hang" : undefined);
      await rig.pass(60_000);
      assert.equal(rig.leader, "a");
      assert.equal(rig.reigns.length, 1);
    }));

  for (const seed of [1, 2, 3]) {
    test(
      `${kind}: whatever the store does, leases never overlap and terms go up (seed ${seed})`,
      run(async (rig, store) => {
        const random = seededRandom(seed);
        const pick = <Item>(items: readonly Item[]): Item =>
          items[Math.floor(random.between(0, items.length))]!;
        for (let round = 0; round < 12; round++) {
          const share = pick([0.1, 0.5, 0.9]);
          const cut = pick([[], [], ["a"], ["b"], ["b", "c"]]);
          const fault = pick([undefined, undefined, ...FAULTS]);
          store.mischief = ({ client }) => {
            if (cut.includes(client)) return "hang";
            return random.between(0, 1) < share ? (fault ?? pick(FAULTS)) : undefined;
          };
          await rig.pass(random.between(5000, 30_000));
          const { election } = rig.contenders.get(pick(NAMES))!;
          const act = pick(["resign", "takeOver", "sawTerm", "nothing"]);
          if (act === "resign") election.resign();
          if (act === "takeOver") election.takeOver(rig.clock.monotonicMs());
          if (act === "sawTerm") election.sawTerm((rig.reigns.at(-1)?.term ?? 0) + 5);
        }
        store.mischief = () => undefined;
        await rig.until("all is well again", () => rig.leader !== undefined, failoverMs + 2 * TTL_MS);
        await rig.pass(3 * TTL_MS);
        const reigns = rig.reigns.length;
        await rig.pass(TTL_MS);
        assert.equal(rig.reigns.length, reigns, "it comes to rest");
        assert.ok(reigns > 2, "something happened");
      }),
    );
  }
}
