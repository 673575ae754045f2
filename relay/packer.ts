/** The relay's kernel as a thread uses it: datagrams in, packets out, counters beside. */
import { randomBytes } from "node:crypto";
import { assert } from "../shared/errors.ts";
import {
  CONSUME_DONE,
  CONSUME_SEND_FIRST,
  DROP_CARDINALITY,
  DROP_FILTERED,
  DROP_NO_ROUTE,
  RENAMED_BYTES_MAX,
} from "../shared/kernel/relay-codes.ts";
import { STATE_SKIP } from "../shared/kernel/ring-codes.ts";
import { type Kernel, loadKernel } from "../shared/kernel.ts";
import type { BatchSender, ReceiveBatch } from "../shared/udp.ts";
import type { RelayExports } from "./kernel.ts";
import { featuresOf, type PackPlan, type RoutePlan, shareCode } from "./plan.ts";
import { HASH_CODES, KEY_CODES } from "./ring/ring.ts";
import type { DropRule, RuleSet } from "./shaping/rules.ts";

/** Keeps offsets below 2 GiB, so that they are positive numbers here. */
const PAGES_MAX = 32_768;
/** Longest line of the relay's own, in bytes. */
const OWN_LINE_BYTES_MAX = 4096;
/** Names that the kernel remembers, and bytes of each; see shared/kernel/names.ts. */
const NAMES_COUNT = 1 << 18;
const NAME_WORDS = 4;
const VALUE_WORD = 2;
/** Values from here on are verdicts, which do not outlive their kernel. */
const VERDICT_FLAG = 0x8000_0000;
/** Marks a destination that takes lines in the place of one passed over. */
const DIVERTED_FLAG = 0x4000_0000;
const DROP_CODES: Readonly<Record<DropRule, number>> = {
  filtered: DROP_FILTERED,
  cardinality: DROP_CARDINALITY,
  no_route: DROP_NO_ROUTE,
};

/** How a kernel is loaded. */
export interface PackerOptions {
  /** Address of the memory for system calls; see memoryAddress in udp.ts. */
  addressOf(memory: WebAssembly.Memory): bigint | Promise<bigint>;
  /** Names are remembered under a hash with this seed; a new secret one where absent. */
  readonly hashSeed?: bigint;
  /** STATE codes by index of the destination; all serve where absent. */
  readonly states?: readonly number[];
  /** Loads the kernel that checks more. */
  readonly debug?: boolean;
}

/** One thread's lines on their way from datagrams to packets. */
export class Packer {
  readonly memory: WebAssembly.Memory;
  readonly batch: ReceiveBatch;
  readonly exports: RelayExports;
  /** The rules by which names are judged, where there are any. */
  readonly rules: RuleSet | undefined;
  readonly #text: Uint8Array;
  readonly #selfName: Buffer;
  #acceptedAtSelfStat = 0;

  private constructor(kernel: Kernel<RelayExports>, plan: PackPlan, rules: RuleSet | undefined) {
    this.memory = kernel.memory;
    this.exports = kernel.exports;
    this.batch = {
      memory: kernel.memory,
      headers: kernel.exports.batchHeaders(),
      slots: kernel.exports.batchSlots(),
    };
    this.rules = rules;
    this.#selfName = Buffer.from(`${plan.prefix}.statsProcessed`);
    // The memory does not grow after set-up, so views stay good.
    this.#text = new Uint8Array(kernel.memory.buffer, kernel.exports.hostText(), textBytes(plan));
  }

  /** Loads a kernel of its own and sets it up. Rejects when the plan does not fit the kernel's memory. */
  static async load(plan: PackPlan, options: PackerOptions): Promise<Packer> {
    const kernel = await loadKernel<RelayExports>("relay", {
      pagesMax: PAGES_MAX,
      debug: options.debug ?? false,
    });
    const { exports, memory } = kernel;
    exports.setup(
      await options.addressOf(memory),
      plan.destinationCount,
      plan.routes.length,
      plan.packetlen,
      textBytes(plan),
      featuresOf(plan),
      options.hashSeed ?? randomBytes(8).readBigUInt64LE(),
    );
    const routes = plan.routes.map((route) => addRoute(exports, route));
    // Views only now: adding routes has let the memory grow.
    for (const { write } of routes) write(memory);
    if (options.states !== undefined) writeStates(kernel, options.states);
    exports.start(plan.thinThreshold, plan.thinPlaces);
    return new Packer(kernel, plan, await loadRules(plan));
  }

  /**
   * Packs the datagrams in the batch's first slots. received: how many.
   * senders: one for each destination; asked to send whenever packets must leave to make room.
   */
  consume(received: number, senders: readonly BatchSender[]): void {
    for (;;) {
      const code = this.exports.consume(received);
      if (code === CONSUME_DONE) return;
      if (code === CONSUME_SEND_FIRST) this.sendSealed(senders);
      else this.judgeNames();
    }
  }

  /** Answers the kernel about the names that it has not seen lately. */
  judgeNames(): void {
    const { exports, rules } = this;
    assert(rules !== undefined, "only a plan with rules has names to judge");
    const count = exports.namesWaiting();
    for (let index = 0; index < count; index++) {
      const start = exports.missName(index);
      const name = new Uint8Array(this.memory.buffer, start, exports.missNameBytes(index));
      const verdict = rules.judge(name, (route) => exports.isInShare(index, route) !== 0);
      if ("drop" in verdict) {
        exports.dropName(index, DROP_CODES[verdict.drop]);
        continue;
      }
      exports.beginVerdict();
      for (const target of verdict.targets) {
        if (target.name !== undefined) this.#text.set(target.name);
        exports.targetName(index, target.route, target.name?.length ?? 0);
      }
      exports.endVerdict(index);
    }
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
    this.#addOwnLine(this.#selfName, Buffer.from(`:${count}|c\n`));
  }

  /** Packs a line of the relay's own: name and what follows it, no line feed. Sends before and after. */
  addOwnLine(line: string, senders: readonly BatchSender[]): void {
    const bytes = Buffer.from(`${line}\n`);
    const colon = bytes.indexOf(":");
    if (colon < 1 || bytes.length > OWN_LINE_BYTES_MAX) return;
    this.sendSealed(senders);
    this.#addOwnLine(bytes.subarray(0, colon), bytes.subarray(colon));
    this.sendSealed(senders);
  }

  #addOwnLine(name: Uint8Array, rest: Uint8Array): void {
    this.#text.set(name);
    this.#text.set(rest, name.length);
    this.exports.ownLine(name.length, name.length + rest.length);
  }

  /** Changes what happens to lines of destinations. states: STATE codes by index of the destination. */
  setStates(states: readonly number[]): void {
    const view = new Uint8Array(this.memory.buffer, this.exports.destinationStates(), states.length);
    // Only who is passed over decides where names go; the others' names need not be forgotten.
    const isPlacing = states.some((state, index) => (state === STATE_SKIP) !== (view[index] === STATE_SKIP));
    view.set(states);
    this.exports.statesChanged(isPlacing);
  }

  /**
   * Takes over where names go from a kernel that was loaded with the same seed, so that known names stay
   * where they are, but for those of destinations that are passed over now. indexes: for each destination of
   * the old kernel its index here, or -1.
   */
  inheritNames(old: Packer, indexes: readonly number[]): void {
    const from = new Uint32Array(old.memory.buffer, old.exports.namesTable(), NAMES_COUNT * NAME_WORDS);
    const to = new Uint32Array(this.memory.buffer, this.exports.namesTable(), from.length);
    const states = new Uint8Array(this.memory.buffer, this.exports.destinationStates());
    for (let word = 0; word < from.length; word += NAME_WORDS) {
      const value = from[word + VALUE_WORD]!;
      // Without its mark: by the time the name comes again the one passed over may be back.
      const index = value < VERDICT_FLAG ? indexes[value & ~DIVERTED_FLAG] : undefined;
      if (index === undefined || index < 0 || states[index] === STATE_SKIP) continue;
      to[word] = from[word]!;
      to[word + 1] = from[word + 1]!;
      to[word + VALUE_WORD] = index;
    }
  }
}

/** Most plans have no rules, and shall not pay for what judges names by them. */
async function loadRules({ rules, capMemory }: PackPlan): Promise<RuleSet | undefined> {
  if (rules === undefined) return undefined;
  const { RuleSet } = await import("./shaping/rules.ts");
  return new RuleSet(rules, capMemory);
}

function writeStates({ memory, exports }: Kernel<RelayExports>, states: readonly number[]): void {
  new Uint8Array(memory.buffer, exports.destinationStates(), states.length).set(states);
}

function textBytes(plan: PackPlan): number {
  const selfBytes = Buffer.byteLength(plan.prefix) + OWN_LINE_BYTES_MAX;
  return Math.max(selfBytes, RENAMED_BYTES_MAX);
}

/** Adds a route. Returns what writes its tables once the memory has its size. */
function addRoute(
  exports: RelayExports,
  route: RoutePlan,
): { readonly write: (memory: WebAssembly.Memory) => void } {
  const prefix = Buffer.from(route.prefix === "" ? "" : `${route.prefix}.`);
  const suffix = Buffer.from(route.suffix === "" ? "" : `.${route.suffix}`);
  const tags = Buffer.from(route.tags);
  const { ring, buckets } = route;
  const points = ring.points ?? [];
  const index = exports.addRoute(
    HASH_CODES[ring.hash],
    KEY_CODES[ring.key],
    buckets.length,
    points.length,
    ring.replicas,
    shareCode(route.sharePercent),
    route.isMoving,
    prefix.length,
    suffix.length,
    tags.length,
  );
  const write = ({ buffer }: WebAssembly.Memory): void => {
    new Uint8Array(buffer, exports.prefixText(index), prefix.length).set(prefix);
    new Uint8Array(buffer, exports.suffixText(index), suffix.length).set(suffix);
    new Uint8Array(buffer, exports.tagsText(index), tags.length).set(tags);
    new Uint32Array(buffer, exports.ringBuckets(index), buckets.length).set(buckets);
    const words = new Uint32Array(buffer, exports.ringPoints(index), points.length * 2);
    points.forEach(({ hash, bucket }, point) => {
      words.set([hash, bucket], point * 2);
    });
  };
  return { write };
}
