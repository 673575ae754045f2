/** Opens what a listener's datagrams or streams come in by. */
import { OperatorError } from "../../shared/errors.ts";
import { describeAddress } from "../../shared/sockaddr.ts";
import { type BatchReceiver, type ListenAddress, openReceiver } from "../../shared/udp.ts";
import type { ListenerSettings, SignatureSettings } from "./settings.ts";
import { SignatureGate } from "./signature-gate.ts";
import { readHmacKey } from "./signed-datagram.ts";

/** One thread's share of a listener. */
export interface ListenerOptions extends ListenerSettings {
  readonly io: "mmsg" | "dgram";
  readonly listen: ListenAddress;
  /** Whether several threads share the port. */
  readonly sharePort: boolean;
  /** Whether this is the first of them. */
  readonly isFirst: boolean;
}

/** An open listener. */
export interface Listener {
  readonly receiver: BatchReceiver;
  /** Present where datagrams must be signed. */
  readonly gate: SignatureGate | undefined;
}

/** Opens a listener. Throws OperatorError naming the address, key or file that is at fault. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { io, listen, signature } = options;
  const gate = signature === undefined ? undefined : openGate(listen, signature);
  return { receiver: await openReceiver(io, listen, options), gate };
}

function openGate(listen: ListenAddress, { keyPath, windowMs }: SignatureSettings): SignatureGate {
  if (listen.kind === "udp" || listen.kind === "unixgram") {
    return new SignatureGate(readHmacKey(keyPath), windowMs);
  }
  throw new OperatorError(
    `listen ${describeAddress(listen)}: only datagrams can be signed; ` +
      `take hmac-key-file ${keyPath} away, or give this address a [listener.NAME] of its own without it`,
  );
}
