/** A configuration of the Rust bioyino, which is TOML, in our words. */
import { parse, TomlError } from "smol-toml";
import { readAggregates } from "./aggregates.ts";
import { readCluster } from "./cluster.ts";
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
  writeDefaults(table, draft);
  readOptions(tree, draft);
  const warnings = readCluster(table, draft);
  for (const warning of warnings) draft.warn(warning);
  readAggregates(tree, draft);
  tree.finish(topKeys());
  return { ini: draft.print(), faults: tree.faults, warnings };
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
