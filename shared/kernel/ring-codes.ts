/**
 * Numbers by which host and kernel speak of rings. Two compilers read this file (tsc and asc), so it holds
 * plain number constants and nothing else.
 */

/** FNV-1a of 64 bits, placed by the jump hash. */
export const HASH_FNV1A_JUMP = 0;
/** djb2 of 64 bits over code points, modulo the number of buckets. */
export const HASH_DJB2_MOD = 1;
/** MurmurHash3 of 32 bits, modulo the number of shards. */
export const HASH_MURMUR3_SHARDS = 2;
/** The first 32 bits of MD5, placed on a circle of points. */
export const HASH_KETAMA_ETSY = 3;

/** The name is the key. */
export const KEY_NAME = 0;
/** The name up to its first `;` or `,` is the key. */
export const KEY_UNTAGGED = 1;
/** The name's tags are sorted; its first `;` or `,` is what separates them. */
export const KEY_SORTED = 2;
/** The name's tags are sorted; commas separate them. */
export const KEY_COMMA_SORTED = 3;

/** The destination takes lines. */
export const STATE_SERVE = 0;
/** The destination's lines are dropped; no name moves. */
export const STATE_DROP = 1;
/** The destination is passed over; the next choice takes its names. */
export const STATE_SKIP = 2;

/** Buckets that a ring can have. */
export const BUCKETS_MAX = 65_536;
/** Destinations that one name of a ring can be sent to. */
export const REPLICAS_MAX = 16;
/** Bytes of the longest name that key rules look into; a longer one is its own key. */
export const KEY_BYTES_MAX = 131_072;
