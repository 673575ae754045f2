/**
 * Sends lines of which each datagram has names of its own, so that the fate of every one can be told: a
 * datagram is a few lines of one counter, called after its node and its number. Three more lines go with it,
 * of series that get something from all of them: what these come to has to fit what arrived.
 */
import { createSocket, type Socket } from "node:dgram";

const TICK_MS = 20;
/** Lines of a datagram: a counter of which a part arrived shows as well. */
const LINES = 3;

/** One datagram that the kernel of its node has taken. */
export interface SentItem {
  readonly name: string;
  readonly node: string;
  /** Wall clock in milliseconds since 1970. */
  readonly atMs: number;
  /** Sum that carbon should have of it. */
  readonly count: number;
}

/** How names begin that belong to one datagram alone. */
export const SINGLE_PREFIX = "f.";

/** Counter that all datagrams of all nodes add their lines to. */
export const TOTAL_NAME = "t.all";

/** Gauge that each datagram of a node raises by one. */
export function levelName(node: string): string {
  return `l.${node}`;
}

/** Timer that each datagram of a node has one sample of. */
export function timerName(node: string): string {
  return `d.${node}`;
}

export class FaultSource {
  readonly #sockets = new Map<string, Socket>();
  readonly #active = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  readonly #addressOf: (node: string) => string;
  #number = 0;
  readonly items: SentItem[] = [];
  /** Further lines that go with each datagram of a node. */
  extra = (_node: string, _number: number): string => "";

  /** addressOf: where a node takes lines (UDP port 8125). */
  constructor(addressOf: (node: string) => string) {
    this.#addressOf = addressOf;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Datagrams that a node is sent in a second. */
  static readonly ratePerSecond = 1000 / TICK_MS;

  /** Nodes that lines go to now. */
  get active(): string[] {
    return [...this.#active];
  }

  /** Begins to send to nodes that take lines now. */
  async begin(...nodes: readonly string[]): Promise<void> {
    for (const node of nodes) {
      this.#sockets.get(node)?.close();
      const socket = createSocket("udp4");
      // Refusals of a node that is gone; nothing is sent to those.
      socket.on("error", () => {});
      this.#sockets.set(node, socket);
      await new Promise<void>((resolve) => socket.connect(8125, this.#addressOf(node), resolve));
      this.#active.add(node);
    }
  }

  /** Sends nothing to these from this moment on. */
  end(...nodes: readonly string[]): void {
    for (const node of nodes) this.#active.delete(node);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#active.clear();
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #tick(): void {
    for (const node of this.#active) {
      const number = this.#number++;
      const name = `${SINGLE_PREFIX}${node}.${number}`;
      this.items.push({ name, node, atMs: Date.now(), count: LINES });
      const counted = `${TOTAL_NAME}:${LINES}|c\n${levelName(node)}:+1|g\n`;
      const shared = `${counted}${timerName(node)}:${number % 50}|ms\n`;
      this.#sockets.get(node)!.send(`${name}:1|c\n`.repeat(LINES) + shared + this.extra(node, number));
    }
  }
}
