/** An intake thread of the aggregator, with a test in the place of the control thread and the store. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { INTAKE_COUNTERS, type IntakeCounter } from "../../aggregator/counters.ts";
import type { ReceiverData, ReceiverInfo, ReceiverReport, ReceiverStart } from "../../aggregator/receiver.ts";
import { droppedLines } from "../../aggregator/totals.ts";
import { Counters } from "../../shared/counters.ts";
import { CONTROL_DRAIN, chooseIo, type ListenAddress } from "../../shared/udp.ts";
import { type StartedWorker, startWorker } from "../../shared/worker.ts";

const LISTEN: ListenAddress = { kind: "udp", host: "127.0.0.1", port: 0 };

export class IntakeRig {
  /** What it told the control thread. */
  readonly reports: readonly ReceiverReport[];
  readonly counters: Counters<IntakeCounter>;
  readonly #thread: StartedWorker<ReceiverInfo>;
  readonly #control: Int32Array;
  readonly #store: MessagePort;

  private constructor(
    thread: StartedWorker<ReceiverInfo>,
    reports: readonly ReceiverReport[],
    control: SharedArrayBuffer,
    counters: Counters<IntakeCounter>,
    store: MessagePort,
  ) {
    this.#thread = thread;
    this.reports = reports;
    this.counters = counters;
    this.#control = new Int32Array(control);
    this.#store = store;
  }

  /** Starts a thread on a UDP port of loopback, or as `change` says. */
  static async start(change: Partial<ReceiverData> = {}): Promise<IntakeRig> {
    const counters = new Counters<IntakeCounter>(INTAKE_COUNTERS);
    const data: ReceiverData = {
      io: await chooseIo("auto"),
      listen: LISTEN,
      receiveBufferBytes: 4 << 20,
      sharePort: false,
      isFirst: true,
      stream: { lineBytesMax: 100, idleTimeoutMs: 60_000, connectionsMax: 10 },
      socketMode: undefined,
      tls: undefined,
      signature: undefined,
      watchesSenders: false,
      repeater: undefined,
      node: 1n,
      incarnation: 1n,
      origin: 1,
      intervalMs: 3_600_000,
      snapshotIntervalMs: 60_000,
      seriesMax: 1000,
      nameBytesMax: 100,
      tagsBytesMax: 1000,
      backlogBytesMax: 1 << 20,
      control: new SharedArrayBuffer(4),
      counters: counters.buffer,
      ...change,
    };
    const reports: ReceiverReport[] = [];
    const url = new URL("../../aggregator/receiver.js", import.meta.url);
    const thread = await startWorker<ReceiverInfo, ReceiverReport>(url, data, {
      onMessage: (report) => reports.push(report),
      onExit: () => {},
    });
    const { port1, port2 } = new MessageChannel();
    const rig = new IntakeRig(thread, reports, data.control, counters, port1);
    thread.worker.postMessage({ kind: "start", store: port2 } satisfies ReceiverStart, [port2]);
    return rig;
  }

  get address(): ListenAddress {
    return this.#thread.info.address;
  }

  /** Port as bound. */
  get port(): number {
    return "port" in this.address ? this.address.port : 0;
  }

  get counts(): Record<IntakeCounter, number> {
    return this.counters.read();
  }

  /** Lines received that were neither accepted nor dropped: must be 0. */
  get imbalance(): number {
    const { counts } = this;
    return counts.received - counts.accepted - droppedLines(counts);
  }

  /** Reports of one kind, in order. */
  reportsOf<Kind extends ReceiverReport["kind"]>(kind: Kind): Extract<ReceiverReport, { kind: Kind }>[] {
    return this.reports.filter((report): report is Extract<ReceiverReport, { kind: Kind }> => {
      return report.kind === kind;
    });
  }

  /** Sends datagrams to its UDP port, one after the other. */
  async send(...datagrams: readonly (string | Uint8Array)[]): Promise<void> {
    const socket = createSocket("udp4");
    for (const datagram of datagrams) {
      await new Promise((resolve) => socket.send(datagram, this.port, "127.0.0.1", resolve));
    }
    socket.close();
    await once(socket, "close");
  }

  /** Has it drain, and waits for its end. */
  async stop(): Promise<void> {
    Atomics.store(this.#control, 0, CONTROL_DRAIN);
    await this.#thread.exited;
    this.#store.close();
  }
}
