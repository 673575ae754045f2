/**
 * Memory layout that kernels and host agree on. Two compilers read this file (tsc and asc), so it holds
 * plain number constants and nothing else.
 *
 * A receive batch in kernel memory, in the form that recvmmsg(2) wants on 64-bit Linux:
 *
 *   headers  [ mmsghdr 0 | mmsghdr 1 | ... ]   HEADER_BYTES each
 *   iovecs   [ iovec 0   | iovec 1   | ... ]   IOVEC_BYTES each, iovec i points at slot i
 *   slots    [ payload 0 .... | payload 1 .... ]   SLOT_BYTES apart
 */

/** Datagrams that one batch can hold. */
export const SLOT_COUNT = 64;

/**
 * Bytes from one slot to the next. The largest UDP payload is 65,507 bytes. The odd number of cache lines
 * beyond 64 KiB keeps the heads of all slots from falling into the same cache sets.
 */
export const SLOT_BYTES = 65_536 + 5 * 64;

/** Payload bytes the system call may write into a slot; the rest is room for over-reading by SIMD loads. */
export const SLOT_PAYLOAD_BYTES_MAX = 65_536;

/** sizeof(struct mmsghdr). */
export const HEADER_BYTES = 64;
/** Offset of msg_iov, a 64-bit address. */
export const HEADER_IOV = 16;
/** Offset of msg_iovlen, 64 bits. */
export const HEADER_IOV_COUNT = 24;
/** Offset of msg_flags, 32 bits; MSG_TRUNC is set where a datagram did not fit. */
export const HEADER_FLAGS = 48;
/** Offset of msg_len, 32 bits: payload bytes received, or sent. */
export const HEADER_PAYLOAD_BYTES = 56;
/** Offset of four bytes of padding behind msg_len. Ours: the number of lines in a packet to send. */
export const HEADER_LINES = 60;

/** sizeof(struct iovec): address (64 bits), length (64 bits). */
export const IOVEC_BYTES = 16;
/** Offset of iov_len in an iovec. */
export const IOVEC_LENGTH = 8;
