/**
 * All connections between this node and its peers. There is one each way: this node says everything over
 * those that it has opened, and hears everything over those that peers have. Agents do not listen, so they
 * are answered over theirs.
 */
import type { WebSocket } from "ws";
import type { HostPort } from "../../shared/config-addresses.ts";
import { assert } from "../../shared/errors.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import type { Message } from "../message.ts";
import type { Net } from "../world.ts";
import { encodeMessage, MESSAGE_BYTES_MAX } from "./codec.ts";
import { compareHello, type Hello, isNodeName, type SpokenHello, speakHello } from "./hello.ts";
import { checkAccess } from "./peer-access.ts";
import {
  CLOSE_GOING_AWAY,
  CLOSE_REFUSED,
  CLOSE_REPLACED,
  type LinkCounts,
  newLinkCounts,
  PeerChannel,
} from "./peer-channel.ts";
import { isBulky, type LinkOptions, type LinkState, PeerLink } from "./peer-link.ts";
import { PeerServer, type Visitor } from "./peer-server.ts";

/** A peer and where it listens. */
export interface PeerAddress extends HostPort {
  readonly name: string;
}

export interface PeerHubOptions extends LinkOptions {
  /** This node's name. */
  readonly name: string;
  /** Port 0 for any free one. */
  readonly listen: HostPort;
  /** All other members; this node itself is left out. */
  readonly peers: readonly PeerAddress[];
  readonly hello: Hello;
}

export interface PeerHubEvents {
  onMessage(from: string, message: Message): void;
  /** What is sent to a peer has a chance to arrive. */
  onConnected?(name: string): void;
  /** Once for each onConnected. */
  onLost?(name: string): void;
  /** This node, or the peer, will not work with the other. Once for each reason, until it is another. */
  onRefused?(name: string, reason: string): void;
  /** reply: returns false where it is not sent, since the agent has gone or too much waits. */
  onAgentMessage?(from: string, message: Message, reply: (message: Message) => boolean): void;
  onAgentLost?(from: string): void;
}

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

/** A peer in both directions. */
export interface PeerState extends PeerAddress {
  readonly outgoing: LinkState;
  readonly incoming: IncomingState;
}

/** A peer as this node keeps it. */
interface Peer {
  readonly address: PeerAddress;
  readonly link: PeerLink;
}

/** What is known of those who come under a name. */
interface Incoming {
  readonly counts: LinkCounts;
  channel: PeerChannel | undefined;
  incarnation: string | undefined;
  lastError: string | undefined;
  refusal: string | undefined;
}

/** How long one may take to show that it lives, when another comes under its name; in milliseconds. */
const PROBE_MS = 700;
/** Agents at a time, and other connections that were not let in yet. */
const AGENTS_MAX = 1024;
const WAITING_MAX = 256;
/** Refusals that are remembered as told. */
const TOLD_MAX = 256;

export class PeerHub implements Net {
  readonly #options: PeerHubOptions;
  readonly #events: PeerHubEvents;
  readonly #server: PeerServer;
  readonly #peers = new Map<string, Peer>();
  readonly #incoming = new Map<string, Incoming>();
  /** Channels that are let in, of agents; and those that are not let in yet. */
  readonly #agents = new Set<PeerChannel>();
  readonly #waiting = new Set<PeerChannel>();
  /** For agents, and strangers who may not come in. */
  readonly #otherCounts = newLinkCounts();
  /** For what those who are no peers can cause. */
  readonly #log: Log;
  /** Refusals that were told, by name. */
  readonly #told = new Map<string, string>();
  #hello: SpokenHello;
  #isOpen = false;
  /** Messages to nobody that is known. */
  #misdirected = 0;

  constructor(options: PeerHubOptions, events: PeerHubEvents) {
    assert(isNodeName(options.name) && options.hello.node === options.name, "a hub has its node's name");
    this.#options = options;
    this.#events = events;
    this.#hello = speakHello(options.hello);
    this.#log = rateLimited(options.log, 1000, options.clock);
    const { listen, access, clock, log, handshakeTimeoutMs = 3000 } = options;
    const hello = () => this.#hello;
    this.#server = new PeerServer(
      { listen, access, clock, log, handshakeTimeoutMs, hello },
      (visitor, webSocket) => this.#receive(visitor, webSocket),
    );
  }

  /** The port as bound; 0 before open(). */
  get port(): number {
    return this.#server.port;
  }

  get agentCount(): number {
    return this.#agents.size;
  }

  /** Connections that showed no right to come in. */
  get unauthorized(): number {
    return this.#server.refused;
  }

  /** Counts of agents' connections, and of those that were not let in. */
  get otherCounts(): Readonly<LinkCounts> {
    return { ...this.#otherCounts, droppedMessages: this.#otherCounts.droppedMessages + this.#misdirected };
  }

  /**
   * Listens, and begins to connect. Throws OperatorError where it cannot listen, where nobody would have to
   * show anything beyond loopback, or where token or certificates cannot be used.
   */
  async open(): Promise<void> {
    checkAccess(this.#options.access);
    await this.#server.open();
    this.#isOpen = true;
    this.setPeers(this.#options.peers);
  }

  send(to: string, message: Message): void {
    const peer = this.#peers.get(to);
    if (peer === undefined) this.#misdirected += 1;
    else peer.link.send(message);
  }

  pendingBytes(to: string): number {
    return this.#peers.get(to)?.link.pendingBytes ?? 0;
  }

  /** Whether what is sent to a peer has a chance to arrive. */
  isConnected(to: string): boolean {
    return this.#peers.get(to)?.link.isConnected === true;
  }

  /** Takes another membership. hello: what this node says from now on, where that has changed. */
  setPeers(peers: readonly PeerAddress[], hello?: Hello): void {
    if (hello !== undefined) this.#setHello(hello);
    const wanted = new Map(
      peers.filter(({ name }) => name !== this.#options.name).map((one) => [one.name, one]),
    );
    for (const [name, { address, link }] of this.#peers) {
      const { host, port } = wanted.get(name) ?? {};
      if (host === address.host && port === address.port) continue;
      this.#peers.delete(name);
      void link.close("the membership has changed");
      if (wanted.has(name)) continue;
      this.#incoming.get(name)?.channel?.close(CLOSE_GOING_AWAY, "no member any more");
      this.#incoming.delete(name);
    }
    for (const [name, address] of wanted) {
      if (this.#peers.has(name)) continue;
      const link = this.#newLink(address);
      this.#peers.set(name, { address, link });
      if (this.#isOpen) link.open();
    }
  }

  /** How each peer is, in the order in which they were given. */
  states(): PeerState[] {
    return [...this.#peers.values()].map(({ address, link }) => {
      const { channel, counts, ...incoming } = this.#incomingOf(address.name);
      return {
        ...address,
        outgoing: link.state(),
        incoming: {
          ...incoming,
          counts: { ...counts },
          isConnected: channel !== undefined,
          remote: channel?.remote,
        },
      };
    });
  }

  /** Sends what is urgent, and ends all connections; resolves within a second or so. */
  async close(): Promise<void> {
    this.#isOpen = false;
    const links = [...this.#peers.values()].map(({ link }) => link.close("the node stops"));
    const channels = [...this.#incoming.values()].flatMap(({ channel }) => channel ?? []);
    for (const channel of [...channels, ...this.#agents, ...this.#waiting]) {
      channel.close(CLOSE_GOING_AWAY, "the node stops");
    }
    await Promise.all([...links, this.#server.close()]);
  }

  #setHello(hello: Hello): void {
    assert(hello.node === this.#options.name, "a node keeps its name");
    this.#hello = speakHello(hello);
    for (const { link } of this.#peers.values()) link.setHello(this.#hello);
    for (const { channel } of this.#incoming.values()) channel?.sayHello(this.#hello);
    for (const channel of this.#agents) channel.sayHello(this.#hello);
  }

  #newLink(address: PeerAddress): PeerLink {
    return new PeerLink([address], this.#hello, this.#options, {
      onConnected: (name) => {
        this.#told.delete(name);
        this.#events.onConnected?.(name);
      },
      onLost: (name) => this.#events.onLost?.(name),
      onRefused: (name, reason) => this.#tellRefusal(name, reason),
    });
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
      };
      // Those who are no peers leave nothing behind.
      if (this.#peers.has(name)) this.#incoming.set(name, incoming);
    }
    return incoming;
  }

  /** Takes a connection over whose other side has shown who it is. */
  #receive(visitor: Visitor, webSocket: WebSocket): void {
    const isPeer = this.#peers.has(visitor.node);
    const counts = isPeer ? this.#incomingOf(visitor.node).counts : this.#otherCounts;
    const { clock, backlogBytesMax, handshakeTimeoutMs = 3000, heartbeatMs = 1000 } = this.#options;
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
          ? compareHello(this.#hello.hello, hello)
          : `what "${visitor.node}" says of itself is not what it proved`;
        if (reason !== undefined) this.#refuse(channel, visitor.node, reason);
        else if (isFirst) this.#admit(channel, hello);
      },
      onMessage: (message) => {
        if (first === undefined) return;
        if (first.role !== "agent") this.#events.onMessage(first.node, message);
        else this.#events.onAgentMessage?.(first.node, message, (answer) => this.#reply(channel, answer));
      },
      onClosed: (reason) => {
        this.#waiting.delete(channel);
        if (this.#agents.delete(channel) && first !== undefined) this.#events.onAgentLost?.(first.node);
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
      channel.sayHello(this.#hello);
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
    if (!this.#peers.has(hello.node)) {
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
    this.#tellRefusal(name, reason);
  }

  /** Both ways to a peer are refused for the same reason, and again each time. */
  #tellRefusal(name: string, reason: string): void {
    if (this.#told.get(name) === reason) return;
    // Agents, and nodes that are no members, have any number of names.
    if (this.#told.size >= TOLD_MAX) this.#told.clear();
    this.#told.set(name, reason);
    const log = this.#peers.has(name) ? this.#options.log : this.#log;
    log.error("peer.refused", { peer: name, reason });
    this.#events.onRefused?.(name, reason);
  }

  #reply(channel: PeerChannel, message: Message): boolean {
    const packet = encodeMessage(message);
    return packet.bytes <= MESSAGE_BYTES_MAX && channel.send(packet, isBulky(message));
  }
}
