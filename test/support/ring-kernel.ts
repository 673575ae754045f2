/** The rings of the relay's kernel, asked name by name. */
import type { RelayExports } from "../../relay/kernel.ts";
import { HASH_CODES, KEY_CODES, type Ring } from "../../relay/ring/ring.ts";
import { SLOT_BYTES } from "../../shared/kernel/layout.ts";
import { SHARE_ALL } from "../../shared/kernel/relay-codes.ts";
import { STATE_SERVE, STATE_SKIP } from "../../shared/kernel/ring-codes.ts";
import { loadKernel } from "../../shared/kernel.ts";

/** What of a ring the kernel is told. */
export type KernelRing = Pick<Ring, "hash" | "key" | "buckets" | "replicas" | "points">;

/** A kernel with some rings over the same destinations. */
export class RingKernel {
  readonly #exports: RelayExports;
  readonly #memory: WebAssembly.Memory;
  readonly #destinationCount: number;

  private constructor(exports: RelayExports, memory: WebAssembly.Memory, destinationCount: number) {
    this.#exports = exports;
    this.#memory = memory;
    this.#destinationCount = destinationCount;
  }

  /** Loads a kernel; the rings are numbered in their order. debug: the build that checks more. */
  static async load(rings: readonly KernelRing[], debug: boolean): Promise<RingKernel> {
    const { exports, memory } = await loadKernel<RelayExports>("relay", { pagesMax: 32_768, debug });
    const destinationCount = 1 + rings.reduce((most, { buckets }) => buckets.reduce(greater, most), 0);
    exports.setup(0n, destinationCount, rings.length, 1400, 64, 0, 1n);
    for (const { hash, key, buckets, points, replicas } of rings) {
      const pointCount = points?.length ?? 0;
      const [hashCode, keyCode] = [HASH_CODES[hash], KEY_CODES[key]];
      exports.addRoute(hashCode, keyCode, buckets.length, pointCount, replicas, SHARE_ALL, false, 0, 0, 0);
    }
    rings.forEach(({ buckets, points = [] }, ring) => {
      new Uint32Array(memory.buffer, exports.ringBuckets(ring), buckets.length).set(buckets);
      const words = points.flatMap(({ hash, bucket }) => [hash, bucket]);
      new Uint32Array(memory.buffer, exports.ringPoints(ring), words.length).set(words);
    });
    return new RingKernel(exports, memory, destinationCount);
  }

  /** Says which destinations are passed over, by index; absent ones serve. */
  skip(isSkipped: readonly boolean[]): void {
    const states = new Uint8Array(
      this.#memory.buffer,
      this.#exports.destinationStates(),
      this.#destinationCount,
    );
    states.forEach((_, destination) => {
      states[destination] = isSkipped[destination] === true ? STATE_SKIP : STATE_SERVE;
    });
  }

  /** The key of a name. */
  key(ring: number, name: Uint8Array): Buffer {
    const start = this.#write(name);
    const out = start + SLOT_BYTES * 2;
    const bytes = this.#exports.copyKey(ring, start, name.length, out);
    return Buffer.from(new Uint8Array(this.#memory.buffer, out, bytes));
  }

  /** The hash of a key; those of 32 bits have zeros above. */
  hash(ring: number, key: Uint8Array): bigint {
    return BigInt.asUintN(64, this.#exports.hashOf(ring, this.#write(key), key.length));
  }

  /** Puts bytes where the kernel can read them. Returns their address. */
  #write(bytes: Uint8Array): number {
    const start = this.#exports.batchSlots();
    new Uint8Array(this.#memory.buffer, start, bytes.length).set(bytes);
    return start;
  }

  /** The destinations of a name, in the order of choice. */
  choose(ring: number, name: Uint8Array): number[] {
    const start = this.#write(name);
    const out = start + SLOT_BYTES * 2;
    const count = this.#exports.chooseDestinations(ring, start, name.length, out);
    return [...new Uint32Array(this.#memory.buffer, out, count)];
  }
}

function greater(a: number, b: number): number {
  return Math.max(a, b);
}
