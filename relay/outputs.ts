/** The outputs of one receiver thread under one plan: for each destination what sends its packets. */
import type { MessagePort } from "node:worker_threads";
import { assert } from "../shared/errors.ts";
import { STATE_DROP, STATE_SERVE, STATE_SKIP } from "../shared/kernel/ring-codes.ts";
import { type BatchSender, LOSS_REASONS, newTally, openSender, type SendTally } from "../shared/udp.ts";
import { lostCounter, type OutputCounters } from "./counters.ts";
import { DiscardSender } from "./discard.ts";
import type { DestinationState, PlanOrder } from "./orders.ts";
import { OutletSender } from "./outlet/handoff.ts";
import type { Packer } from "./packer.ts";

/** Bytes that may wait for the event loop in a sender of the dgram kind. */
const QUEUE_BYTES_MAX = 8 << 20;
const NO_TALLY: SendTally = newTally();

/** Sends by itself, or hands over while the destination's lines are held. */
class Output implements BatchSender {
  readonly io = "dgram";
  readonly direct: BatchSender | undefined;
  readonly handoff: OutletSender | undefined;
  isHolding = false;

  constructor(direct: BatchSender | undefined, handoff: OutletSender | undefined) {
    assert((direct ?? handoff) !== undefined, "a destination has a way out");
    this.direct = direct;
    this.handoff = handoff;
  }

  get tally(): SendTally {
    return this.direct?.tally ?? NO_TALLY;
  }

  send(headers: number, count: number): void {
    const sender = this.isHolding ? (this.handoff ?? this.direct) : (this.direct ?? this.handoff);
    sender?.send(headers, count);
  }

  async flush(): Promise<void> {
    await this.direct?.flush();
  }

  close(): void {
    this.direct?.close();
  }
}

const KERNEL_STATES: Readonly<Record<DestinationState, number>> = {
  serve: STATE_SERVE,
  drop: STATE_DROP,
  skip: STATE_SKIP,
  hold: STATE_SERVE,
};

/** Returns the kernel's STATE codes. */
export function kernelStates(states: readonly DestinationState[]): number[] {
  return states.map((state) => KERNEL_STATES[state]);
}

/** What sends for one plan. */
export class Outputs {
  /** One for each destination; asked by the packer. */
  readonly senders: readonly BatchSender[];
  readonly #outputs: readonly (Output | undefined)[];

  private constructor(senders: readonly BatchSender[]) {
    this.senders = senders;
    this.#outputs = senders.map((sender) => (sender instanceof Output ? sender : undefined));
  }

  /**
   * Opens the senders of a plan. memoryBase: address of the packer's memory; see memoryAddress in udp.ts.
   * Throws OperatorError naming the destination for which no socket can be had; none is left open then.
   */
  static async open(
    io: "mmsg" | "dgram",
    order: PlanOrder,
    packer: Packer,
    memoryBase: bigint,
    outletPort: MessagePort | undefined,
  ): Promise<Outputs> {
    const { memory } = packer;
    const senders: BatchSender[] = [];
    try {
      for (const { remote, outlet, isDiscarding } of order.outputs) {
        if (isDiscarding) {
          senders.push(new DiscardSender(memory, memoryBase));
          continue;
        }
        const direct =
          remote === undefined
            ? undefined
            : await openSender(io, remote, { memory, queueBytesMax: QUEUE_BYTES_MAX });
        if (outlet === undefined) {
          assert(direct !== undefined, "a destination without an outlet has a remote");
          senders.push(direct);
          continue;
        }
        assert(outletPort !== undefined, "a destination of the outlet needs a port to it");
        const { channel, backlog } = outlet;
        const { backlogBytesMax } = order;
        const handoff = new OutletSender(outletPort, channel, memory, memoryBase, backlog, backlogBytesMax);
        senders.push(new Output(direct, handoff));
      }
    } catch (error) {
      for (const sender of senders) sender.close();
      throw error;
    }
    const outputs = new Outputs(senders);
    outputs.setStates(order.states);
    return outputs;
  }

  /** Changes which destinations' lines are held. states: by index of the destination. */
  setStates(states: readonly DestinationState[]): void {
    this.#outputs.forEach((output, index) => {
      if (output !== undefined) output.isHolding = states[index] === "hold";
    });
  }

  /** Writes the numbers of each destination. */
  publish(packer: Packer, counters: readonly OutputCounters[]): void {
    const { exports } = packer;
    this.senders.forEach((sender, destination) => {
      const output = counters[destination]!;
      const handoff = this.#outputs[destination]?.handoff;
      const { tally } = sender;
      output.beginWrite();
      output.set("routed", exports.linesRouted(destination));
      output.set("waiting", exports.linesWaiting(destination));
      output.set("lost_down", exports.linesDown(destination));
      output.set("linesSent", tally.linesSent);
      output.set("packetsSent", tally.packetsSent);
      output.set("bytesSent", tally.bytesSent);
      output.set("refusals", tally.refusals);
      output.set("linesHanded", handoff?.tally.linesSent ?? 0);
      for (const reason of LOSS_REASONS) {
        const handedLost = handoff?.tally.linesLost[reason] ?? 0;
        output.set(lostCounter(reason), tally.linesLost[reason] + handedLost);
      }
      output.endWrite();
    });
  }

  /** Waits until nothing is queued, then closes the sockets. */
  async close(): Promise<void> {
    await Promise.all(this.senders.map((sender) => sender.flush()));
    for (const sender of this.senders) sender.close();
  }
}
