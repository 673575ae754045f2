/** Names of the reasons in kernel/reasons.ts, as they appear in metrics and logs; the index is the code. */
export const DROP_REASONS = [
  "none",
  "empty_name",
  "no_value",
  "no_type",
  "bad_value",
  "not_finite",
  "bad_type",
  "bad_rate",
  "unknown_section",
  "bad_utf8",
  "control_character",
  "name_too_long",
  "tags_too_long",
  "bad_tags",
  "member_too_long",
  "cut_off",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/**
 * What each reason means, for the README: the comments of kernel/reasons.ts. "none" is no reason to drop.
 */
export const DROP_REASON_HELP: Readonly<Record<Exclude<DropReason, "none">, string>> = {
  empty_name: "Nothing before the first colon or semicolon.",
  no_value: "No colon: a bare name.",
  no_type: "No pipe after the value.",
  bad_value: "The value is not a decimal number, and the type is not a set.",
  not_finite: "NaN, an infinity, or a number that overflows, alone or scaled by its rate or added up.",
  bad_type: "A type that is not known, or text right behind one.",
  bad_rate: "A sampling rate that is not a number in (0, 1].",
  unknown_section: "A further section that the dialect does not know.",
  bad_utf8: "Name or tags are not UTF-8.",
  control_character: "Name or tags hold a control character.",
  name_too_long: "The name is longer than allowed.",
  tags_too_long: "The tags are longer, or more, than allowed.",
  bad_tags: "A semicolon without tags.",
  member_too_long: "A set member is longer than allowed.",
  cut_off: "The end of a datagram that is longer than 64 KiB.",
};
