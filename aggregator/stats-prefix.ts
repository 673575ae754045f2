/** The prefix of the aggregator's own metrics, in which `{node}` stands for the node's name. */
import { nodeName } from "../cluster/running/member-settings.ts";
import type { SuiteConfig } from "../shared/config.ts";

/** Returns the prefix; of a node's name each dot becomes an underscore, since it is one part. */
export function ownPrefix(config: SuiteConfig): string {
  const { statsPrefix } = config.aggregator;
  if (!statsPrefix.includes(NODE)) return statsPrefix;
  return statsPrefix.replaceAll(NODE, nodeName(config).replaceAll(".", "_"));
}

const NODE = "{node}";
