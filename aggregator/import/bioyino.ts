/** A configuration of the Rust bioyino, which is TOML, in our words. */
import { parse, TomlError } from "smol-toml";
import { readAggregates } from "./aggregates.ts";
import { IniDraft } from "./ini-draft.ts";
import { readOptions, topKeys } from "./options.ts";
import { type Table, ValueTree } from "./value-tree.ts";

/** What an import comes to: the file, or what is wrong with the original. */
export interface Imported {
  readonly ini: string;
  /** Sentences for people; without any the file is good. */
  readonly faults: readonly string[];
  /** What is different in a way that must be looked at. */
  readonly warnings: readonly string[];
}

const CLUSTER_WARNING =
  "This node was one of a cluster, of which only the leader wrote rows. There is no cluster yet: each node " +
  "that gets lines writes rows of its own, and carbon keeps the last. Send all lines to one of them.";

/** Rewrites a TOML text. fileName: what the result says that it came from. */
export function importBioyino(text: string, fileName: string): Imported {
  let table: Table;
  try {
    table = parse(text, { unsafeKeyBehaviour: "throw" });
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ""] = error.message.split("\n");
    return { ini: "", faults: [`line ${error.line}: ${what}`], warnings: [] };
  }
  const draft = new IniDraft([`What ${fileName} of the Rust bioyino is in the words of this one.`]);
  const tree = new ValueTree(table);
  const warnings = isOfCluster(table) ? [CLUSTER_WARNING] : [];
  for (const warning of warnings) draft.warn(warning);
  writeDefaults(table, draft);
  readOptions(tree, draft);
  readAggregates(tree, draft);
  tree.finish(topKeys());
  return { ini: draft.print(), faults: tree.faults, warnings };
}

function isOfCluster(table: Table): boolean {
  const { consensus, network } = table;
  const nodes: unknown = Object(network).nodes;
  return consensus === "internal" || (Array.isArray(nodes) && nodes.length > 0);
}

/** What bioyino has by default and this one has not. */
function writeDefaults(table: Table, draft: IniDraft): void {
  if (!Object.hasOwn(Object(table.network), "listen")) {
    draft.set(
      "aggregator.listen",
      "udp://127.0.0.1:8125",
      "bioyino's default; 0.0.0.0 takes from everywhere.",
    );
  }
  if (!Object.hasOwn(table, "verbosity-console")) draft.set("log.level", "warn", "bioyino's default.");
  draft.set(
    "aggregator.dialect",
    "bioyino",
    "auto takes what other clients send as well, DogStatsD's among it.",
  );
}
