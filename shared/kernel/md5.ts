/**
 * MD5, of which ketama rings use the first 32 bits. Source: RFC 1321. It places names and protects nothing.
 */
import { codePointBytes, isIllFormed, readCodePoint } from "./code-point";

/** floor(2^32 * |sin(step + 1)|). */
const SINES = memory.data<u32>([
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8,
  0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
  0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87,
  0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
  0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039,
  0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
  0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb,
  0xeb86d391,
]);
/** Bits that each step of a round rotates by; four of them repeat. */
const ROTATIONS = memory.data<u8>([7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]);
const BLOCK_BYTES: usize = 64;
/** The end of a text with its padding: two blocks at most. */
const TAIL = memory.data(128, 16);
const TAIL_BYTES: usize = 128;

let stateA: u32 = 0;
let stateB: u32 = 0;
let stateC: u32 = 0;
let stateD: u32 = 0;

/** Returns the first four bytes of the MD5 of raw bytes, as a little-endian number. */
export function md5First(start: usize, bytes: usize): u32 {
  stateA = 0x67452301;
  stateB = 0xefcdab89;
  stateC = 0x98badcfe;
  stateD = 0x10325476;
  const whole = bytes & ~(BLOCK_BYTES - 1);
  for (let at: usize = 0; at < whole; at += BLOCK_BYTES) addBlock(start + at);
  const rest = bytes - whole;
  memory.fill(TAIL, 0, TAIL_BYTES);
  memory.copy(TAIL, start + whole, rest);
  store<u8>(TAIL + rest, 0x80);
  const tailBytes = rest < BLOCK_BYTES - 8 ? BLOCK_BYTES : TAIL_BYTES;
  store<u64>(TAIL + tailBytes - 8, u64(bytes) << 3);
  for (let at: usize = 0; at < tailBytes; at += BLOCK_BYTES) addBlock(TAIL + at);
  return stateA;
}

function addBlock(block: usize): void {
  let a = stateA;
  let b = stateB;
  let c = stateC;
  let d = stateD;
  for (let step: u32 = 0; step < 64; step++) {
    const round = step >> 4;
    let mixed: u32 = 0;
    let word: u32 = 0;
    if (round == 0) {
      mixed = (b & c) | (~b & d);
      word = step;
    } else if (round == 1) {
      mixed = (d & b) | (~d & c);
      word = step * 5 + 1;
    } else if (round == 2) {
      mixed = b ^ c ^ d;
      word = step * 3 + 5;
    } else {
      mixed = c ^ (b | ~d);
      word = step * 7;
    }
    mixed += a + load<u32>(SINES + (usize(step) << 2)) + load<u32>(block + ((usize(word) & 15) << 2));
    a = d;
    d = c;
    c = b;
    b += rotl<u32>(mixed, u32(load<u8>(ROTATIONS + ((usize(round) << 2) | (usize(step) & 3)))));
  }
  stateA += a;
  stateB += b;
  stateC += c;
  stateD += d;
}

/**
 * Copies a text and puts U+FFFD in the place of bytes that are no UTF-8, as Etsy's proxy does by decoding
 * packets before it hashes. out: room for three times the bytes. Returns the bytes written, or 0 where the
 * text is UTF-8 as it is (an empty one included).
 */
export function repairText(start: usize, bytes: usize, out: usize): usize {
  const end = start + bytes;
  let target = out;
  let wasRepaired = false;
  for (let at = start; at < end; at += codePointBytes) {
    readCodePoint(at, end);
    if (isIllFormed) {
      wasRepaired = true;
      store<u8>(target, 0xef);
      store<u8>(target, 0xbf, 1);
      store<u8>(target, 0xbd, 2);
      target += 3;
    } else {
      memory.copy(target, at, codePointBytes);
      target += codePointBytes;
    }
  }
  return wasRepaired ? target - out : 0;
}
