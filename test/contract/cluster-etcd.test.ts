/** Leadership by a real etcd, in real time. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import type { EtcdOptions } from "../../cluster/election/etcd.ts";
import type { ExternalElection } from "../../cluster/election/external.ts";
import { createExternalElection } from "../../cluster/election/external-engines.ts";
import { systemClock } from "../../shared/clock.ts";
import { systemRandom } from "../../shared/random.ts";
import { EventLog } from "../support/event-log.ts";
import { RealEtcd, withoutEtcd } from "../support/real-etcd.ts";
import { waitFor } from "../support/wait-for.ts";

/** The least that etcd gives. */
const TTL_MS = 2000;
const KEY = "/bioyino/leader";

interface Node {
  readonly election: ExternalElection;
  readonly log: EventLog;
}

/** Nodes that want the lock; at every look it is checked that one leads at most, and that terms go up. */
class Nodes {
  readonly #nodes = new Map<string, Node>();
  readonly terms: number[] = [];

  add(name: string, endpoints: readonly string[], options: Partial<EtcdOptions> = {}): Node {
    const log = new EventLog();
    const complete = { name, endpoints, ttlMs: TTL_MS, requestTimeoutMs: 500, ...options };
    const context = { clock: systemClock, random: systemRandom, log: log.log };
    const node = { election: createExternalElection("etcd", complete, context), log };
    node.election.setEligible(true);
    this.#nodes.set(name, node);
    return node;
  }

  get(name: string): Node {
    return this.#nodes.get(name)!;
  }

  get leader(): string | undefined {
    const leaders = [...this.#nodes].flatMap(([name, { election }]) => {
      const nowMs = systemClock.monotonicMs();
      const { role, term, leaseUntilMs } = election.leadership();
      if (role !== "leader") return [];
      assert.ok(leaseUntilMs > nowMs, "a lease that is over");
      const last = this.terms.at(-1) ?? 0;
      if (term !== last) {
        assert.ok(term > last, `term ${term} after ${last}`);
        this.terms.push(term);
      }
      return [name];
    });
    assert.ok(leaders.length <= 1, leaders.join(", "));
    return leaders[0];
  }

  /** Waits for a leader that is none of some; returns how long it took, in milliseconds. */
  async untilLeader(...besides: readonly (string | undefined)[]): Promise<number> {
    const startedMs = systemClock.monotonicMs();
    await waitFor("a leader", () => this.leader !== undefined && !besides.includes(this.leader));
    return systemClock.monotonicMs() - startedMs;
  }

  async untilNone(): Promise<void> {
    await waitFor("nobody to lead", () => this.leader === undefined);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map(({ election }) => election.stop()));
  }
}

/** A way to an endpoint that can be cut. */
async function way(endpoint: string): Promise<{ endpoint: string; cut(): void; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    const far = connect(Number(new URL(endpoint).port), "127.0.0.1");
    for (const socket of [near, far]) sockets.add(socket.on("error", () => {}));
    near.on("data", (bytes) => isCut || far.write(bytes));
    far.on("data", (bytes) => isCut || near.write(bytes));
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      isCut = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), "close");
    },
  };
}

async function withEtcd(body: (etcd: RealEtcd, nodes: Nodes) => Promise<void>): Promise<void> {
  const etcd = await RealEtcd.start();
  const nodes = new Nodes();
  try {
    await body(etcd, nodes);
  } finally {
    await nodes.stop();
    await etcd.stop();
  }
}

describe("etcd", { skip: withoutEtcd, concurrency: 3 }, () => {
  test("one of three leads, resigns, and another is told at once; stopping leaves nothing behind", () =>
    withEtcd(async (etcd, nodes) => {
      const ttlMs = 10_000;
      for (const name of ["a", "b", "c"]) nodes.add(name, [etcd.endpoint], { ttlMs });
      await nodes.untilLeader();
      const first = nodes.leader!;
      const { term } = nodes.get(first).election.leadership();
      for (const name of ["a", "b", "c"]) {
        await waitFor("all to know", () => nodes.get(name).election.leadership().leader === first);
        assert.equal(nodes.get(name).election.leadership().term, term);
      }
      nodes.get(first).election.resign();
      const tookMs = await nodes.untilLeader(first);
      // Less than the pace of looks, so it was the watch.
      assert.ok(tookMs < ttlMs / 4, `${tookMs} ms`);
      await nodes.stop();
      assert.equal(await etcd.leaseOf(KEY), undefined);
      await waitFor("no leases", async () => (await etcd.leases()).length === 0);
    }));

  test("a leader that is cut off stops before another begins, within its time to live and a little", () =>
    withEtcd(async (etcd, nodes) => {
      const cable = await way(etcd.endpoint);
      try {
        nodes.add("a", [cable.endpoint]);
        await nodes.untilLeader();
        nodes.add("b", [etcd.endpoint]);
        await waitFor("b to follow", () => nodes.get("b").election.leadership().leader === "a");
        cable.cut();
        const tookMs = await nodes.untilLeader("a");
        // etcd looks for leases that are over twice a second.
        assert.ok(tookMs < TTL_MS + 3000, `${tookMs} ms`);
        assert.deepEqual(nodes.get("a").log.last("election.given-up")?.reason, "lease over");
      } finally {
        await cable.close();
      }
    }));

  test("kill -9 of etcd: nobody leads; begun again, somebody does in a higher term; anew as well", () =>
    withEtcd(async (etcd, nodes) => {
      for (const name of ["a", "b"]) nodes.add(name, [etcd.endpoint]);
      await nodes.untilLeader();
      await etcd.kill();
      await nodes.untilNone();
      await etcd.run();
      await nodes.untilLeader();
      for (const name of ["a", "b"]) {
        const { log } = nodes.get(name);
        const faults = log.entries.filter(({ event }) => event === "election.store-fault");
        assert.deepEqual(
          faults.map(({ endpoint, remedy }) => [endpoint, remedy !== ""]),
          [[etcd.endpoint, true]],
        );
        await waitFor("it to say so", () => log.last("election.store-works") !== undefined);
      }
      const known = () => {
        const { leader } = nodes;
        return (
          leader !== undefined &&
          ["a", "b"].every((name) => nodes.get(name).election.leadership().leader === leader)
        );
      };
      await waitFor("all to know the term", known);
      await etcd.wipe();
      await nodes.untilNone();
      // Members tell each other of terms; a new etcd knows of none.
      for (const name of ["a", "b"]) nodes.get(name).election.sawTerm(nodes.terms.at(-1)!);
      await etcd.run();
      await nodes.untilLeader();
      assert.ok(nodes.terms.length >= 3, nodes.terms.join(" "));
    }));

  test("an etcd that hangs: the leader stops, and somebody leads again when it goes on", () =>
    withEtcd(async (etcd, nodes) => {
      for (const name of ["a", "b"]) nodes.add(name, [etcd.endpoint]);
      await nodes.untilLeader();
      etcd.suspend();
      await nodes.untilNone();
      etcd.resume();
      await nodes.untilLeader();
      assert.ok(nodes.terms.length >= 2);
    }));

  test("a lease that is revoked, and a key that is deleted, cost the leadership at once", () =>
    withEtcd(async (etcd, nodes) => {
      nodes.add("a", [etcd.endpoint]);
      await nodes.untilLeader();
      // It has to be watching.
      await waitFor("its watch", () => nodes.get("a").election.pendingCount === 1);
      await etcd.ask("/v3/lease/revoke", { ID: await etcd.leaseOf(KEY) });
      await waitFor("the next term", () => nodes.leader === "a" && nodes.terms.length === 2);
      assert.equal(nodes.get("a").log.last("election.given-up")?.reason, "lost in the store");
      await etcd.deletePrefix(KEY);
      await waitFor("the third term", () => nodes.leader === "a" && nodes.terms.length === 3);
      await nodes.get("a").election.stop();
      await etcd.deletePrefix(KEY);
      nodes.add("new", [etcd.endpoint]);
      await waitFor("the fourth", () => nodes.leader === "new" && nodes.terms.length === 4);
    }));

  test("endpoints that refuse or hang are passed over", () =>
    withEtcd(async (etcd, nodes) => {
      const cable = await way(etcd.endpoint);
      cable.cut();
      try {
        const { log } = nodes.add("a", ["http://127.0.0.1:1", cable.endpoint, etcd.endpoint]);
        await nodes.untilLeader();
        assert.equal(
          log.entries.find(({ event }) => event === "election.store-fault")?.fault,
          "ECONNREFUSED",
        );
      } finally {
        await cable.close();
      }
    }));

  test("users: a token that etcd forgot is replaced; what is wrong is told without the password", () =>
    withEtcd(async (etcd, nodes) => {
      await etcd.demandUser("node", "right-word", "/bioyino/");
      const user = { username: "node", password: "right-word" };
      nodes.add("a", [etcd.endpoint], user);
      nodes.add("wrong", [etcd.endpoint], { username: "node", password: "wrong-word" });
      nodes.add("none", [etcd.endpoint]);
      nodes.add("elsewhere", [etcd.endpoint], { ...user, key: "/other" });
      await nodes.untilLeader();
      assert.equal(nodes.leader, "a");
      const faultOf = (name: string) => nodes.get(name).log.last("election.store-fault");
      await waitFor("faults", () =>
        ["wrong", "none", "elsewhere"].every((name) => faultOf(name) !== undefined),
      );
      assert.match(String(faultOf("wrong")!.remedy), /check username and password/);
      assert.match(String(faultOf("none")!.remedy), /set username and password/);
      assert.match(String(faultOf("elsewhere")!.remedy), /read and write the key/);
      for (const name of ["a", "wrong", "elsewhere"]) {
        assert.ok(!JSON.stringify(nodes.get(name).log.entries).includes("-word"));
      }
      // Tokens live in etcd's memory.
      await etcd.kill();
      await etcd.run();
      await nodes.untilLeader();
    }));
});
