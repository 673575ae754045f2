/**
 * Signed datagrams, in the form that brubeck's secure sampler takes:
 *
 *   0                32                  40           44
 *   | HMAC-SHA256    | seconds since 1970 | nonce      | lines ...
 *   | of all that    | 64 bits, little    | 32 bits    |
 *   | follows        | endian             |            |
 *
 * The nonce keeps two datagrams of one second with the same lines apart.
 */
import { createHmac, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { OperatorError } from "../../shared/errors.ts";

export const SIGNATURE_BYTES = 32;
/** Offset of the timestamp. */
export const SIGNED_TIME = SIGNATURE_BYTES;
/** Offset of the nonce. */
export const SIGNED_NONCE = 40;
/** Offset of the lines. */
export const SIGNED_LINES = 44;

/** Computes the signature of what follows it in a datagram. */
export function signatureOf(key: KeyObject | Uint8Array, signed: Uint8Array): Buffer {
  return createHmac("sha256", key).update(signed).digest();
}

/**
 * Signs lines for a listener that has the same key: what a client does. nowMs: the wall clock. nonce: 0 to
 * 2^32 - 1, another one for each datagram of a second.
 */
export function signDatagram(
  key: KeyObject | Uint8Array,
  nowMs: number,
  nonce: number,
  lines: Uint8Array,
): Buffer {
  const datagram = Buffer.alloc(SIGNED_LINES + lines.length);
  datagram.writeBigUInt64LE(BigInt(Math.floor(nowMs / 1000)), SIGNED_TIME);
  datagram.writeUInt32LE(nonce, SIGNED_NONCE);
  datagram.set(lines, SIGNED_LINES);
  datagram.set(signatureOf(key, datagram.subarray(SIGNATURE_BYTES)), 0);
  return datagram;
}

/**
 * Reads a key: the bytes of a file, without the line feed that editors put at the end.
 * Throws OperatorError where the file cannot be read, or holds no key.
 */
export function readHmacKey(path: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new OperatorError(`hmac-key-file ${path} cannot be read (${code}); correct the path`);
  }
  const key = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
  if (key.length === 0) throw new OperatorError(`hmac-key-file ${path} is empty; write a key into it`);
  return key;
}
