/**
 * Numbers that the relay's kernel and its host agree on. Two compilers read this file (tsc and asc), so it
 * holds plain number constants and nothing else.
 */

/** consume() has used the batch up. */
export const CONSUME_DONE = 0;
/** Packets must be sent before consume() can go on. */
export const CONSUME_SEND_FIRST = 1;
/** Names that nobody has judged yet must be judged before consume() can go on. */
export const CONSUME_JUDGE_FIRST = 2;

/** Count prefix, suffix, tags and line feeds when packing, so that no packet exceeds packetlen. */
export const FEATURE_STRICT_PACKETLEN = 1;
/** Take carriage returns off the ends of lines. */
export const FEATURE_TRIM_CR = 2;
/** Put tags into the section that a line has already, not at its end. */
export const FEATURE_TAGS_IN_SECTION = 4;
/** Drop lines that are no statsd lines. */
export const FEATURE_VALIDATE = 8;
/** Turn `|#k:v` into `;k=v` behind the name. */
export const FEATURE_TAGS_GRAPHITE = 16;
/** Turn `|#k:v` into `.__k=v` behind the name. */
export const FEATURE_TAGS_NAME = 32;
/** Names are judged by the host. */
export const FEATURE_HOST_JUDGES = 64;

/** No route takes the name. */
export const DROP_NO_ROUTE = 0;
/** A rule refuses the name. */
export const DROP_FILTERED = 1;
/** The name's prefix has too many names. */
export const DROP_CARDINALITY = 2;
/** The line is no statsd line. */
export const DROP_INVALID = 3;
/** The line would become too long, or has too many tags to convert. */
export const DROP_TOO_LONG = 4;
/** The line is represented by others of its name, whose rate tells so. */
export const DROP_SAMPLED = 5;
/** Number of drop codes. */
export const DROP_COUNT = 6;

/** Routes that a relay can have, the main one included. */
export const ROUTES_MAX = 32;
/** Destinations that one name can be sent to. */
export const TARGETS_MAX = 512;
/** Bytes of a name that a rule puts in another one's place. */
export const RENAMED_BYTES_MAX = 4096;
/** Share of names that a route takes: all of them. */
export const SHARE_ALL = 0xffffffff;
