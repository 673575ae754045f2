/**
 * Takes snapshots of Rust bioyinos (Cap'n Proto, versions 1 and 2) over TCP, for a migration in steps, and of
 * programs that speak version 1. It behaves as an intake: what arrives is counted in the interval of its
 * arrival, and frames leave as an intake's do. Such a peer has no identity: a snapshot that is sent twice
 * counts twice, as it does there.
 */
import type { AddressInfo, Server } from "node:net";
import type { Counters } from "../../shared/counters.ts";
import { DROP_NONE } from "../../shared/kernel/reasons.ts";
import { resolveListen } from "../../shared/listen.ts";
import { listenForStreams, type StreamAddress } from "../../shared/stream-server.ts";
import { DRAIN_MS_MAX, TICK_MS } from "../../shared/udp.ts";
import type { IntakeCounter } from "../counters.ts";
import type { PostSnapshot } from "../snapshotter.ts";
import { readMessage } from "./message-reader.ts";
import { PEER_LIMITS, PeerConnections, type PeerLimits } from "./peer-connections.ts";
import { type PeerCounter, type PeerFault, PeerTally } from "./peer-counters.ts";
import { SnapshotWriter, type WriterOptions } from "./snapshot-writer.ts";

export interface RustPeerOptions extends WriterOptions {
  /** Wall clock. */
  readonly nowMs: () => number;
  readonly post: PostSnapshot;
  /** Those of lines, bytes, snapshots and connections are filled. */
  readonly counters: Counters<IntakeCounter>;
  readonly peerCounters: Counters<PeerCounter>;
  /**
   * Asked for each message. Where agents send the same to all nodes, only one may count it: the others read
   * messages, check them, and discard them.
   */
  readonly isCounting: () => boolean;
  /** Whether the store is so far behind that peers shall wait; never by default. */
  readonly isCrowded?: () => boolean;
  /** Told of a fault, at most once a second. */
  readonly onFault?: (host: string, fault: PeerFault) => void;
  /** Those of PEER_LIMITS by default. */
  readonly limits?: Partial<PeerLimits>;
}

const FAULTS_MS = 1000;
/** While it closes, so many ticks without a byte say that nobody is in the middle of sending. */
const QUIET_TICKS = 4;

export class RustPeerListener {
  /** Port as bound. */
  readonly port: number;
  readonly #server: Server;
  readonly #options: RustPeerOptions;
  readonly #tally = new PeerTally();
  readonly #writer: SnapshotWriter;
  readonly #connections: PeerConnections;
  readonly #ticker: NodeJS.Timeout;
  #isClosing = false;
  #faultToldMs = Number.NEGATIVE_INFINITY;

  private constructor(server: Server, options: RustPeerOptions) {
    this.#server = server;
    this.#options = options;
    this.port = (server.address() as AddressInfo).port;
    this.#writer = new SnapshotWriter(options, options.nowMs(), options.post);
    this.#connections = new PeerConnections(server, { ...PEER_LIMITS, ...options.limits }, this.#tally, {
      onMessage: (message) => this.#take(message),
      onFault: (host, fault) => this.#tellFault(host, fault),
    });
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Opens it. host: a literal or a name. Throws OperatorError naming an address that cannot be bound. */
  static async open(
    { host, port }: { readonly host: string; readonly port: number },
    options: RustPeerOptions,
  ): Promise<RustPeerListener> {
    const address = (await resolveListen({ kind: "tcp", host, port })) as StreamAddress;
    return new RustPeerListener(await listenForStreams(address, {}), options);
  }

  /**
   * Reads what peers are sending, sends the last snapshot, and closes the interval. Takes two seconds at
   * most, where connections stay open 200 ms at least.
   */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#server.close();
    if (this.#connections.isPaused) this.#connections.resume(performance.now());
    await this.#drain();
    clearInterval(this.#ticker);
    this.#connections.closeAll();
    this.#writer.close(this.#options.nowMs());
    this.#publish();
  }

  #drain(): Promise<void> {
    const endMs = performance.now() + DRAIN_MS_MAX;
    let bytesBefore = this.#tally.bytes;
    let quietTicks = 0;
    return new Promise((resolve) => {
      const look = () => {
        const isQuiet = this.#tally.bytes === bytesBefore && !this.#connections.hasPartial;
        quietTicks = isQuiet ? quietTicks + 1 : 0;
        bytesBefore = this.#tally.bytes;
        const isDone = this.#connections.size === 0 || quietTicks >= QUIET_TICKS;
        if (isDone || performance.now() >= endMs) resolve();
        else setTimeout(look, TICK_MS);
      };
      look();
    });
  }

  #take(bytes: Buffer): boolean {
    const nowMs = this.#options.nowMs();
    const isCounting = this.#options.isCounting();
    const { metrics, peer } = this.#tally;
    const writer = this.#writer;
    // The boundary comes first: what arrives now is of the new interval.
    writer.advance(nowMs);
    const kind = readMessage(bytes, (message, metric, reason) => {
      if (isCounting) metrics[reason === DROP_NONE ? writer.write(message, metric, nowMs) : reason]! += 1;
      else peer.discardedMetrics += 1;
    });
    if (kind === "malformed") return false;
    peer[`messages.${kind}`] += 1;
    if (!isCounting) peer.discardedMessages += 1;
    if (!this.#isClosing && this.#options.isCrowded?.() === true) this.#connections.pause();
    return true;
  }

  #tick(): void {
    this.#writer.advance(this.#options.nowMs());
    if (this.#connections.isPaused && this.#options.isCrowded?.() !== true) {
      this.#connections.resume(performance.now());
    }
    // The event loop reads after its timers: what waits in a socket is seen first, also after a long stall.
    setImmediate(() => this.#connections.closeSilent(performance.now()));
    this.#publish();
  }

  #publish(): void {
    this.#tally.publish(this.#writer, this.#options.counters, this.#options.peerCounters);
  }

  #tellFault(host: string, fault: PeerFault): void {
    const nowMs = performance.now();
    if (nowMs - this.#faultToldMs < FAULTS_MS) return;
    this.#faultToldMs = nowMs;
    this.#options.onFault?.(host, fault);
  }
}
