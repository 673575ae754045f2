/** Connections to carbon, plain or through TLS. */
import { readFileSync } from "node:fs";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { HostPort } from "../../shared/config-addresses.ts";

/** Files of PEM, and whether the remote's certificate must be good. Empty paths for none. */
export interface CarbonTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly isVerified: boolean;
}

/** Where to connect, and how. */
export interface CarbonRemote {
  /** A name is looked up at each attempt. */
  readonly host: string;
  readonly port: number;
  /** Address of this machine to connect from; port 0 for any. */
  readonly bindAddress: HostPort | undefined;
  /** Undefined for no TLS. */
  readonly tls: CarbonTls | undefined;
}

/** The event of a socket of connectCarbon that says that it can be written to. */
export function connectEvent({ tls }: CarbonRemote): "connect" | "secureConnect" {
  return tls === undefined ? "connect" : "secureConnect";
}

/**
 * Begins to connect. Certificates are read each time, so that renewed ones are used. Throws what the file
 * system or the TLS library says of them.
 */
export function connectCarbon(remote: CarbonRemote): Socket {
  const { host, port, bindAddress, tls } = remote;
  const common = {
    host,
    port,
    // A remote that closes first must not make this end look closed on purpose.
    allowHalfOpen: true,
    noDelay: true,
    ...(bindAddress === undefined ? {} : localEnd(bindAddress)),
  };
  if (tls === undefined) return connect(common);
  const { ca, cert, key, isVerified } = tls;
  const socket = connectTls({
    ...common,
    // SNI may not carry an address; the certificate is checked against it all the same.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === "" ? {} : { ca: readFileSync(ca) }),
    ...(cert === "" ? {} : { cert: readFileSync(cert) }),
    ...(key === "" ? {} : { key: readFileSync(key) }),
    rejectUnauthorized: isVerified,
  });
  socket.setNoDelay(true);
  return socket;
}

/** Only addresses of the same family can be reached from there. */
function localEnd({ host, port }: HostPort): { localAddress: string; localPort?: number; family: number } {
  return { localAddress: host, family: isIP(host), ...(port === 0 ? {} : { localPort: port }) };
}
