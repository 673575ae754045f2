/** Peers of a cluster on loopback, with real sockets. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { type Delta, deltaOf } from "../../cluster/delta.ts";
import type { Message } from "../../cluster/message.ts";
import { type Hello, PROTOCOL_VERSION } from "../../cluster/transport/hello.ts";
import type { PeerTls } from "../../cluster/transport/peer-access.ts";
import {
  type PeerAddress,
  PeerHub,
  type PeerHubOptions,
  type PeerState,
} from "../../cluster/transport/peer-hub.ts";
import { systemClock } from "../../shared/clock.ts";
import { systemRandom } from "../../shared/random.ts";
import { newFrame } from "../../shared/wire.ts";
import { EventLog } from "./event-log.ts";

export const TOKEN = "0123456789abcdef0123456789abcdef";
export const MEMBERS = ["n1", "n2", "n3"];

/** What a node of the test cluster says of itself. */
export function helloOf(node: string, given: Partial<Hello> = {}): Hello {
  return {
    version: PROTOCOL_VERSION,
    node,
    incarnation: `${node}-1`,
    role: "member",
    members: MEMBERS,
    settings: { "aggregation.timer": "count", interval: "10000" },
    ...given,
  };
}

/**
 * Certificate of the test authority: n1 and n2 by their DNS names, n3 by its common name; all have one key.
 */
export function peerTls(name: "n1" | "n2" | "n3" | "n2-expired" | "n2-stranger"): PeerTls {
  const folder = findFolder(dirname(fileURLToPath(import.meta.url)));
  const read = (file: string) => readFileSync(join(folder, file));
  return { cert: read(`${name}.pem`), key: read("key.pem"), ca: read("ca.pem") };
}

/** Certificates are not compiled, so they are where the sources are. */
function findFolder(folder: string): string {
  const found = join(folder, "test", "support", "peer-tls");
  return existsSync(join(found, "ca.pem")) ? found : findFolder(dirname(folder));
}

/** A delta with a body of so many bytes. */
export function newDelta(sequence: number, bodyBytes = 100, source = 7n): Delta {
  const label = {
    node: source,
    incarnation: 1n,
    origin: 1,
    sequence,
    interval: 100,
    lowestOpen: 100,
    intervalMs: 10_000,
    entries: 1,
    lines: 3,
  };
  const frame = newFrame(label, bodyBytes);
  frame.fill(sequence & 0xff, frame.length - bodyBytes);
  return deltaOf(frame)!;
}

/** A bundle of deltas as a member sends them. */
export function newDeltas(first: number, count: number, bodyBytes?: number): Message {
  const deltas = Array.from({ length: count }, (_, index) => newDelta(first + index, bodyBytes));
  return { kind: "deltas", deltas, closedBelow: 100, incarnation: "n1-1", wantsAck: true };
}

/** A hub, and what it has told. */
export class TestHub {
  readonly messages: { readonly from: string; readonly message: Message }[] = [];
  readonly agentMessages: { readonly from: string; readonly message: Message }[] = [];
  /** "+n2" for a peer that is connected, "-n2" for one that was lost. */
  readonly changes: string[] = [];
  readonly refusals: string[] = [];
  readonly log = new EventLog();
  /** Answers each message of an agent, where there is one. */
  answer: Message | undefined;
  readonly hub: PeerHub;

  constructor(name: string, given: Partial<PeerHubOptions> = {}) {
    const options: PeerHubOptions = {
      name,
      listen: { host: "127.0.0.1", port: 0 },
      peers: [],
      hello: helloOf(name),
      access: { token: TOKEN },
      backlogBytesMax: 8 << 20,
      heartbeatMs: 100,
      handshakeTimeoutMs: 1000,
      connectTimeoutMs: 1000,
      refusedRetryMs: 200,
      clock: systemClock,
      random: systemRandom,
      log: this.log.log,
      ...given,
    };
    this.hub = new PeerHub(options, {
      onMessage: (from, message) => void this.messages.push({ from, message }),
      onConnected: (peer) => void this.changes.push(`+${peer}`),
      onLost: (peer) => void this.changes.push(`-${peer}`),
      onRefused: (peer, reason) => void this.refusals.push(`${peer}: ${reason}`),
      onAgentMessage: (from, message, reply) => {
        this.agentMessages.push({ from, message });
        if (this.answer !== undefined) reply(this.answer);
      },
    });
  }

  /** Opens a hub that the test closes at its end. */
  static async open(t: TestContext, name: string, given: Partial<PeerHubOptions> = {}): Promise<TestHub> {
    const hub = new TestHub(name, given);
    t.after(() => hub.hub.close());
    await hub.hub.open();
    return hub;
  }

  /** Where it listens. */
  addressAs(name: string): PeerAddress {
    return { name, host: "127.0.0.1", port: this.hub.port };
  }

  stateOf(name: string): PeerState {
    return this.hub.states().find((state) => state.name === name)!;
  }

  /** Whether it and a peer are connected both ways. */
  isJoined(name: string): boolean {
    const { outgoing, incoming } = this.stateOf(name);
    return outgoing.isConnected && incoming.isConnected;
  }
}

/** Lets hubs know of each other, by their names in order. */
export function introduce(hubs: Readonly<Record<string, TestHub>>): void {
  const addresses = Object.entries(hubs).map(([name, hub]) => hub.addressAs(name));
  for (const { hub } of Object.values(hubs)) hub.setPeers(addresses);
}
