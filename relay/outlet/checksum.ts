/** CRC-32 as in zip and PNG (ISO 3309). zlib has it too, but not in every Node this runs on. */

const POLYNOMIAL = 0xedb88320;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? POLYNOMIAL : 0);
  return remainder;
});

/** Returns the checksum of bytes behind others. crc: the checksum of those others; 0 when there are none. */
export function crc32(bytes: Uint8Array, crc = 0): number {
  let remainder = ~crc;
  for (let i = 0; i < bytes.length; i++)
    remainder = table[(remainder ^ bytes[i]!) & 0xff]! ^ (remainder >>> 8);
  return ~remainder >>> 0;
}
