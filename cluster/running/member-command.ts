/** What people tell a running node of a cluster. */

export type ClusterCommand =
  /** Whether this node may stand for election. */
  | { readonly action: "enable" | "pause" | "disable" }
  /** Makes this node the leader, or lets it be one no longer. */
  | { readonly action: "lead" | "follow" }
  /** Hands leadership to a member, or to any. */
  | { readonly action: "transfer"; readonly to: string | undefined };

/** How it went. message: for people. */
export interface CommandOutcome {
  readonly ok: boolean;
  readonly message: string;
}
