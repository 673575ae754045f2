/**
 * One WebSocket between two nodes, after its upgrade. Each side says hello first; the server looks at both
 * and welcomes the client, and from then on messages count.
 */
import type { Socket } from "node:net";
import type { RawData, WebSocket } from "ws";
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import type { Message } from "../message.ts";
import { decodeMessage, MESSAGE_BYTES_MAX } from "./codec.ts";
import { FlowWindow } from "./flow-window.ts";
import { HELLO_BYTES_MAX, type Hello, helloDigest, readHello, type SpokenHello } from "./hello.ts";
import type { LinkCounts } from "./link-counts.ts";
import { newPacket, PacketJoiner, type PacketPieces, packetKindOf } from "./packet.ts";
import { SendQueue } from "./send-queue.ts";

/** Largest WebSocket message: a part, or a hello. */
export const PACKET_BYTES_MAX = HELLO_BYTES_MAX;
const PART_BYTES_MAX = 64 * 1024;
const PART_BYTES_MIN = 8 * 1024;
/**
 * Bytes of packets that are handed out at a time. What is deflated comes to so little on the wire that a
 * window would let much more through, for which all else had to wait.
 */
const TURN_BYTES = 1024 * 1024;
const TURN_PAUSE_MS = 1;
/** Urgent bytes that may follow a full window. */
const URGENT_BYTES = 64 * 1024;
/** A peer that is silent for so many heartbeats is lost. */
const SILENT_BEATS_MAX = 3;
/** Unsound messages after which a connection ends. */
const INVALID_MAX = 10;
/** How long the other side has to answer a close, in milliseconds. */
const CLOSE_GRACE_MS = 500;
const CLOSE_REASON_BYTES_MAX = 120;

/** Close codes of this protocol; those below 4000 are WebSocket's own. */
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_REFUSED = 4001;
export const CLOSE_INVALID = 4002;
export const CLOSE_REPLACED = 4003;

export interface ChannelOptions {
  readonly clock: Clock;
  readonly backlogBytesMax: number;
  readonly heartbeatMs: number;
  /** How long the other side may take for its hello, and then for the welcome. */
  readonly handshakeTimeoutMs: number;
  readonly counts: LinkCounts;
  /** Whether bulky messages are sent deflated; false by default. Whoever gets them can read them. */
  readonly isDeflating?: boolean;
}

export interface ChannelEvents {
  /** The other side said hello, at first or again; its digest is that of the packet. */
  onHello(hello: Hello, digest: string): void;
  /** A client was welcomed. */
  onWelcome?(): void;
  onMessage(message: Message): void;
  /** It is over; says why in words, and whether the other side refuses. Called once. */
  onClosed(reason: string, isRefusal: boolean): void;
}

export class PeerChannel {
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;
  readonly #options: ChannelOptions;
  readonly #events: ChannelEvents;
  readonly #queue: SendQueue;
  readonly #window = new FlowWindow();
  readonly #joiner = new PacketJoiner(MESSAGE_BYTES_MAX);
  readonly #pings: ((isAlive: boolean) => void)[] = [];
  #isWelcome = false;
  #hasHello = false;
  #isClosed = false;
  #reason: string | undefined;
  #beat: TimerHandle;
  #grace: TimerHandle | undefined;
  #deadline: TimerHandle | undefined;
  /** Runs while what is bulky waits for others to have their turn. */
  #pause: TimerHandle | undefined;
  #silentBeats = 0;
  #hasHeard = true;
  #invalid = 0;
  /** What the last ping said, while a pong is on its way. */
  #unanswered: Buffer | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;

  /**
   * webSocket: open, and nothing read of it yet; it may be paused, and does not answer pings by itself.
   * socket: what is below it.
   */
  constructor(webSocket: WebSocket, socket: Socket, options: ChannelOptions, events: ChannelEvents) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#options = options;
    this.#events = events;
    this.#queue = new SendQueue(options.backlogBytesMax, options.isDeflating);
    const { clock, heartbeatMs, handshakeTimeoutMs } = options;
    this.#beat = clock.setTimer(heartbeatMs, () => this.#onBeat());
    this.#deadline = clock.setTimer(handshakeTimeoutMs, () => this.terminate("no hello came in time"));
    webSocket.on("message", (data, isBinary) => this.#onPacket(data, isBinary));
    webSocket.on("ping", (said) => this.#onPing(said));
    webSocket.on("pong", (said) => this.#onPong(said.toString("latin1")));
    webSocket.on("error", (error) => this.terminate(error.message));
    webSocket.on("close", (code, reason) => this.#onClose(code, reason.toString()));
    webSocket.resume();
  }

  /** Whether messages count. */
  get isWelcome(): boolean {
    return this.#isWelcome && this.#reason === undefined;
  }

  /** Bytes that wait or that the other side has perhaps not read. */
  get pendingBytes(): number {
    return this.#queue.bytes + this.#window.bytesUnread;
  }

  get roundTripMs(): number | undefined {
    return this.#window.roundTripMs;
  }

  /** Address and port of the other side, for people. */
  get remote(): string {
    return `${this.#socket.remoteAddress}:${this.#socket.remotePort}`;
  }

  /** Says hello, at first or once it has changed. */
  sayHello({ packet }: SpokenHello): void {
    this.#hand(packet);
  }

  /** Lets a client in. */
  welcome(): void {
    this.#setWelcome();
    this.#hand(newPacket("welcome", new Uint8Array(0)));
  }

  /** Queues a message. Returns false where there is no room, or the connection is none. */
  send(packet: PacketPieces, isBulky: boolean): boolean {
    if (!this.isWelcome || !this.#queue.add(packet, isBulky)) {
      this.#options.counts.droppedMessages += 1;
      return false;
    }
    this.#options.counts.sentMessages += 1;
    this.#pump();
    return true;
  }

  /** Asks whether the other side lives; answers once, at the latest after withinMs. */
  probe(withinMs: number, answer: (isAlive: boolean) => void): void {
    const settle = (isAlive: boolean): void => {
      timer.cancel();
      const index = this.#pings.indexOf(settle);
      if (index >= 0) this.#pings.splice(index, 1);
      answer(isAlive);
    };
    const timer = this.#options.clock.setTimer(withinMs, () => settle(false));
    this.#pings.push(settle);
    this.#ping();
  }

  /** Ends in order: what is urgent is still sent. reason: at most some 100 characters arrive. */
  close(code: number, reason: string): void {
    if (this.#reason !== undefined || this.#isClosed) return;
    this.#reason = reason;
    while (this.#queue.isUrgent) this.#hand(this.#queue.take(PART_BYTES_MAX)!);
    this.#webSocket.close(code, cutText(reason, CLOSE_REASON_BYTES_MAX));
    this.#grace = this.#options.clock.setTimer(CLOSE_GRACE_MS, () => this.#webSocket.terminate());
  }

  /** Ends at once. */
  terminate(reason: string): void {
    this.#reason ??= reason;
    this.#webSocket.terminate();
  }

  #onPacket(data: RawData, isBinary: boolean): void {
    this.#hasHeard = true;
    // Once it has been closed from here, nothing counts any more.
    if (this.#reason !== undefined) return;
    const packet = data as Buffer;
    const kind = isBinary ? packetKindOf(packet) : undefined;
    if (kind === "part" && this.#isWelcome) {
      const whole = this.#joiner.add(packet);
      if (whole === false) this.#refuseInvalid();
      else if (whole !== undefined) this.#onMessage(whole);
    } else if (kind === "message" && this.#isWelcome) this.#onMessage(packet);
    else if (kind === "hello") this.#onHello(packet);
    else if (kind === "welcome" && this.#hasHello && this.#events.onWelcome !== undefined) {
      if (this.#isWelcome) return;
      this.#setWelcome();
      this.#events.onWelcome();
    } else this.#refuseInvalid();
  }

  #onMessage(packet: Uint8Array): void {
    const message = decodeMessage(packet);
    if (message !== undefined) {
      this.#options.counts.receivedMessages += 1;
      this.#events.onMessage(message);
      return;
    }
    this.#options.counts.invalidPackets += 1;
    this.#invalid += 1;
    if (this.#invalid >= INVALID_MAX) this.close(CLOSE_INVALID, `${INVALID_MAX} messages were unsound`);
  }

  #onHello(packet: Uint8Array): void {
    const hello = readHello(packet);
    if (hello === undefined) {
      this.#refuseInvalid();
      return;
    }
    this.#hasHello = true;
    this.#events.onHello(hello, helloDigest(packet));
  }

  #refuseInvalid(): void {
    this.#options.counts.invalidPackets += 1;
    this.close(CLOSE_INVALID, "a packet was none, or came too soon");
  }

  #setWelcome(): void {
    this.#isWelcome = true;
    this.#deadline?.cancel();
    // How fast a pong is while nothing else is on its way.
    this.#ping();
  }

  /** Only the last of several is answered, as it stands for those before it: pongs cannot pile up. */
  #onPing(said: Buffer): void {
    this.#hasHeard = true;
    const isBusy = this.#unanswered !== undefined;
    this.#unanswered = said;
    if (!isBusy) this.#pong(said);
  }

  #pong(said: Buffer): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.#webSocket.pong(said, undefined, () => {
      const last = this.#unanswered!;
      if (last === said) this.#unanswered = undefined;
      else this.#pong(last);
    });
  }

  #onPong(said: string): void {
    this.#hasHeard = true;
    this.#window.answered(said, this.#options.clock.monotonicMs());
    for (const settle of this.#pings.splice(0)) settle(true);
    this.#pump();
  }

  #onBeat(): void {
    this.#beat = this.#options.clock.setTimer(this.#options.heartbeatMs, () => this.#onBeat());
    // Parts of a long packet are a sign of life, too. Beats are counted rather than time, since after a pause
    // of this process itself its timers come before what the socket has to say.
    const bytesBefore = this.#bytesRead;
    this.#countBytes();
    const isAlive = this.#hasHeard || this.#bytesRead > bytesBefore;
    this.#hasHeard = false;
    this.#silentBeats = isAlive ? 0 : this.#silentBeats + 1;
    if (this.#silentBeats >= SILENT_BEATS_MAX) {
      this.terminate(`nothing was heard for ${SILENT_BEATS_MAX * this.#options.heartbeatMs} ms`);
    } else this.#ping();
  }

  #ping(): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    this.#webSocket.ping(this.#window.mark(this.#options.clock.monotonicMs()));
  }

  #pump(): void {
    const turnEnd = this.#queue.bytes - TURN_BYTES;
    while (this.#reason === undefined) {
      const { isUrgent, bytes } = this.#queue;
      if (this.#window.room <= (isUrgent ? -URGENT_BYTES : 0)) return;
      if (!isUrgent && this.#pause !== undefined) return;
      if (!isUrgent && bytes > 0 && bytes <= turnEnd) {
        this.#rest();
        return;
      }
      const message = this.#queue.take(Math.min(PART_BYTES_MAX, Math.max(PART_BYTES_MIN, this.#window.room)));
      if (message === undefined) return;
      this.#hand(message);
      if (this.#window.sent(message.length)) this.#ping();
    }
  }

  /** Goes on in a moment. */
  #rest(): void {
    this.#pause = this.#options.clock.setTimer(TURN_PAUSE_MS, () => {
      this.#pause = undefined;
      this.#pump();
    });
  }

  #hand(packet: Uint8Array): void {
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.send(packet);
  }

  /** Adds to the counts what went over the wire since the last time. */
  #countBytes(): void {
    const { bytesRead, bytesWritten } = this.#socket;
    this.#options.counts.receivedBytes += bytesRead - this.#bytesRead;
    this.#options.counts.sentBytes += bytesWritten - this.#bytesWritten;
    this.#bytesRead = bytesRead;
    this.#bytesWritten = bytesWritten;
  }

  #onClose(code: number, said: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#countBytes();
    this.#beat.cancel();
    this.#deadline?.cancel();
    this.#grace?.cancel();
    this.#pause?.cancel();
    this.#queue.clear();
    for (const settle of this.#pings.splice(0)) settle(false);
    const isRefusal = code === CLOSE_REFUSED;
    // Said by somebody else: one line, of printable characters.
    const theirs = said.replace(/[^\x20-\x7e]/g, "?");
    this.#events.onClosed(this.#reason ?? (theirs === "" ? `closed (${code})` : theirs), isRefusal);
  }
}

/** Cuts a text to so many bytes of UTF-8, at a character's end. */
function cutText(whole: string, bytesMax: number): string {
  const bytes = Buffer.from(whole);
  if (bytes.length <= bytesMax) return whole;
  return `${bytes
    .subarray(0, bytesMax - 3)
    .toString("utf8")
    .replace(/\ufffd$/, "")}...`;
}
