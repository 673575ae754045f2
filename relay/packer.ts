/** The relay's kernel as the host sees it: datagrams in, packets out, counters beside. */
import { randomBytes } from "node:crypto";
import { type Kernel, loadKernel } from "../shared/kernel.ts";
import type { BatchSender, ReceiveBatch } from "../shared/udp.ts";

/** Exports of shared/kernel/relay.ts. Addresses are offsets in its memory. */
interface RelayExports {
  setup(
    memoryBase: bigint,
    destinations: number,
    buckets: number,
    packetlen: number,
    prefixBytes: number,
    tagsBytes: number,
    selfBytes: number,
    hashSeed: bigint,
  ): void;
  start(): void;
  ringTable(): number;
  prefixText(): number;
  tagsText(): number;
  selfText(): number;
  batchHeaders(): number;
  batchSlots(): number;
  consume(received: number): number;
  selfStat(nameBytes: number, bytes: number): void;
  hashSelf(nameBytes: number): bigint;
  flush(): void;
  sealedCount(): number;
  sealedDestination(index: number): number;
  readyDestinationCount(): number;
  readyDestination(index: number): number;
  packetHeaders(destination: number): number;
  packetCount(destination: number): number;
  releaseSealed(): void;
  linesRouted(destination: number): number;
  linesWaiting(destination: number): number;
  datagramsReceived(): number;
  bytesReceived(): number;
  received(): number;
  linesAccepted(): number;
  droppedNoColon(): number;
  droppedCut(): number;
  selfLines(): number;
}

/** What consume() returns when packets must be sent before it can go on. */
const SEND_FIRST = 1;
/** Keeps offsets below 2 GiB, so that they are positive numbers here. */
const PAGES_MAX = 32_768;
/** Digits of the largest exact count, and `|c` with the line feed. */
const SELF_VALUE_BYTES = 24;

/** How lines are placed and packed. */
export interface PackerOptions {
  /** For each bucket the index of its destination; see ring.ts. */
  readonly ring: readonly number[];
  readonly destinationCount: number;
  /** Packing threshold in bytes. */
  readonly packetlen: number;
  /** Put before each relayed name with a dot between; empty for nothing. */
  readonly metricsPrefix: string;
  /** Appended to each relayed line as tags; empty for nothing. */
  readonly metricsTags: string;
  /** First part of the self stat's name. */
  readonly prefix: string;
  /** Address of the memory for system calls; see memoryAddress in udp.ts. */
  addressOf(memory: WebAssembly.Memory): bigint | Promise<bigint>;
  /** Loads the kernel that checks more. */
  readonly debug?: boolean;
}

/** One thread's lines on their way from datagrams to packets. */
export class Packer {
  readonly memory: WebAssembly.Memory;
  readonly batch: ReceiveBatch;
  readonly exports: RelayExports;
  readonly #selfText: Uint8Array;
  readonly #selfName: Buffer;
  #acceptedAtSelfStat = 0;

  private constructor(kernel: Kernel<RelayExports>, selfName: Buffer) {
    this.memory = kernel.memory;
    this.exports = kernel.exports;
    this.batch = {
      memory: kernel.memory,
      headers: kernel.exports.batchHeaders(),
      slots: kernel.exports.batchSlots(),
    };
    this.#selfName = selfName;
    // The memory does not grow after set-up, so views stay good.
    const selfBytes = selfName.length + SELF_VALUE_BYTES;
    this.#selfText = new Uint8Array(kernel.memory.buffer, kernel.exports.selfText(), selfBytes);
    this.#selfText.set(selfName);
  }

  /** Loads a kernel of its own and sets it up. Rejects when the options do not fit the kernel's memory. */
  static async load(options: PackerOptions): Promise<Packer> {
    const { ring, destinationCount, packetlen } = options;
    const prefix = Buffer.from(options.metricsPrefix === "" ? "" : `${options.metricsPrefix}.`);
    const tags = Buffer.from(options.metricsTags);
    const selfName = Buffer.from(`${options.prefix}.statsProcessed`);
    const kernel = await loadKernel<RelayExports>("relay", {
      pagesMax: PAGES_MAX,
      debug: options.debug ?? false,
    });
    const { exports, memory } = kernel;
    const memoryBase = await options.addressOf(memory);
    const selfBytes = selfName.length + SELF_VALUE_BYTES;
    exports.setup(
      memoryBase,
      destinationCount,
      ring.length,
      packetlen,
      prefix.length,
      tags.length,
      selfBytes,
      randomBytes(8).readBigUInt64LE(),
    );
    new Uint32Array(memory.buffer, exports.ringTable(), ring.length).set(ring);
    new Uint8Array(memory.buffer, exports.prefixText(), prefix.length).set(prefix);
    new Uint8Array(memory.buffer, exports.tagsText(), tags.length).set(tags);
    exports.start();
    return new Packer(kernel, selfName);
  }

  /**
   * Packs the datagrams in the batch's first slots. received: how many.
   * senders: one for each destination; asked to send whenever packets must leave to make room.
   */
  consume(received: number, senders: readonly BatchSender[]): void {
    while (this.exports.consume(received) === SEND_FIRST) this.sendSealed(senders);
  }

  /** Hands all full packets to the senders. */
  sendSealed(senders: readonly BatchSender[]): void {
    const { exports } = this;
    const count = exports.readyDestinationCount();
    for (let i = 0; i < count; i++) {
      const destination = exports.readyDestination(i);
      senders[destination]!.send(exports.packetHeaders(destination), exports.packetCount(destination));
    }
    if (count > 0) exports.releaseSealed();
  }

  /** Ends a flush interval: adds the self stat, if any line was accepted, and sends every packet. */
  flush(senders: readonly BatchSender[]): void {
    this.sendSealed(senders);
    this.addSelfStat();
    this.sendSealed(senders);
    this.exports.flush();
    this.sendSealed(senders);
  }

  /**
   * Packs the line that tells how many lines were accepted since the last one. Only when nothing is sealed.
   */
  addSelfStat(): void {
    const accepted = this.exports.linesAccepted();
    const count = accepted - this.#acceptedAtSelfStat;
    if (count === 0) return;
    this.#acceptedAtSelfStat = accepted;
    const value = Buffer.from(`:${count}|c\n`);
    this.#selfText.set(value, this.#selfName.length);
    this.exports.selfStat(this.#selfName.length, this.#selfName.length + value.length);
  }
}
