/**
 * The way of an agent into the cluster: one connection to any of several nodes. Where that one goes, the next
 * has its turn.
 */
import type { HostPort } from "../../shared/config-addresses.ts";
import { assert } from "../../shared/errors.ts";
import { rateLimited } from "../../shared/log.ts";
import type { Message } from "../message.ts";
import { type Hello, speakHello } from "./hello.ts";
import { checkAccess } from "./peer-access.ts";
import { type LinkOptions, type LinkState, PeerLink } from "./peer-link.ts";

export interface AgentLinkOptions extends LinkOptions {
  /** Where nodes of the cluster listen; tried in this order, and again from the first. */
  readonly nodes: readonly HostPort[];
  /** Its role is "agent". */
  readonly hello: Hello;
}

export interface AgentLinkEvents {
  /** What was sent before and was not answered is best sent again. */
  onConnected?(server: string): void;
  onLost?(server: string, reason: string): void;
  onRefused?(server: string, reason: string): void;
  onMessage(server: string, message: Message): void;
}

export class AgentLink {
  readonly #link: PeerLink;

  /** Throws OperatorError where the token is too short. */
  constructor(options: AgentLinkOptions, events: AgentLinkEvents) {
    assert(options.hello.role === "agent", "an agent says that it is one");
    checkAccess(options.access);
    const log = rateLimited(options.log, 1000, options.clock);
    const targets = options.nodes.map(({ host, port }) => ({ name: undefined, host, port }));
    this.#link = new PeerLink(targets, speakHello(options.hello), options, {
      onConnected: (server) => events.onConnected?.(server),
      onLost: (server, reason) => events.onLost?.(server, reason),
      onRefused: (server, reason) => {
        log.error("peer.refused", { peer: server, reason });
        events.onRefused?.(server, reason);
      },
      onMessage: (server, message) => events.onMessage(server, message),
    });
  }

  get isConnected(): boolean {
    return this.#link.isConnected;
  }

  /** Bytes that wait, or that the node has perhaps not read. */
  get pendingBytes(): number {
    return this.#link.pendingBytes;
  }

  /** Begins to connect; goes on until close(). */
  open(): void {
    this.#link.open();
  }

  /** Returns false for a message that is not sent, since no node is there or too much waits. */
  send(message: Message): boolean {
    return this.#link.send(message);
  }

  state(): LinkState {
    return this.#link.state();
  }

  /** Sends what is urgent and ends. Resolves within a second. */
  close(): Promise<void> {
    return this.#link.close("the agent stops");
  }
}
