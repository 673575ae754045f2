/** What becomes of packets that are handed to sendmmsg(2): the loop around the call, retries and counts. */
import { constants } from "node:os";
import { HEADER_BYTES, HEADER_LINES, HEADER_PAYLOAD_BYTES } from "./kernel/layout.ts";
import { type BatchSender, type LossReason, newTally, type SendTally } from "./udp.ts";

const { EINTR, EAGAIN, EMSGSIZE, ENOBUFS, ENETUNREACH, EHOSTUNREACH } = constants.errno;
const { ECONNREFUSED, ECONNRESET, ENOTCONN, ENOENT } = constants.errno;

const MSG_DONTWAIT = 0x40;
/** A unix socket without a peer is connected again at most this often, in milliseconds. */
const RECONNECT_MS = 100;

/** Whether a unix socket says that its peer is gone: the file is missing, stale, or was made anew. */
export function isPeerGone(code: number): boolean {
  return code === ECONNREFUSED || code === ECONNRESET || code === ENOTCONN || code === ENOENT;
}

/** The system calls on one connected socket. */
export interface SendCalls {
  /** Sends from a system address. Returns the number of packets sent, or an errno below 0. */
  send(headers: number, count: number, flags: number): number;
  /** Present for unix sockets: connects to the path again. Returns whether that worked. */
  readonly reconnect?: () => boolean;
  close(): void;
}

/** What an errno of sendmmsg means for the packet it was about. */
function lossReason(code: number): LossReason {
  if (isPeerGone(code)) return "refused";
  if (code === EMSGSIZE) return "too_long";
  if (code === EAGAIN || code === ENOBUFS) return "no_buffer";
  if (code === ENETUNREACH || code === EHOSTUNREACH) return "unreachable";
  return "error";
}

export class MmsgSender implements BatchSender {
  readonly io = "mmsg";
  readonly tally: SendTally = newTally();
  readonly #calls: SendCalls;
  readonly #memory: WebAssembly.Memory;
  readonly #base: number;
  #view: DataView;
  /** Flags of a call while all is well. */
  readonly #easyFlags: number;
  /** No waiting for a peer that does not read, once it has held the thread up. */
  #flags: number;
  #nextConnectMs = 0;

  /** base: system address of the memory's first byte. mayWait: see SenderOptions. */
  constructor(calls: SendCalls, memory: WebAssembly.Memory, base: number, mayWait = true) {
    this.#easyFlags = mayWait ? 0 : MSG_DONTWAIT;
    this.#flags = this.#easyFlags;
    this.#calls = calls;
    this.#memory = memory;
    this.#base = base;
    this.#view = new DataView(memory.buffer);
  }

  send(headers: number, count: number): void {
    if (this.#view.buffer !== this.#memory.buffer) this.#view = new DataView(this.#memory.buffer);
    let done = 0;
    let isRetry = false;
    while (done < count) {
      const from = headers + done * HEADER_BYTES;
      const sent = this.#calls.send(this.#base + from, count - done, this.#flags);
      if (sent > 0) {
        this.#countSent(from, sent);
        this.#flags = this.#easyFlags;
        done += sent;
        isRetry = false;
        continue;
      }
      if (-sent === EINTR) continue;
      const canRetry = this.#onError(-sent);
      if (canRetry && !isRetry) {
        isRetry = true;
        continue;
      }
      this.tally.linesLost[lossReason(-sent)] += this.#view.getUint32(from + HEADER_LINES, true);
      done += 1;
      isRetry = false;
    }
  }

  /** Returns whether the packet may be tried once more. */
  #onError(code: number): boolean {
    if (code === EAGAIN) this.#flags = MSG_DONTWAIT;
    const { reconnect } = this.#calls;
    if (reconnect === undefined) {
      if (code !== ECONNREFUSED) return false;
      // The error belongs to an earlier packet and is cleared by telling of it; this one was not tried yet.
      this.tally.refusals += 1;
      return true;
    }
    if (!isPeerGone(code)) return false;
    this.tally.refusals += 1;
    const nowMs = performance.now();
    if (nowMs < this.#nextConnectMs) return false;
    this.#nextConnectMs = nowMs + RECONNECT_MS;
    return reconnect();
  }

  /** sendmmsg has left the size of each packet that it took in its header. */
  #countSent(headers: number, count: number): void {
    const view = this.#view;
    let bytes = 0;
    let lines = 0;
    for (let header = headers; header < headers + count * HEADER_BYTES; header += HEADER_BYTES) {
      bytes += view.getUint32(header + HEADER_PAYLOAD_BYTES, true);
      lines += view.getUint32(header + HEADER_LINES, true);
    }
    this.tally.packetsSent += count;
    this.tally.bytesSent += bytes;
    this.tally.linesSent += lines;
  }

  async flush(): Promise<void> {}

  close(): void {
    this.#calls.close();
  }
}
