/** Stands for a destination that this thread has no socket for: unix datagrams, which node:dgram lacks. */
import type { Packet } from "./handoff.ts";
import type { Link, LinkContext } from "./link.ts";

export class DeadLink implements Link {
  readonly isConnected = true;
  readonly pending: readonly Packet[] = [];
  readonly #context: LinkContext;

  constructor(context: LinkContext) {
    this.#context = context;
    context.log.warn("relay.connect_failed", { destination: context.order.text, fault: "no unix sockets" });
  }

  /** Loses what is queued: it can never leave. */
  pump(): void {
    const { ledger, queue } = this.#context;
    for (const { lines } of queue.takeAll()) ledger.lose("error", lines);
  }

  recall(): Packet[] {
    return [];
  }

  abandon(): Packet[] {
    return [];
  }

  async finish(): Promise<void> {}
}
