/** `bioyino import`: the configuration of another aggregator in our words. */
import { basename } from "node:path";
import { parseConfig } from "../../shared/config.ts";
import { readText } from "../../shared/config-file.ts";
import { show } from "../../shared/config-report.ts";
import { EXIT_CONFIG, OperatorError } from "../../shared/errors.ts";
import { type Imported, importBioyino } from "./bioyino.ts";
import { importEtsy } from "./etsy.ts";

const IMPORTERS: Readonly<Record<string, (text: string, fileName: string) => Imported>> = {
  toml: importBioyino,
  json: importEtsy,
};

/** Etsy's files are programs; this runs one and writes what it comes to. */
const ETSY_REMEDY =
  "is JavaScript, which is not run here; turn it into JSON and import that:\n" +
  `  node -p 'JSON.stringify(eval("(" + fs.readFileSync("config.js", "utf8") + "\\n)"))' > config.json`;

/**
 * Reads a file of the Rust bioyino (.toml) or of etsy's statsd (.json) and returns an INI text that loads.
 * warn: takes a sentence about what must be looked at.
 * Throws OperatorError with all faults at once, exit code 78.
 */
export function importFile(path: string, warn: (text: string) => void): string {
  const [, ending = ""] = /\.([a-z]+)$/i.exec(path) ?? [];
  const refuse = (what: string): OperatorError => new OperatorError(`${show(path)}: ${what}`, EXIT_CONFIG);
  if (/^[cm]?js$/i.test(ending)) throw refuse(ETSY_REMEDY);
  const importer = IMPORTERS[ending.toLowerCase()];
  if (importer === undefined) throw refuse("is no .toml of bioyino and no .json of etsy's statsd; name one");
  const { ini, faults, warnings } = importer(readText(path), show(basename(path)));
  if (faults.length > 0) {
    const head = `${faults.length} fault${faults.length > 1 ? "s" : ""}`;
    throw refuse([head, ...faults.map((fault) => `  ${fault}`)].join("\n"));
  }
  for (const warning of warnings) warn(warning);
  // What could not be said, such as an interval of a day, is told in the words of the new file.
  parseConfig(ini, `what ${show(path)} comes to`, [], warn);
  return ini;
}
