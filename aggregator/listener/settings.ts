/** What a listener goes by, as plain data that a thread can be given. */
import type { ListenerConfig } from "../../shared/config.ts";
import type { ListenAddress, StreamLimits, TlsFiles } from "../../shared/udp.ts";

/** Where the key of signed datagrams is, and how long one is good for. */
export interface SignatureSettings {
  readonly keyPath: string;
  readonly windowMs: number;
}

/** Settings of one listen address that concern how lines come in; how they are read is in reading.ts. */
export interface ListenerSettings {
  readonly receiveBufferBytes: number;
  readonly stream: StreamLimits;
  /** Undefined for the system's. */
  readonly socketMode: number | undefined;
  /** Undefined where there is no TLS. */
  readonly tls: TlsFiles | undefined;
  /** Undefined where datagrams are not signed. */
  readonly signature: SignatureSettings | undefined;
}

/** What [aggregator] and each [listener.NAME] say alike. */
export type IntakeSection = Omit<ListenerConfig, "name">;

/** Takes a listener's settings out of its section. */
export function listenerSettings(config: IntakeSection): ListenerSettings {
  const { tlsCert, tlsKey, tlsClientCa, hmacKeyFile, hmacWindowMs } = config;
  const { lineBytesMax, idleTimeoutMs, connectionsMax, framing } = config;
  return {
    receiveBufferBytes: config.receiveBufferBytes,
    stream: { lineBytesMax, idleTimeoutMs, connectionsMax, framing },
    socketMode: config.socketMode,
    tls: tlsCert === "" ? undefined : { certPath: tlsCert, keyPath: tlsKey, clientCaPath: tlsClientCa },
    signature: hmacKeyFile === "" ? undefined : { keyPath: hmacKeyFile, windowMs: hmacWindowMs },
  };
}

/**
 * How many of the threads that a listener asks for can serve an address. Only UDP ports are shared, by
 * SO_REUSEPORT; and a datagram that is replayed from elsewhere would reach another thread, which has not seen
 * it.
 */
export function threadsFor(io: "mmsg" | "dgram", listen: ListenAddress, config: IntakeSection): number {
  const canShare = io === "mmsg" && listen.kind === "udp" && config.hmacKeyFile === "";
  return canShare ? config.threads : 1;
}
