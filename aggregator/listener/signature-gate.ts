/**
 * Lets only signed datagrams through to the kernel: what is not signed, too old or was seen before becomes an
 * empty datagram, and of the others the lines move to the start of their slots.
 */
import { createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { HEADER_BYTES, HEADER_FLAGS, HEADER_PAYLOAD_BYTES, SLOT_BYTES } from "../../shared/kernel/layout.ts";
import type { ReceiveBatch } from "../../shared/udp.ts";
import { ReplayFilter } from "./replay-filter.ts";
import { SIGNATURE_BYTES, SIGNED_LINES, SIGNED_TIME, signatureOf } from "./signed-datagram.ts";

/**
 * Why a datagram is refused. short: too short to be signed. bad_signature: not signed with the key. stale:
 * its time is not within the window, before the clock's or behind. replayed: it was taken before.
 * replays_full: so many were taken that no more can be remembered.
 */
export const SIGNATURE_FAULTS = ["short", "bad_signature", "stale", "replayed", "replays_full"] as const;
export type SignatureFault = (typeof SIGNATURE_FAULTS)[number];

const WORD = 2 ** 32;

export class SignatureGate {
  /** Datagrams refused, by reason. */
  readonly refused: Record<SignatureFault, number> = {
    short: 0,
    bad_signature: 0,
    stale: 0,
    replayed: 0,
    replays_full: 0,
  };
  readonly #key: KeyObject;
  readonly #windowMs: number;
  readonly #replays: ReplayFilter;

  /** key: what clients sign with. windowMs: by how much their clocks may differ from this one. */
  constructor(key: Uint8Array, windowMs: number, replays = new ReplayFilter(windowMs)) {
    this.#key = createSecretKey(key);
    this.#windowMs = windowMs;
    this.#replays = replays;
  }

  /** Looks at the datagrams in the first `received` slots. nowMs: the wall clock. */
  filter({ memory, headers, slots }: ReceiveBatch, received: number, nowMs: number): void {
    const bytes = Buffer.from(memory.buffer);
    for (let slot = 0; slot < received; slot++) {
      const header = headers + slot * HEADER_BYTES;
      const start = slots + slot * SLOT_BYTES;
      const end = start + bytes.readUInt32LE(header + HEADER_PAYLOAD_BYTES);
      const fault = this.#faultOf(bytes, start, end, nowMs);
      if (fault === undefined) {
        bytes.copyWithin(start, start + SIGNED_LINES, end);
        bytes.writeUInt32LE(end - start - SIGNED_LINES, header + HEADER_PAYLOAD_BYTES);
        continue;
      }
      this.refused[fault] += 1;
      bytes.writeUInt32LE(0, header + HEADER_PAYLOAD_BYTES);
      // That it was cut short says nothing of lines: there are none.
      bytes.writeUInt32LE(0, header + HEADER_FLAGS);
    }
  }

  #faultOf(bytes: Buffer, start: number, end: number, nowMs: number): SignatureFault | undefined {
    if (end - start < SIGNED_LINES) return "short";
    const signed = bytes.subarray(start + SIGNATURE_BYTES, end);
    const expected = signatureOf(this.#key, signed);
    if (!timingSafeEqual(expected, bytes.subarray(start, start + SIGNATURE_BYTES))) return "bad_signature";
    const time = start + SIGNED_TIME;
    const timestampSec = bytes.readUInt32LE(time) + WORD * bytes.readUInt32LE(time + 4);
    const nowSec = Math.floor(nowMs / 1000);
    if (Math.abs(nowSec - timestampSec) * 1000 > this.#windowMs) return "stale";
    const verdict = this.#replays.check(
      expected.readUInt32LE(0),
      expected.readUInt32LE(4),
      timestampSec,
      nowSec,
    );
    if (verdict === "fresh") return undefined;
    return verdict === "replayed" ? "replayed" : "replays_full";
  }
}
