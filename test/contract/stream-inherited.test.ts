/** Listening stream sockets that outlive the processes which read them. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readlinkSync, renameSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { type ListenAddress, openReceiver } from "../../shared/udp.ts";
import { waitFor } from "../support/wait-for.ts";

const folder = mkdtempSync(join(tmpdir(), "stream-inherited-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const program = fileURLToPath(new URL("../support/inheriting-process.js", import.meta.url));

interface Report {
  readonly kind: "ready" | "read" | "left";
  readonly text?: string;
}

/** A process that was started with a socket. */
class Heir {
  readonly process: ChildProcess;
  readonly #seen = new Set<Report["kind"]>();
  /** All that it has read. */
  text = "";

  constructor(fd: number) {
    this.process = spawn(process.execPath, [program], { stdio: ["ignore", "inherit", "inherit", fd, "ipc"] });
    this.process.on("message", (report) => {
      const { kind, text } = report as Report;
      this.#seen.add(kind);
      this.text = text ?? this.text;
    });
  }

  /** Lets it do the next thing, and waits for a report of that kind. */
  async go(kind: Report["kind"]): Promise<void> {
    this.process.send({});
    await waitFor(`a process that is ${kind}`, () => this.#seen.has(kind));
  }
}

function socketDescriptors(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
      } catch {
        return false;
      }
    });
}

const listens: readonly ListenAddress[] = [
  { kind: "tcp", host: "127.0.0.1", port: 0 },
  { kind: "unix", path: join(folder, "in.sock") },
];
for (const listen of listens) {
  const skip = process.platform !== "linux" && "Linux only";
  test(`${listen.kind}: the next process reads what the last one left`, { skip }, async () => {
    const before = socketDescriptors();
    const opener = await openReceiver("dgram", listen, { receiveBufferBytes: 0, sharePort: false });
    const fd = socketDescriptors().find((one) => !before.includes(one));
    assert.ok(fd !== undefined);
    const heirs = [new Heir(fd), new Heir(fd), new Heir(fd)];
    const { address } = opener;
    const path = join(folder, "in.sock");
    const sendLine = async (line: string) => {
      const client = "port" in address ? connect(address.port, address.host) : connect(path);
      await once(client, "connect");
      client.end(line);
    };
    await Promise.all(heirs.map((heir) => once(heir.process, "spawn")));
    // The opener would accept connections too; the file that it removes is put out of its way.
    if (listen.kind === "unix") renameSync(path, `${path}.kept`);
    opener.close();
    if (listen.kind === "unix") renameSync(`${path}.kept`, path);
    const [first, second, third] = heirs as [Heir, Heir, Heir];
    await first.go("ready");
    await sendLine("one\n");
    await waitFor("the first line", () => first.text === "one\n");
    await first.go("left");
    await sendLine("two\n");
    await sendLine("three\n");
    await second.go("ready");
    await waitFor("the lines between", () => second.text.length === "two\nthree\n".length);
    await second.go("left");
    await sendLine("four\n");
    await third.go("ready");
    await waitFor("the last line", () => third.text === "four\n");
    await third.go("left");
    assert.equal(existsSync(path), listen.kind === "unix", "the file belongs to whoever handed it down");
    await endAll(heirs);
  });
}

async function endAll(heirs: readonly Heir[]): Promise<void> {
  for (const { process: child } of heirs) if (child.connected) child.disconnect();
  await Promise.all(heirs.map(({ process: child }) => child.exitCode ?? once(child, "exit")));
}
