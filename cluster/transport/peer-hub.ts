/**
 * All connections between this node and its peers. There is one each way: this node says everything over
 * those that it has opened, and hears everything over those that peers have. Agents do not listen, so they
 * are answered over theirs.
 */
import type { HostPort } from "../../shared/config-addresses.ts";
import { assert } from "../../shared/errors.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import type { Message } from "../message.ts";
import type { Net } from "../world.ts";
import { type Hello, isNodeName, type SpokenHello, speakHello } from "./hello.ts";
import type { LinkCounts } from "./link-counts.ts";
import { checkAccess } from "./peer-access.ts";
import { type IncomingState, PeerDoor } from "./peer-door.ts";
import { type LinkOptions, type LinkState, PeerLink } from "./peer-link.ts";
import { PeerServer } from "./peer-server.ts";

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

/** Refusals that are remembered as told. */
const TOLD_MAX = 256;

export class PeerHub implements Net {
  readonly #options: PeerHubOptions;
  readonly #events: PeerHubEvents;
  readonly #server: PeerServer;
  readonly #door: PeerDoor;
  readonly #peers = new Map<string, Peer>();
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
    const { listen, access, clock, log, backlogBytesMax } = options;
    const { handshakeTimeoutMs = 3000, heartbeatMs = 1000 } = options;
    const hello = () => this.#hello;
    const isPeer = (name: string) => this.#peers.has(name);
    this.#door = new PeerDoor(
      { clock, backlogBytesMax, handshakeTimeoutMs, heartbeatMs, hello, isPeer },
      {
        onMessage: (from, message) => events.onMessage(from, message),
        onAgentMessage: (from, message, reply) => events.onAgentMessage?.(from, message, reply),
        onAgentLost: (from) => events.onAgentLost?.(from),
        onRefused: (name, reason) => this.#tellRefusal(name, reason),
      },
    );
    this.#server = new PeerServer(
      { listen, access, clock, log, handshakeTimeoutMs, hello },
      (visitor, webSocket) => this.#door.receive(visitor, webSocket),
    );
    this.setPeers(options.peers);
  }

  /** The port as bound; 0 before open(). */
  get port(): number {
    return this.#server.port;
  }

  get agentCount(): number {
    return this.#door.agentCount;
  }

  /** Connections that showed no right to come in. */
  get unauthorized(): number {
    return this.#server.refused;
  }

  /** Counts of agents' connections, and of those that were not let in. */
  get otherCounts(): Readonly<LinkCounts> {
    const { otherCounts } = this.#door;
    return { ...otherCounts, droppedMessages: otherCounts.droppedMessages + this.#misdirected };
  }

  /**
   * Listens, and begins to connect. Throws OperatorError where it cannot listen, where nobody would have to
   * show anything beyond loopback, or where token or certificates cannot be used.
   */
  async open(): Promise<void> {
    checkAccess(this.#options.access);
    await this.#server.open();
    this.#isOpen = true;
    for (const { link } of this.#peers.values()) link.open();
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
      // It takes a moment to end, in which another may have come up already.
      if (link.isConnected) this.#events.onLost?.(name);
      void link.close("the membership has changed");
      if (!wanted.has(name)) this.#door.dismiss(name);
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
      return { ...address, outgoing: link.state(), incoming: this.#door.stateOf(address.name) };
    });
  }

  /** Sends what is urgent, and ends all connections; resolves within a second or so. */
  async close(): Promise<void> {
    this.#isOpen = false;
    const links = [...this.#peers.values()].map(({ link }) => link.close("the node stops"));
    this.#door.close();
    await Promise.all([...links, this.#server.close()]);
  }

  #setHello(hello: Hello): void {
    assert(hello.node === this.#options.name, "a node keeps its name");
    this.#hello = speakHello(hello);
    for (const { link } of this.#peers.values()) link.setHello(this.#hello);
    this.#door.sayHello(this.#hello);
  }

  #newLink(address: PeerAddress): PeerLink {
    const isCurrent = () => this.#peers.get(address.name)?.link === link;
    const link: PeerLink = new PeerLink([address], this.#hello, this.#options, {
      onConnected: (name) => {
        this.#told.delete(name);
        this.#events.onConnected?.(name);
      },
      onLost: (name) => {
        if (isCurrent()) this.#events.onLost?.(name);
      },
      onRefused: (name, reason) => {
        if (isCurrent()) this.#tellRefusal(name, reason);
      },
    });
    return link;
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
}
