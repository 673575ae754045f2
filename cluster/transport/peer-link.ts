/** The lasting way to a peer: connects, connects again, and sends what it can. */
import { Backoff } from "../../shared/backoff.ts";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { printHostPort } from "../../shared/config-addresses.ts";
import { assert } from "../../shared/errors.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import type { Random } from "../../shared/random.ts";
import type { Message } from "../message.ts";
import { encodeMessage, MESSAGE_BYTES_MAX } from "./codec.ts";
import { compareHello, type Hello, memberDifferences, type SpokenHello } from "./hello.ts";
import { type LinkCounts, newLinkCounts } from "./link-counts.ts";
import type { PeerAccess } from "./peer-access.ts";
import { CLOSE_GOING_AWAY, CLOSE_REFUSED, PeerChannel } from "./peer-channel.ts";
import { type Dialled, type Dialling, type DialTarget, dial } from "./peer-dial.ts";

/** Pause after a refusal in milliseconds: it takes a person to mend. */
const REFUSED_RETRY_MS = 5000;
const BACKOFF = { delayMs: 100, multiplier: 2, delayMaxMs: 3000 };
/** A connection that lasted so long was a good one, in milliseconds. */
const LASTING_MS = 1000;

/** What all links of a node have in common. */
export interface LinkOptions {
  readonly access: PeerAccess;
  /** Bytes of bulky messages that may wait for one peer. */
  readonly backlogBytesMax: number;
  /** 3000 by default. */
  readonly connectTimeoutMs?: number;
  /** 3000 by default. */
  readonly handshakeTimeoutMs?: number;
  /** Pace of heartbeats; after three without anything a peer is lost. 1000 by default. */
  readonly heartbeatMs?: number;
  /** Whether deltas, and states, are sent deflated; false by default. Whoever gets them can read them. */
  readonly isDeflating?: boolean;
  /** Pause after a refusal; 5000 by default. */
  readonly refusedRetryMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface LinkEvents {
  /** From here on what is sent has a chance to arrive. server: who it is. */
  onConnected(server: string): void;
  /** Once for each onConnected. */
  onLost(server: string, reason: string): void;
  /** Somebody has to mend the configuration; nothing is logged yet. Once for each reason in a row. */
  onRefused(name: string, reason: string): void;
  /** What comes back over the same socket; only agents are sent anything. */
  onMessage?(server: string, message: Message): void;
}

/** How a link is. */
export interface LinkState {
  readonly isConnected: boolean;
  /** Who is there; undefined where nobody is. */
  readonly server: string | undefined;
  /** What the other side said of itself last. */
  readonly hello: Hello | undefined;
  /** Why it is not connected, or was not before; undefined where there was no fault. */
  readonly lastError: string | undefined;
  /** Why it cannot be connected before somebody mends it. */
  readonly refusal: string | undefined;
  /** What should not stay as it is, such as a member that only one of both has. */
  readonly warning: string | undefined;
  readonly reconnects: number;
  readonly pendingBytes: number;
  readonly roundTripMs: number | undefined;
  readonly counts: Readonly<LinkCounts>;
}

export class PeerLink {
  readonly #targets: readonly DialTarget[];
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #backoff: Backoff;
  readonly #counts = newLinkCounts();
  readonly #log: Log;
  #hello: SpokenHello;
  #attempt = 0;
  #dialling: Dialling | undefined;
  #retry: TimerHandle | undefined;
  #channel: PeerChannel | undefined;
  #server: string | undefined;
  #otherHello: Hello | undefined;
  #lastError: string | undefined;
  #refusal: string | undefined;
  #toldRefusal: string | undefined;
  #connectedMs = 0;
  #connects = 0;
  #isClosed = false;
  #onClosed: (() => void) | undefined;

  /** targets: at least one; where one fails, the next has its turn. */
  constructor(targets: readonly DialTarget[], hello: SpokenHello, options: LinkOptions, events: LinkEvents) {
    assert(targets.length > 0, "a link leads somewhere");
    this.#targets = targets;
    this.#hello = hello;
    this.#options = options;
    this.#events = events;
    this.#backoff = new Backoff(BACKOFF, options.random);
    // A peer that comes and goes must not fill a disk.
    this.#log = rateLimited(options.log, 1000, options.clock);
  }

  get isConnected(): boolean {
    return this.#channel?.isWelcome === true;
  }

  /** Bytes that wait, or that the other side has perhaps not read. */
  get pendingBytes(): number {
    return this.#channel?.pendingBytes ?? 0;
  }

  /** Begins to connect; goes on until close(). */
  open(): void {
    void this.#connect();
  }

  /** Returns false for a message that is not sent, since nobody is there or too much waits. */
  send(message: Message): boolean {
    const channel = this.#channel;
    const packet = channel?.isWelcome === true ? encodeMessage(message) : undefined;
    if (channel === undefined || packet === undefined || packet.bytes > MESSAGE_BYTES_MAX) {
      this.#counts.droppedMessages += 1;
      return false;
    }
    return channel.send(packet, isBulky(message));
  }

  /** What this node is has changed. */
  setHello(hello: SpokenHello): void {
    this.#hello = hello;
    this.#channel?.sayHello(hello);
  }

  state(): LinkState {
    return {
      isConnected: this.isConnected,
      server: this.isConnected ? this.#server : undefined,
      hello: this.#otherHello,
      lastError: this.#lastError,
      refusal: this.#refusal,
      warning: this.isConnected ? warningOf(this.#hello.hello, this.#otherHello) : undefined,
      reconnects: Math.max(0, this.#connects - 1),
      pendingBytes: this.pendingBytes,
      roundTripMs: this.#channel?.roundTripMs,
      counts: { ...this.#counts },
    };
  }

  /** Sends what is urgent and ends. Resolves within a second. */
  close(reason: string): Promise<void> {
    this.#isClosed = true;
    this.#dialling?.cancel();
    this.#retry?.cancel();
    if (this.#channel === undefined) return Promise.resolve();
    const closed = new Promise<void>((resolve) => {
      this.#onClosed = resolve;
    });
    this.#channel.close(CLOSE_GOING_AWAY, reason);
    return closed;
  }

  async #connect(): Promise<void> {
    const target = this.#targets[this.#attempt % this.#targets.length]!;
    const round = Math.floor(this.#attempt / this.#targets.length);
    this.#attempt += 1;
    const { access, clock, connectTimeoutMs = 3000, handshakeTimeoutMs = 3000 } = this.#options;
    const options = { access, clock, connectTimeoutMs, handshakeTimeoutMs, hello: this.#hello };
    this.#dialling = dial(target, options, round);
    const dialled = await this.#dialling.result;
    this.#dialling = undefined;
    if ("fault" in dialled) {
      if (!this.#isClosed) this.#fail(target, dialled.fault, dialled.isRefusal);
    } else if (this.#isClosed) dialled.webSocket.terminate();
    else this.#begin(target, dialled, options.hello);
  }

  #begin(target: DialTarget, dialled: Dialled, said: SpokenHello): void {
    const { handshakeTimeoutMs = 3000, heartbeatMs = 1000, isDeflating = false } = this.#options;
    const { clock, backlogBytesMax } = this.#options;
    const { webSocket, socket, server } = dialled;
    const counts = this.#counts;
    const options = { clock, backlogBytesMax, handshakeTimeoutMs, heartbeatMs, counts, isDeflating };
    let refusal: string | undefined;
    let hasHello = false;
    const channel = new PeerChannel(webSocket, socket, options, {
      onHello: (hello, digest) => {
        const isProved = hasHello || dialled.helloDigest === undefined || dialled.helloDigest === digest;
        hasHello = true;
        refusal =
          hello.node !== server || !isProved
            ? `what "${server}" says of itself is not what it proved`
            : compareHello(this.#hello.hello, hello);
        this.#otherHello = hello;
        if (refusal !== undefined) channel.close(CLOSE_REFUSED, refusal);
      },
      onWelcome: () => this.#onWelcome(server),
      onMessage: (message) => this.#events.onMessage?.(server, message),
      onClosed: (reason, isRefusal) => {
        const wasConnected = this.#server !== undefined;
        this.#channel = undefined;
        this.#server = undefined;
        if (wasConnected) {
          if (clock.monotonicMs() - this.#connectedMs >= LASTING_MS) this.#backoff.reset();
          if (!this.#isClosed) this.#log.warn("peer.lost", { peer: server, reason });
          this.#events.onLost(server, reason);
        }
        this.#onClosed?.();
        if (isRefusal && hasHello && this.#otherHello !== undefined) {
          // In its words `here` is there.
          refusal ??= compareHello(this.#hello.hello, this.#otherHello);
        }
        if (!this.#isClosed) this.#fail(target, refusal ?? reason, refusal !== undefined || isRefusal);
      },
    });
    this.#channel = channel;
    channel.sayHello(said);
    if (this.#hello !== said) channel.sayHello(this.#hello);
  }

  #onWelcome(server: string): void {
    this.#server = server;
    this.#connects += 1;
    this.#connectedMs = this.#options.clock.monotonicMs();
    this.#refusal = undefined;
    this.#toldRefusal = undefined;
    const warning = warningOf(this.#hello.hello, this.#otherHello);
    if (warning === undefined) this.#log.info("peer.connected", { peer: server });
    else this.#log.warn("peer.members-differ", { peer: server, warning });
    this.#events.onConnected(server);
  }

  #fail(target: DialTarget, reason: string, isRefusal: boolean): void {
    this.#lastError = reason;
    this.#refusal = isRefusal ? reason : undefined;
    if (isRefusal && reason !== this.#toldRefusal) {
      this.#toldRefusal = reason;
      this.#events.onRefused(target.name ?? printHostPort(target), reason);
    }
    // Other targets are tried at once; pauses are for all of them together.
    const isRoundOver = this.#attempt % this.#targets.length === 0;
    const { clock, refusedRetryMs = REFUSED_RETRY_MS } = this.#options;
    const pauseMs = isRefusal && this.#targets.length === 1 ? refusedRetryMs : this.#backoff.next();
    this.#retry = clock.setTimer(isRoundOver ? pauseMs : 0, () => void this.#connect());
  }
}

/** Whether a message may be large, and may wait. */
export function isBulky(message: Message): boolean {
  return message.kind === "deltas" || message.kind === "state";
}

/** What should not stay as it is between two nodes that were let together. */
export function warningOf(own: Hello, other: Hello | undefined): string | undefined {
  if (other === undefined) return undefined;
  const [name] = memberDifferences(own, other);
  if (name === undefined) return undefined;
  const place = own.members.includes(name) ? "here and not there" : "there and not here";
  return `"${name}" is a member ${place}`;
}
