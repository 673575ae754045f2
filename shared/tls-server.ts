/** A TLS server of a configured certificate. */
import { constants, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type Server, type TlsOptions } from "node:tls";
import { OperatorError } from "./errors.ts";
import type { TlsFiles } from "./udp.ts";

/** A client that is slower than this has not come to send lines. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * Makes a server that takes nothing older than TLS 1.2, and with a client CA only clients that it signed for.
 * what: the listen address, for messages.
 * Throws OperatorError naming the file that is missing, cannot be read or does not fit.
 */
export function createTlsServer(files: TlsFiles | undefined, what: string): Server {
  if (files === undefined || files.certPath === "" || files.keyPath === "") {
    throw new OperatorError(`listen ${what}: TLS needs a certificate; set tls-cert and tls-key`);
  }
  const { certPath, keyPath, clientCaPath, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS } = files;
  const options: TlsOptions = {
    cert: readCertificate("tls-cert", certPath, what),
    key: readPem("tls-key", keyPath, what),
    handshakeTimeout: handshakeTimeoutMs,
    minVersion: "TLSv1.2",
    // A handshake is dear. Node tells of too many on one connection, but does not end it.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(clientCaPath !== "" && {
      ca: readCertificate("tls-client-ca", clientCaPath, what),
      requestCert: true,
      rejectUnauthorized: true,
    }),
  };
  try {
    return createServer(options);
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    throw new OperatorError(
      `listen ${what}: tls-key ${keyPath} cannot be used with tls-cert ${certPath} (${fault}); ` +
        "name the key of that certificate, without a passphrase",
    );
  }
}

function readPem(key: string, path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new OperatorError(`listen ${what}: ${key} ${path} cannot be read (${code}); correct the path`);
  }
}

/** An empty list of authorities would stand for those that this machine trusts, so it is looked into. */
function readCertificate(key: string, path: string, what: string): Buffer {
  const pem = readPem(key, path, what);
  try {
    new X509Certificate(pem);
  } catch {
    throw new OperatorError(`listen ${what}: ${key} ${path} holds no certificate; name a file in PEM form`);
  }
  return pem;
}
