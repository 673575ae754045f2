// Who may come in: tokens, certificates, addresses; and what a folder of state allows.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ClusterProcesses } from "../support/cluster-processes.ts";
import { peerTls } from "../support/peer-rig.ts";
import { waitFor } from "../support/wait-for.ts";

const SCRIPT = fileURLToPath(new URL("../../bin/bioyino.js", import.meta.url));

/** Runs a test in which people choose the leader; names: of the members. */
async function withMembers(
  names: readonly string[],
  run: (rig: ClusterProcesses) => Promise<void>,
): Promise<void> {
  const rig = await ClusterProcesses.open({ names, cluster: "consensus = none" });
  try {
    await run(rig);
  } finally {
    await rig.close();
  }
}

/** Whether a node has a connection to another one, both ways. */
async function isConnected(rig: ClusterProcesses, name: string, other: string): Promise<boolean> {
  const { members } = (await rig.status(name)).cluster;
  return members.some(({ node, isOutgoingUp, isIncomingUp }) => {
    return node === other && isOutgoingUp && isIncomingUp;
  });
}

test("nodes with one token meet; one with another is turned away, and no log has either", async () => {
  await withMembers(["a", "b", "c"], async (rig) => {
    const token = "a-token-in-a-file-that-is-long-enough-for-it";
    const other = "another-token-that-is-long-enough-to-be-one-too";
    const tokenFile = join(rig.folder, "token");
    writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
    await Promise.all([
      rig.start("a", `start-as-leader = yes\ntoken =\ntoken-file = ${tokenFile}`),
      rig.start("b", `token = ${token}`),
      rig.start("c", `token = ${other}`),
    ]);
    await waitFor("a and b to meet", () => isConnected(rig, "a", "b"));
    await waitFor("the refusals", async () => {
      const [ofA, ofC] = [await rig.status("a"), await rig.status("c")];
      const faultOf = ({ cluster }: typeof ofA, name: string) =>
        cluster.members.find(({ node }) => node === name)?.fault ?? "";
      return /token/.test(faultOf(ofA, "c") ?? "") && /token/.test(faultOf(ofC, "a") ?? "");
    });
    assert.ok(rig.node("a").events("peer.unauthorized").length > 0);
    for (const name of ["a", "b"]) await rig.send(name, "hits", 20);
    await rig.untilComplete();
    for (const name of rig.names) {
      const text = rig.node(name).output.join("\n") + JSON.stringify(await rig.status(name));
      assert.ok(!text.includes(token) && !text.includes(other), `${name} tells its token`);
    }
    assert.equal(await isConnected(rig, "a", "c"), false);
  });
});

test("with certificates each node proves its name; one of another authority stays outside", async () => {
  await withMembers(["n1", "n2", "n3"], async (rig) => {
    const keysOf = (certificate: "n1" | "n2-stranger" | "n3") => {
      const { cert, key, ca } = peerTls(certificate);
      const paths = Object.entries({ cert, key, ca }).map(([kind, bytes]) => {
        const path = join(rig.folder, `${certificate}.${kind}`);
        writeFileSync(path, bytes as Buffer);
        return `tls-${kind} = ${path}`;
      });
      return ["token =", ...paths].join("\n");
    };
    await Promise.all([
      rig.start("n1", `start-as-leader = yes\n${keysOf("n1")}`),
      rig.start("n3", keysOf("n3")),
      rig.start("n2", keysOf("n2-stranger")),
    ]);
    await waitFor("n1 and n3 to meet", () => isConnected(rig, "n1", "n3"));
    for (const name of ["n1", "n3"]) await rig.send(name, "hits", 20);
    await rig.untilComplete();
    await waitFor("n2 to be told", async () => {
      const { members } = (await rig.status("n2")).cluster;
      return members.some(({ node, fault }) => node === "n1" && fault !== null);
    });
    assert.equal(await isConnected(rig, "n1", "n2"), false);
  });
});

/** Exit code and words of --check-config for a section [cluster]. */
function check(folder: string, cluster: string): { status: number | null; text: string } {
  const path = join(folder, "check.ini");
  writeFileSync(path, `[aggregator]\nstate-dir = ${folder}\n[cluster]\n${cluster}\n`);
  const args = ["--preserve-symlinks-main", SCRIPT, "--config", path, "--check-config"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  return { status, text: stdout + stderr };
}

test("what lets strangers in, or cannot work, is refused before any port is open", () => {
  const folder = mkdtempSync(join(tmpdir(), "check-"));
  const peers =
    "node = a\npeers[] = a@127.0.0.1:8136\npeers[] = b@127.0.0.2:8136\npeers[] = c@127.0.0.3:8136";
  try {
    assert.deepEqual(check(folder, peers), { status: 0, text: "ok\n" });
    const open = check(folder, `${peers}\nlisten = 0.0.0.0:8136`);
    assert.equal(open.status, 78);
    assert.match(open.text, /cluster\.listen.*strangers/s);
    assert.equal(check(folder, `${peers}\nlisten = 0.0.0.0:8136\ntoken = ${"t".repeat(32)}`).status, 0);
    const short = check(folder, `${peers}\ntoken = short-and-secret`);
    assert.equal(short.status, 78);
    assert.match(short.text, /token has 16 bytes/);
    assert.doesNotMatch(short.text, /short-and-secret/);
    const two = check(folder, "node = a\npeers[] = a@127.0.0.1:8136\npeers[] = b@127.0.0.2:8136");
    assert.equal(two.status, 78);
    assert.match(two.text, /witness/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a node's folder keeps its term, admits one process, and is refused without its vote", async () => {
  const rig = await ClusterProcesses.open({ names: ["a", "b"], cluster: "allow-split-flush = yes" });
  try {
    await rig.start("a");
    await rig.leader();
    const { term } = (await rig.status("a")).cluster;
    assert.ok(term > 0);
    await assert.rejects(
      rig.start("b", { aggregator: `state-dir = ${rig.stateDir("a")}` }),
      /state-dir is .* held by process \d+.*stop that one/s,
    );
    await rig.kill("a");
    await rig.start("a");
    await waitFor("its word", async () => (await rig.status("a")).cluster.incarnation !== null);
    assert.ok((await rig.status("a")).cluster.term >= term, "the term goes on");
    assert.equal(await rig.stop("a"), 0);
    const vote = join(rig.stateDir("a"), "vote");
    assert.ok(existsSync(vote) && readFileSync(vote).length > 0);
    rmSync(vote);
    await assert.rejects(rig.start("a"), /aggregator\.state-dir: .*vote was removed/);
    await assert.rejects(
      rig.start("a", { aggregator: `state-dir = ${join(rig.folder, "no", "such", "folder")}` }),
      /aggregator\.state-dir is .*name a folder/s,
    );
  } finally {
    await rig.close();
  }
});
