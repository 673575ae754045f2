/**
 * Why an aggregator drops a line. Two compilers read this file, so it holds plain number constants; their
 * names for logs and metrics are in shared/drop-reasons.ts, in the same order.
 */
export const DROP_NONE = 0;
/** Nothing before the first colon or semicolon. */
export const DROP_EMPTY_NAME = 1;
/** No colon: a bare name. */
export const DROP_NO_VALUE = 2;
/** No pipe after the value. */
export const DROP_NO_TYPE = 3;
/** The value is not a decimal number, and the type is not a set. */
export const DROP_BAD_VALUE = 4;
/** NaN, an infinity, or a number that overflows, alone or scaled by its rate or added up. */
export const DROP_NOT_FINITE = 5;
/** A type that is not known, or text right behind one. */
export const DROP_BAD_TYPE = 6;
/** A sampling rate that is not a number in (0, 1]. */
export const DROP_BAD_RATE = 7;
/** A further section that the dialect does not know. */
export const DROP_UNKNOWN_SECTION = 8;
/** Name or tags are not UTF-8. */
export const DROP_BAD_UTF8 = 9;
/** Name or tags hold a control character. */
export const DROP_CONTROL_CHARACTER = 10;
/** The name is longer than allowed. */
export const DROP_NAME_TOO_LONG = 11;
/** The tags are longer, or more, than allowed. */
export const DROP_TAGS_TOO_LONG = 12;
/** A semicolon without tags. */
export const DROP_BAD_TAGS = 13;
/** A set member is longer than allowed. */
export const DROP_MEMBER_TOO_LONG = 14;
/** The end of a datagram that is longer than 64 KiB. */
export const DROP_CUT_OFF = 15;
/** Sampling rate or tags given twice. */
export const DROP_REPEATED_SECTION = 16;
/** A timestamp that is not a positive whole number. */
export const DROP_BAD_TIMESTAMP = 17;
/** A timestamp of an interval that is not waited for any more. */
export const DROP_TOO_LATE = 18;
/** An event that cannot be read. */
export const DROP_BAD_EVENT = 19;
/** A service check that cannot be read. */
export const DROP_BAD_CHECK = 20;
/** An event or service check beyond what is taken at a time. */
export const DROP_EVENT_LIMIT = 21;
/** A line of a stream that is longer than allowed. */
export const DROP_LINE_TOO_LONG = 22;
/** Number of reasons, DROP_NONE included. */
export const DROP_REASON_COUNT = 23;
