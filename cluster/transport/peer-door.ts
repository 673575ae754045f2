/**
 * Connections that others have opened to this node: one of each peer, over which it says everything, and
 * those of agents.
 */
import type { WebSocket } from "ws";
import type { Clock } from "../../shared/clock.ts";
import type { Message } from "../message.ts";
import { encodeMessage, MESSAGE_BYTES_MAX } from "./codec.ts";
import { compareHello, type Hello, type SpokenHello } from "./hello.ts";
import { type LinkCounts, newLinkCounts } from "./link-counts.ts";
import { CLOSE_GOING_AWAY, CLOSE_REFUSED, CLOSE_REPLACED, PeerChannel } from "./peer-channel.ts";
import { isBulky } from "./peer-link.ts";
import type { Visitor } from "./peer-server.ts";

/** How the connection that a peer has opened is. */
export interface IncomingState {
  readonly isConnected: boolean;
  /** Address and port that it came from; undefined where it is not there. */
  readonly remote: string | undefined;
  /** Which run of its process it is, or was. */
  readonly incarnation: string | undefined;
  readonly lastError: string | undefined;
  readonly refusal: string | undefined;
  readonly counts: Readonly<LinkCounts>;
}

/** What is known of those who come under a name. */
interface Incoming {
  readonly counts: LinkCounts;
  channel: PeerChannel | undefined;
  incarnation: string | undefined;
  lastError: string | undefined;
  refusal: string | undefined;
  /** When that was, on the monotonic clock. */
  refusedMs: number;
}

/** How long one may take to show that it lives, when another comes under its name; in milliseconds. */
const PROBE_MS = 700;
/** Agents at a time, and other connections that were not let in yet. */
const AGENTS_MAX = 1024;
const WAITING_MAX = 256;
/** How long a refusal is shown, in milliseconds: who is refused tries again sooner than that. */
const REFUSAL_SHOWN_MS = 20_000;

/** What the door has to know of the house. */
export interface PeerDoorOptions {
  readonly clock: Clock;
  readonly backlogBytesMax: number;
  readonly handshakeTimeoutMs: number;
  readonly heartbeatMs: number;
  /** What this node says first. */
  hello(): SpokenHello;
  /** Whether a name is that of a peer. */
  isPeer(name: string): boolean;
}

/** As those of the hub. */
export interface PeerDoorEvents {
  onMessage(from: string, message: Message): void;
  onAgentMessage(from: string, message: Message, reply: (message: Message) => boolean): void;
  onAgentLost(from: string): void;
  /** May be told of the same again and again. */
  onRefused(name: string, reason: string): void;
}

export class PeerDoor {
  readonly #options: PeerDoorOptions;
  readonly #events: PeerDoorEvents;
  readonly #incoming = new Map<string, Incoming>();
  /** Channels that are let in, of agents; and those that are not let in yet. */
  readonly #agents = new Set<PeerChannel>();
  readonly #waiting = new Set<PeerChannel>();
  /** For agents, and strangers who may not come in. */
  readonly #otherCounts = newLinkCounts();
  #isOpen = true;

  constructor(options: PeerDoorOptions, events: PeerDoorEvents) {
    this.#options = options;
    this.#events = events;
  }

  get agentCount(): number {
    return this.#agents.size;
  }

  /** Counts of agents' connections, and of those that were not let in. */
  get otherCounts(): Readonly<LinkCounts> {
    return this.#otherCounts;
  }

  /** How the connection is that a peer has opened. */
  stateOf(name: string): IncomingState {
    const { channel, counts, incarnation, lastError, refusal, refusedMs } = this.#incomingOf(name);
    const isRecent = this.#options.clock.monotonicMs() - refusedMs < REFUSAL_SHOWN_MS;
    return {
      isConnected: channel !== undefined,
      remote: channel?.remote,
      incarnation,
      lastError,
      refusal: isRecent ? refusal : undefined,
      counts: { ...counts },
    };
  }

  /** Says to all who are in what this node is now. */
  sayHello(hello: SpokenHello): void {
    for (const { channel } of this.#incoming.values()) channel?.sayHello(hello);
    for (const channel of this.#agents) channel.sayHello(hello);
  }

  /** Lets go of one who is no peer any more. */
  dismiss(name: string): void {
    this.#incoming.get(name)?.channel?.close(CLOSE_GOING_AWAY, "no member any more");
    this.#incoming.delete(name);
  }

  /** Lets nobody in any more, and ends all connections; they are gone within a second. */
  close(): void {
    this.#isOpen = false;
    const peers = [...this.#incoming.values()].flatMap(({ channel }) => channel ?? []);
    for (const channel of [...peers, ...this.#agents, ...this.#waiting]) {
      channel.close(CLOSE_GOING_AWAY, "the node stops");
    }
  }

  #incomingOf(name: string): Incoming {
    let incoming = this.#incoming.get(name);
    if (incoming === undefined) {
      incoming = {
        counts: newLinkCounts(),
        channel: undefined,
        incarnation: undefined,
        lastError: undefined,
        refusal: undefined,
        refusedMs: Number.NEGATIVE_INFINITY,
      };
      // Those who are no peers leave nothing behind.
      if (this.#options.isPeer(name)) this.#incoming.set(name, incoming);
    }
    return incoming;
  }

  /** Takes a connection over whose other side has shown who it is. */
  receive(visitor: Visitor, webSocket: WebSocket): void {
    const isPeer = this.#options.isPeer(visitor.node);
    const counts = isPeer ? this.#incomingOf(visitor.node).counts : this.#otherCounts;
    const { clock, backlogBytesMax, handshakeTimeoutMs, heartbeatMs } = this.#options;
    const options = { clock, backlogBytesMax, handshakeTimeoutMs, heartbeatMs, counts };
    let first: Hello | undefined;
    const channel: PeerChannel = new PeerChannel(webSocket, visitor.socket, options, {
      onHello: (hello, digest) => {
        const isFirst = first === undefined;
        const isSound = isFirst
          ? hello.node === visitor.node && digest === visitor.helloDigest
          : hello.node === first?.node &&
            hello.role === first.role &&
            hello.incarnation === first.incarnation;
        first ??= hello;
        const reason = isSound
          ? compareHello(this.#options.hello().hello, hello)
          : `what "${visitor.node}" says of itself is not what it proved`;
        if (reason !== undefined) this.#refuse(channel, visitor.node, reason);
        else if (isFirst) this.#admit(channel, hello);
      },
      onMessage: (message) => {
        if (first === undefined) return;
        if (first.role !== "agent") this.#events.onMessage(first.node, message);
        else this.#events.onAgentMessage(first.node, message, (answer) => this.#reply(channel, answer));
      },
      onClosed: (reason) => {
        this.#waiting.delete(channel);
        if (this.#agents.delete(channel) && first !== undefined) this.#events.onAgentLost(first.node);
        const incoming = this.#incoming.get(visitor.node);
        if (incoming?.channel !== channel) return;
        incoming.channel = undefined;
        incoming.lastError = reason;
      },
    });
    if (!this.#isOpen) channel.close(CLOSE_GOING_AWAY, "the node stops");
    else if (this.#waiting.size >= WAITING_MAX) channel.terminate("too many wait to come in");
    else {
      this.#waiting.add(channel);
      channel.sayHello(this.#options.hello());
    }
  }

  /** Lets somebody in who fits, unless another lives under the same name. */
  #admit(channel: PeerChannel, hello: Hello): void {
    // It may have gone while another was asked whether it lives.
    if (!this.#waiting.has(channel)) return;
    if (hello.role === "agent") {
      if (this.#agents.size >= AGENTS_MAX) this.#refuse(channel, hello.node, "too many agents");
      else {
        this.#waiting.delete(channel);
        this.#agents.add(channel);
        channel.welcome();
      }
      return;
    }
    if (!this.#options.isPeer(hello.node)) {
      this.#refuse(channel, hello.node, `"${hello.node}" is no peer here`);
      return;
    }
    const incoming = this.#incomingOf(hello.node);
    const { channel: other } = incoming;
    if (other === undefined || incoming.incarnation === hello.incarnation) {
      this.#waiting.delete(channel);
      incoming.channel = channel;
      incoming.incarnation = hello.incarnation;
      incoming.refusal = undefined;
      other?.close(CLOSE_REPLACED, "it has connected again");
      channel.welcome();
      return;
    }
    other.probe(PROBE_MS, (isAlive) => {
      if (isAlive) {
        const reason = `two nodes claim the name "${hello.node}", the other one at ${other.remote}`;
        this.#refuse(channel, hello.node, `${reason}; give each node its own`);
        return;
      }
      other.terminate("another run of it has come");
      if (incoming.channel === other) incoming.channel = undefined;
      this.#admit(channel, hello);
    });
  }

  #refuse(channel: PeerChannel, name: string, reason: string): void {
    channel.close(CLOSE_REFUSED, reason);
    const incoming = this.#incomingOf(name);
    incoming.lastError = reason;
    incoming.refusal = reason;
    incoming.refusedMs = this.#options.clock.monotonicMs();
    this.#events.onRefused(name, reason);
  }

  #reply(channel: PeerChannel, message: Message): boolean {
    const packet = encodeMessage(message);
    return packet.bytes <= MESSAGE_BYTES_MAX && channel.send(packet, isBulky(message));
  }
}
