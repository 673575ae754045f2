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
] as const;
export type DropReason = (typeof DROP_REASONS)[number];
