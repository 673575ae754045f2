/**
 * A thread for a listener for Rust peers: a large message takes time to read, which neither the cluster's
 * protocol nor another intake should wait for. It ends as a receiver does, by a word in shared memory.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Counters } from "../../shared/counters.ts";
import { CONTROL_RUN, TICK_MS } from "../../shared/udp.ts";
import { reportFailure, reportReady } from "../../shared/worker.ts";
import { intervalClock } from "../cluster-words.ts";
import { INTAKE_COUNTERS } from "../counters.ts";
import type { PeerLimits } from "./peer-connections.ts";
import { PEER_COUNTERS, type PeerFault } from "./peer-counters.ts";
import { RustPeerListener } from "./rust-peer-listener.ts";
import type { WriterOptions } from "./snapshot-writer.ts";

export interface RustPeerThreadData extends WriterOptions {
  readonly host: string;
  readonly port: number;
  readonly limits?: Partial<PeerLimits>;
  /** Takes frames, and null behind the last; it has to be in the transfer list. */
  readonly store: MessagePort;
  /** See ClusterWords; undefined where there is no cluster. */
  readonly words: SharedArrayBuffer | undefined;
  /** Bytes of snapshots that may wait for the store. */
  readonly backlogBytesMax: number;
  /** CONTROL_RUN, or anything else to end; in shared memory. */
  readonly control: SharedArrayBuffer;
  /** One word in shared memory: whether what arrives is counted (1), or discarded (0). */
  readonly counting: SharedArrayBuffer;
  /** Of INTAKE_COUNTERS; who takes frames adds their bytes to `snapshotBytesTaken`. */
  readonly counters: SharedArrayBuffer;
  /** Of PEER_COUNTERS. */
  readonly peerCounters: SharedArrayBuffer;
}

/** What the thread reports when it listens. */
export interface RustPeerInfo {
  readonly port: number;
}

/** What it tells while it runs, at most once a second. */
export interface RustPeerReport {
  readonly kind: "fault";
  readonly host: string;
  readonly fault: PeerFault;
}

/** Peers wait while snapshots fill more of the way to the store than this. */
const BACKLOG_SHARE = 0.5;

async function serve(port: MessagePort, data: RustPeerThreadData): Promise<void> {
  const { store, backlogBytesMax } = data;
  const control = new Int32Array(data.control);
  const counting = new Int32Array(data.counting);
  const counters = new Counters(INTAKE_COUNTERS, data.counters);
  let postedBytes = 0;
  const waitingBytes = () => postedBytes - counters.get("snapshotBytesTaken");
  const post = (frame: Uint8Array<ArrayBuffer>): boolean => {
    // Peers wait for the store, so no more can pass than one message makes; at the end nobody can wait.
    const isBounded = frame.length > 1024 && waitingBytes() > 0 && Atomics.load(control, 0) !== CONTROL_RUN;
    if (isBounded && waitingBytes() + frame.length > backlogBytesMax) return false;
    postedBytes += frame.length;
    store.postMessage(frame, [frame.buffer]);
    return true;
  };
  const listener = await RustPeerListener.open(data, {
    ...data,
    isOfCluster: data.words !== undefined,
    nowMs: intervalClock(data.words),
    post,
    counters,
    peerCounters: new Counters(PEER_COUNTERS, data.peerCounters),
    isCounting: () => Atomics.load(counting, 0) !== 0,
    isCrowded: () => waitingBytes() > backlogBytesMax * BACKLOG_SHARE,
    onFault: (host, fault) => port.postMessage({ kind: "fault", host, fault } satisfies RustPeerReport),
  });
  const watch = setInterval(() => {
    if (Atomics.load(control, 0) === CONTROL_RUN) return;
    clearInterval(watch);
    // A fault here is one of this program: it ends the thread, and with it the process.
    void listener.close().then(() => {
      store.postMessage(null);
      store.close();
      port.close();
    });
  }, TICK_MS);
  reportReady(port, { port: listener.port } satisfies RustPeerInfo);
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  serve(port, workerData as RustPeerThreadData).catch((error: unknown) => reportFailure(port, error));
}
