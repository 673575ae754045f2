/** A receiver of streams that runs until a test stops it, and keeps what it gets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  type BatchReceiver,
  CONTROL_DRAIN,
  type ListenAddress,
  openReceiver,
  type ReceiverOptions,
  type StreamLimits,
} from "../../shared/udp.ts";
import { newBatch, newControl, textsOf } from "./receive-batch.ts";

/** Bounds where a test gives none. */
export const SUBJECT_LIMITS: StreamLimits = {
  lineBytesMax: 100,
  idleTimeoutMs: 60_000,
  connectionsMax: 10,
};

export class StreamSubject {
  readonly receiver: BatchReceiver;
  /** The payload of each slot. */
  readonly texts: string[] = [];
  readonly #control = newControl();
  readonly #running: Promise<void>;

  private constructor(receiver: BatchReceiver, batch: Awaited<ReturnType<typeof newBatch>>) {
    this.receiver = receiver;
    const onBatch = (received: number): boolean => {
      this.texts.push(...textsOf(batch, received));
      return true;
    };
    this.#running = receiver.run(batch, { onBatch }, this.#control);
  }

  static async start(
    address: ListenAddress,
    stream: Partial<StreamLimits> = {},
    others: Partial<ReceiverOptions> = {},
  ): Promise<StreamSubject> {
    const limits = { ...SUBJECT_LIMITS, ...stream };
    const options = { receiveBufferBytes: 0, sharePort: false, stream: limits, ...others };
    return new StreamSubject(await openReceiver("dgram", address, options), await newBatch("dgram"));
  }

  get tally() {
    const { streamTally } = this.receiver;
    assert.ok(streamTally !== undefined);
    return streamTally;
  }

  /** All slots, one behind the other. */
  get text(): string {
    return this.texts.join("");
  }

  /** A connection without TLS, on whose errors nothing depends. */
  async connect(): Promise<Socket> {
    const { address } = this.receiver;
    const client = "path" in address ? connect(address.path) : connect(address.port, address.host);
    client.on("error", () => {});
    await once(client, "connect");
    return client;
  }

  stop(word = CONTROL_DRAIN): Promise<void> {
    Atomics.store(this.#control, 0, word);
    return this.#running;
  }

  async close(): Promise<void> {
    await this.stop();
    this.receiver.close();
  }
}
