/** The numbers of one receiver thread's intake, over all the kernels that it has had. */
import type { BatchReceiver } from "../shared/udp.ts";
import {
  dropCounter,
  type IntakeCounter,
  type IntakeCounters,
  KERNEL_DROPS,
  newIntakeCounters,
} from "./counters.ts";
import type { Packer } from "./packer.ts";

/** How often the system is asked for its drops, in milliseconds. */
const SYSTEM_DROPS_MS = 1_000;

type KernelNumbers = Partial<Record<IntakeCounter, number>>;

export class IntakeTally {
  readonly #counters: IntakeCounters;
  readonly #socket: BatchReceiver;
  /** What kernels counted that are gone. */
  readonly #past: KernelNumbers = {};
  #flushes = 0;
  #kernelDrops = 0;
  #nextDropsMs = 0;

  /** buffer: the thread's counters. */
  constructor(buffer: SharedArrayBuffer, socket: BatchReceiver) {
    this.#counters = newIntakeCounters(buffer);
    this.#socket = socket;
  }

  /** Counts a flush interval that ended. */
  endFlush(): void {
    this.#flushes += 1;
  }

  /** Keeps the numbers of a kernel that is not used any more. */
  nextKernel(before: Packer): void {
    for (const [name, value] of Object.entries(readKernel(before)) as [IntakeCounter, number][]) {
      this.#past[name] = (this.#past[name] ?? 0) + value;
    }
  }

  /** Writes all numbers. isLast: ask the system for its drops whatever was asked before. */
  publish(nowMs: number, packer: Packer, isLast: boolean): void {
    if (isLast || nowMs >= this.#nextDropsMs) {
      this.#kernelDrops = this.#socket.kernelDrops();
      this.#nextDropsMs = nowMs + SYSTEM_DROPS_MS;
    }
    const counters = this.#counters;
    const now = readKernel(packer);
    const stream = this.#socket.streamTally;
    const tooLong = stream?.linesTooLong ?? 0;
    const cut = stream?.linesCut ?? 0;
    counters.beginWrite();
    for (const [name, value] of Object.entries(now) as [IntakeCounter, number][]) {
      counters.set(name, value + (this.#past[name] ?? 0));
    }
    // Such lines never reach a kernel, so they are added to what it has counted.
    counters.add("received", tooLong + cut);
    counters.add("dropped_cut", cut);
    counters.set("dropped_line_too_long", tooLong);
    counters.set("kernelDrops", this.#kernelDrops);
    counters.set("flushes", this.#flushes);
    counters.set("connections", stream?.connections ?? 0);
    counters.set("connectionsAccepted", stream?.accepted ?? 0);
    counters.set("connectionsRefused", stream?.refused ?? 0);
    counters.set("connectionsIdle", stream?.idleClosed ?? 0);
    counters.endWrite();
  }
}

function readKernel({ exports, rules }: Packer): KernelNumbers {
  const numbers: KernelNumbers = {
    datagrams: exports.datagramsReceived(),
    bytes: exports.bytesReceived(),
    received: exports.received(),
    accepted: exports.linesAccepted(),
    copied: exports.linesCopied(),
    diverted: exports.linesDiverted(),
    selfLines: exports.selfLines(),
    dropped_no_colon: exports.droppedNoColon(),
    dropped_cut: exports.droppedCut(),
    renamesRefused: rules?.renamesRefused ?? 0,
  };
  for (const [reason, code] of KERNEL_DROPS) numbers[dropCounter(reason)] = exports.linesDropped(code);
  return numbers;
}
