/** The receiver threads of a relay, as its control thread sees them. */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { RelayConfig } from "../shared/config.ts";
import { OperatorError } from "../shared/errors.ts";
import { inheritedSockets, matchInherited } from "../shared/inherited-sockets.ts";
import { resolveListen } from "../shared/listen.ts";
import type { Log } from "../shared/log.ts";
import { describeAddress } from "../shared/sockaddr.ts";
import { CONTROL_DRAIN, CONTROL_LEAVE, type ListenAddress } from "../shared/udp.ts";
import { type StartedWorker, startWorker } from "../shared/worker.ts";
import {
  addUp,
  INTAKE_COUNTERS,
  type IntakeCounters,
  type IntakeTotals,
  newIntakeCounters,
} from "./counters.ts";
import type { PlanOrder, ReceiverInfo, ReceiverMessage, ReceiverOrder, ReceiverReport } from "./orders.ts";
import type { TopSnapshot } from "./top/sampler.ts";

/** A plan as all threads get it; each has counters of its own. */
export type CommonPlanOrder = Omit<PlanOrder, "counters">;

/** What the receivers need of the relay. */
export interface ReceiversContext {
  readonly io: "mmsg" | "dgram";
  readonly log: Log;
  /** Makes the counters of one more thread for the plan in force. */
  readonly newCounters: () => PlanOrder["counters"];
  /** Takes the other end of a thread's way to the outlet. */
  readonly onOutletPort: (port: MessagePort) => void;
  /** A thread ended that was not told to. */
  readonly onFailed: (error: Error) => void;
}

/** Numbers of one listen address. */
export interface ListenerTotals {
  /** As bound. */
  readonly listen: string;
  readonly receiveBufferBytes: number;
  readonly threads: number;
  readonly intake: IntakeTotals;
}

interface Thread {
  readonly started: StartedWorker<ReceiverInfo>;
  readonly intake: IntakeCounters;
  hasOutlet: boolean;
  isRunning: boolean;
  /** Resolves waiting swaps, by generation. */
  readonly swaps: Map<number, (error: string | undefined) => void>;
  /** Resolves waiting changes of states, by sequence. */
  readonly changes: Map<number, () => void>;
  top: TopSnapshot | undefined;
}

export class Receivers {
  readonly #config: RelayConfig;
  readonly #context: ReceiversContext;
  readonly #threads: Thread[] = [];
  /** Threads whose socket the process was started with leave it as it is, for the next process. */
  readonly #drainWord = new SharedArrayBuffer(4);
  readonly #leaveWord = new SharedArrayBuffer(4);
  readonly #addresses: ListenAddress[] = [];
  #isStopping = false;
  #sequence = 0;

  constructor(config: RelayConfig, context: ReceiversContext) {
    this.#config = config;
    this.#context = context;
  }

  /** Addresses as bound. */
  get addresses(): readonly ListenAddress[] {
    return this.#addresses;
  }

  get threadCount(): number {
    return this.#threads.length;
  }

  get runningCount(): number {
    return this.#threads.filter(({ isRunning }) => isRunning).length;
  }

  /** Whether any socket was handed down by whoever started this process. */
  isInheriting = false;

  /**
   * Opens every listen address. usesOutlet: whether threads need a way to the outlet.
   * Throws OperatorError naming the address or destination that does not work.
   */
  async start(first: CommonPlanOrder, usesOutlet: boolean): Promise<void> {
    const listens: ListenAddress[] = [];
    for (const listen of this.#config.listen) listens.push(await resolveListen(listen));
    const inherited = matchInherited(listens, inheritedSockets(process.env, process.pid));
    this.isInheriting = inherited.some((fd) => fd !== undefined);
    for (const [index, listen] of listens.entries()) {
      this.#addresses.push(await this.#listen(listen, inherited[index], first, usesOutlet));
    }
  }

  /** Starts the threads of one listen address. Returns the address as bound. */
  async #listen(
    listen: ListenAddress,
    inheritedFd: number | undefined,
    first: CommonPlanOrder,
    usesOutlet: boolean,
  ): Promise<ListenAddress> {
    const { io, log } = this.#context;
    const canShare = io === "mmsg" && listen.kind === "udp";
    const threads = canShare ? this.#config.threads : 1;
    if (threads < this.#config.threads) {
      log.warn("relay.one_thread", { listen: describeAddress(listen), io, threads: this.#config.threads });
    }
    const start = (address: ListenAddress, isFirst: boolean) =>
      this.#startThread(address, { sharePort: threads > 1, isFirst }, inheritedFd, first, usesOutlet);
    // The first thread binds; where the system chooses the port, the others share what it got.
    const { info } = await start(listen, true);
    await Promise.all(Array.from({ length: threads - 1 }, () => start(info.address, false)));
    return info.address;
  }

  async #startThread(
    listen: ListenAddress,
    sharing: { readonly sharePort: boolean; readonly isFirst: boolean },
    inheritedFd: number | undefined,
    first: CommonPlanOrder,
    usesOutlet: boolean,
  ): Promise<StartedWorker<ReceiverInfo>> {
    const { receiveBufferBytes, lineBytesMax, idleTimeoutMs, connectionsMax } = this.#config;
    const intake = newIntakeCounters();
    const outletPort = usesOutlet ? this.#newOutletPort() : undefined;
    const order: ReceiverOrder = {
      io: this.#context.io,
      listen,
      ...sharing,
      ...(inheritedFd === undefined ? {} : { inheritedFd }),
      receiveBufferBytes,
      stream: { lineBytesMax, idleTimeoutMs, connectionsMax },
      intake: intake.buffer,
      first: { ...first, counters: this.#context.newCounters() },
      control: inheritedFd === undefined ? this.#drainWord : this.#leaveWord,
      ...(outletPort === undefined ? {} : { outletPort }),
    };
    let thread: Thread | undefined;
    const started = await startWorker<ReceiverInfo, ReceiverReport>(
      new URL("./receiver.js", import.meta.url),
      order,
      {
        onMessage: (report) => thread !== undefined && this.#onReport(thread, report),
        onExit: (code, error) => thread !== undefined && this.#onExit(thread, code, error),
        transferList: outletPort === undefined ? [] : [outletPort],
      },
    );
    thread = {
      started,
      intake,
      hasOutlet: usesOutlet,
      isRunning: true,
      swaps: new Map(),
      changes: new Map(),
      top: undefined,
    };
    this.#threads.push(thread);
    return started;
  }

  #newOutletPort(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#context.onOutletPort(port2);
    return port1;
  }

  #onReport(thread: Thread, report: ReceiverReport): void {
    if (report.kind === "top") {
      thread.top = report.snapshot;
      return;
    }
    if (report.kind === "stated") {
      thread.changes.get(report.sequence)?.();
      thread.changes.delete(report.sequence);
      return;
    }
    thread.swaps.get(report.generation)?.(report.kind === "kept" ? report.error : undefined);
    thread.swaps.delete(report.generation);
  }

  #onExit(thread: Thread, code: number, error: Error | undefined): void {
    thread.isRunning = false;
    for (const resolve of thread.swaps.values()) resolve("its thread ended");
    thread.swaps.clear();
    for (const resolve of thread.changes.values()) resolve();
    thread.changes.clear();
    if (this.#isStopping && error === undefined) return;
    this.#context.log.error("relay.thread_ended", {
      listen: describeAddress(thread.started.info.address),
      code,
      error: error?.stack ?? "no error was reported",
    });
    this.#context.onFailed(error ?? new Error(`a receiver thread ended with code ${code}`));
  }

  #post({ started }: Thread, message: ReceiverMessage, transferList: readonly MessagePort[] = []): void {
    started.worker.postMessage(message, [...transferList]);
  }

  /**
   * Lets all threads go on by another plan and waits until they do.
   * Throws OperatorError when one of them could not; it goes on by the plan it had.
   */
  async swap(common: CommonPlanOrder, usesOutlet: boolean): Promise<void> {
    const outcomes = this.#threads
      .filter(({ isRunning }) => isRunning)
      .map((thread) => {
        const done = new Promise<string | undefined>((resolve) => {
          thread.swaps.set(common.generation, resolve);
        });
        const port = usesOutlet && !thread.hasOutlet ? this.#newOutletPort() : undefined;
        thread.hasOutlet ||= usesOutlet;
        const order: PlanOrder = { ...common, counters: this.#context.newCounters() };
        const message = { kind: "plan", order, ...(port === undefined ? {} : { outletPort: port }) } as const;
        this.#post(thread, message, port === undefined ? [] : [port]);
        return done;
      });
    const faults = (await Promise.all(outcomes)).filter((fault) => fault !== undefined);
    if (faults.length > 0) throw new OperatorError([...new Set(faults)].join("\n"));
  }

  /** Tells all threads the states of destinations. Resolves when they are in force. */
  async setStates(generation: number, states: PlanOrder["states"]): Promise<void> {
    this.#sequence += 1;
    const sequence = this.#sequence;
    const running = this.#threads.filter(({ isRunning }) => isRunning);
    await Promise.all(
      running.map((thread) => {
        const done = new Promise<void>((resolve) => thread.changes.set(sequence, resolve));
        this.#post(thread, { kind: "states", sequence, generation, states });
        return done;
      }),
    );
  }

  /** Lets one thread send lines of the relay's own. */
  sendOwn(lines: readonly string[]): void {
    const thread = this.#threads.find(({ isRunning }) => isRunning);
    if (thread !== undefined && lines.length > 0) this.#post(thread, { kind: "own", lines });
  }

  /** Lets all threads watch names and senders, or stop it. */
  watch(isOn: boolean): void {
    for (const thread of this.#threads) {
      if (!isOn) thread.top = undefined;
      this.#post(thread, { kind: "watch", isOn });
    }
  }

  /** What the threads have seen last while they watch. */
  topSnapshots(): TopSnapshot[] {
    return this.#threads.flatMap(({ top }) => (top === undefined ? [] : [top]));
  }

  /** Numbers by listen address. */
  totals(): ListenerTotals[] {
    return this.#addresses.map((address) => {
      const listen = describeAddress(address);
      const threads = this.#threads.filter(({ started }) => describeAddress(started.info.address) === listen);
      return {
        listen,
        receiveBufferBytes: threads[0]?.started.info.receiveBufferBytes ?? 0,
        threads: threads.length,
        intake: addUp(
          INTAKE_COUNTERS,
          threads.map(({ intake }) => intake.read()),
        ),
      };
    });
  }

  /** Tells all threads to stop and waits for that. Sockets that were handed down are left as they are. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    Atomics.store(new Int32Array(this.#drainWord), 0, CONTROL_DRAIN);
    Atomics.store(new Int32Array(this.#leaveWord), 0, CONTROL_LEAVE);
    await Promise.all(this.#threads.map(({ started }) => started.exited));
  }
}
