/** The listener for nodes of the Rust bioyino, as the control thread sees it. */
import type { MessagePort } from "node:worker_threads";
import type { SuiteConfig } from "../../shared/config.ts";
import type { HostPort } from "../../shared/config-addresses.ts";
import { Counters } from "../../shared/counters.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import { type StartedWorker, startWorker } from "../../shared/worker.ts";
import { PEER_COUNTERS, type PeerCounter } from "./peer-counters.ts";
import type { RustPeerInfo, RustPeerReport, RustPeerThreadData } from "./rust-peer-thread.ts";

/** What its thread gets of the aggregator. */
export interface RustPeerParts {
  readonly identity: Pick<RustPeerThreadData, "node" | "incarnation" | "origin">;
  readonly words: SharedArrayBuffer | undefined;
  readonly control: SharedArrayBuffer;
  readonly counters: SharedArrayBuffer;
  /** Takes its snapshots; moved to the thread. */
  readonly store: MessagePort;
}

export class RustPeers {
  readonly counters: Counters<PeerCounter>;
  readonly #worker: StartedWorker<RustPeerInfo>;
  readonly #counting: Int32Array;
  /** Whether every node gets the same, so that only the leader may count it. */
  readonly #isLeaderOnly: boolean;

  private constructor(
    worker: StartedWorker<RustPeerInfo>,
    counters: Counters<PeerCounter>,
    counting: Int32Array,
    isLeaderOnly: boolean,
  ) {
    this.counters = counters;
    this.#worker = worker;
    this.#counting = counting;
    this.#isLeaderOnly = isLeaderOnly;
  }

  /** Throws OperatorError where the address cannot be had. */
  static async start(
    address: HostPort,
    { aggregator, cluster }: SuiteConfig,
    { identity, ...parts }: RustPeerParts,
    { log, onExit }: { readonly log: Log; readonly onExit: (code: number, error?: Error) => void },
  ): Promise<RustPeers> {
    const counting = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const peerCounters = new Counters(PEER_COUNTERS);
    const isLeaderOnly = cluster.bioyinoSenders === "all";
    Atomics.store(new Int32Array(counting), 0, isLeaderOnly ? 0 : 1);
    const { sanitize, influxTags, nameBytesMax, tagsBytesMax, intervalMs, backlogBytesMax } = aggregator;
    const data: RustPeerThreadData = {
      ...address,
      ...identity,
      ...parts,
      intervalMs,
      snapshotIntervalMs: cluster.snapshotIntervalMs,
      names: { sanitize, influxTags, nameBytesMax, tagsBytesMax },
      backlogBytesMax,
      counting,
      peerCounters: peerCounters.buffer,
    };
    const quiet = rateLimited(log);
    const worker = await startWorker<RustPeerInfo, RustPeerReport>(
      new URL("./rust-peer-thread.js", import.meta.url),
      data,
      {
        transferList: [parts.store],
        onMessage: ({ host, fault }) => quiet.warn("bioyino.peer_refused", { host, fault }),
        onExit,
      },
    );
    return new RustPeers(worker, peerCounters, new Int32Array(counting), isLeaderOnly);
  }

  /** Port as bound. */
  get port(): number {
    return this.#worker.info.port;
  }

  /** Resolves when the thread has ended. */
  get exited(): Promise<number> {
    return this.#worker.exited;
  }

  /** Says whether this node leads. */
  setLeader(isLeader: boolean): void {
    Atomics.store(this.#counting, 0, isLeader || !this.#isLeaderOnly ? 1 : 0);
  }
}
