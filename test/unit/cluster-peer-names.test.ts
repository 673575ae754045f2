/** Addresses of peers while name servers are slow, or gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PeerNames } from "../../cluster/transport/peer-names.ts";
import type { HostAddress } from "../../shared/host-lookup.ts";

/** A resolver that answers when it is told to. */
function newResolver() {
  const asked: { readonly host: string; readonly answer: (address?: string) => void }[] = [];
  const ask = (host: string): Promise<readonly HostAddress[]> =>
    new Promise((resolve, reject) => {
      const answer = (address?: string): void => {
        if (address === undefined) reject(Object.assign(new Error("no answer"), { code: "EAI_AGAIN" }));
        else resolve([{ address, family: 4 }]);
      };
      asked.push({ host, answer });
    });
  return { asked, ask };
}

test("a name is asked for once at a time, and two names at most", async () => {
  const { asked, ask } = newResolver();
  const names = new PeerNames(ask);
  const first = [names.lookup("a"), names.lookup("a"), names.lookup("b"), names.lookup("c")];
  assert.deepEqual(
    asked.map(({ host }) => host),
    ["a", "b"],
  );
  asked[0]!.answer("127.0.0.1");
  asked[1]!.answer("127.0.0.2");
  await first[0];
  await first[2];
  assert.equal(asked[2]!.host, "c");
  asked[2]!.answer("127.0.0.3");
  const found = await Promise.all(first);
  assert.deepEqual(
    found.map(([one]) => one!.address),
    ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3"],
  );
});

test("an address is no name, in either family", async () => {
  const names = new PeerNames(() => Promise.reject(new Error("nobody is asked")));
  assert.deepEqual(await names.lookup("::1"), [{ address: "::1", family: 6 }]);
  assert.deepEqual(await names.lookup("127.0.0.1"), [{ address: "127.0.0.1", family: 4 }]);
});

test("the last good answer has to do where there is none, or none in time", async () => {
  const { asked, ask } = newResolver();
  const names = new PeerNames(ask);
  const first = names.lookup("a");
  asked[0]!.answer("127.0.0.1");
  await first;
  const refused = names.lookup("a");
  asked[1]!.answer();
  assert.equal((await refused)[0]!.address, "127.0.0.1");
  assert.equal((await names.lookup("a"))[0]!.address, "127.0.0.1", "it hangs");
  asked[2]!.answer("127.0.0.9");
  const changed = names.lookup("a");
  asked[3]?.answer("127.0.0.9");
  assert.equal((await changed)[0]!.address, "127.0.0.9");
  const unknown = names.lookup("b");
  asked.at(-1)!.answer();
  await assert.rejects(unknown, { code: "EAI_AGAIN" });
});
