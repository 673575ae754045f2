/** What waits to be sent to one peer: urgent packets before bulky ones, and no more than fits. */
import { LANE_BULK, LANE_CONTROL, PacketCutter, type PacketPieces } from "./packet.ts";

/** Bytes that urgent packets may have beyond what bulky ones may. */
const CONTROL_BYTES_MORE = 1024 * 1024;

/** Packets in the order in which they are handed out. */
export class SendQueue {
  readonly #bytesMax: number;
  readonly #isDeflating: boolean;
  readonly #control: PacketCutter[] = [];
  readonly #bulk: PacketCutter[] = [];
  #bytes = 0;

  /**
   * bytesMax: of bulky packets; a single one may be larger where nothing else waits. isDeflating: whether
   * these are sent deflated.
   */
  constructor(bytesMax: number, isDeflating = false) {
    this.#bytesMax = bytesMax;
    this.#isDeflating = isDeflating;
  }

  /** Bytes that wait, as they are and not as they will be sent. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether what comes next is urgent. */
  get isUrgent(): boolean {
    return this.#control.length > 0;
  }

  /** Takes a packet. Returns false where there is no room. */
  add(packet: PacketPieces, isBulky: boolean): boolean {
    const bytesMax = isBulky ? this.#bytesMax : this.#bytesMax + CONTROL_BYTES_MORE;
    if (this.#bytes > 0 && this.#bytes + packet.bytes > bytesMax) return false;
    const queue = isBulky ? this.#bulk : this.#control;
    const lane = isBulky ? LANE_BULK : LANE_CONTROL;
    queue.push(new PacketCutter(packet, lane, isBulky && this.#isDeflating));
    this.#bytes += packet.bytes;
    return true;
  }

  /** Returns the next WebSocket message, as a cutter does; undefined when all is out. */
  take(bytesMax: number): Buffer | undefined {
    const queue = this.#control.length > 0 ? this.#control : this.#bulk;
    const cutter = queue[0];
    if (cutter === undefined) return undefined;
    const before = cutter.leftBytes;
    const message = cutter.next(bytesMax);
    this.#bytes -= before - cutter.leftBytes;
    if (cutter.leftBytes === 0) queue.shift();
    return message;
  }

  clear(): void {
    this.#control.length = 0;
    this.#bulk.length = 0;
    this.#bytes = 0;
  }
}
