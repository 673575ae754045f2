/** Deltas of sources outside the membership, whose senders want to know when they may forget them. */
import type { Delta, DeltaId } from "./delta.ts";
import { TIMES } from "./options.ts";
import type { Peers } from "./peers.ts";

interface Unsafe {
  readonly heldMs: number;
  readonly onSafe: (() => void)[];
}

export class Foreign {
  readonly #peers: Peers;
  /** By identity, the oldest first. */
  readonly #unsafe = new Map<string, Unsafe>();

  constructor(peers: Peers) {
    this.#peers = peers;
  }

  /** A delta that is held now, and is on its way to the others. */
  add(delta: Delta, onSafe: () => void, nowMs: number): void {
    if (this.#peers.data().length === 0) onSafe();
    else this.#unsafe.set(keyOf(delta), { heldMs: nowMs, onSafe: [onSafe] });
  }

  /** The same again, while it is on its way to the others. Returns false where it is not. */
  repeat(delta: Delta, onSafe: () => void): boolean {
    const unsafe = this.#unsafe.get(keyOf(delta));
    unsafe?.onSafe.push(onSafe);
    return unsafe !== undefined;
  }

  /** Another member holds it. */
  acknowledged(source: string, sequence: number): void {
    const key = keyOf({ source, sequence });
    const unsafe = this.#unsafe.get(key);
    if (unsafe === undefined) return;
    this.#unsafe.delete(key);
    for (const onSafe of unsafe.onSafe) onSafe();
  }

  /** One copy has to do after a while. */
  tick(nowMs: number): void {
    for (const [key, unsafe] of this.#unsafe) {
      if (nowMs - unsafe.heldMs < TIMES.degradedMs) return;
      this.#unsafe.delete(key);
      for (const onSafe of unsafe.onSafe) onSafe();
    }
  }
}

function keyOf({ source, sequence }: DeltaId): string {
  return `${source}/${sequence}`;
}
