/** Carbon sinks as the configuration has them: one for each address of [carbon] and [carbon.NAME]. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { printHostPort } from "../../shared/config-addresses.ts";
import { OperatorError } from "../../shared/errors.ts";
import { type CarbonSettings, carbonSettings, spoolFolderName } from "./carbon-settings.ts";
import { CarbonSink } from "./carbon-sink.ts";
import type { Sink, SinkContext } from "./sink.ts";

/**
 * Makes a sink for each address of a section. sinkName: `carbon` or `carbon.NAME`, as in `sinks`.
 * Throws OperatorError where the section contradicts itself, or its spool cannot be had.
 */
export function createCarbonSinks(context: SinkContext, sinkName: string): Sink[] {
  const settings = carbonSettings(context.config, sinkName);
  if (settings === undefined) return [];
  if (settings.protocol === "udp" && settings.format === "pickle") {
    throw new OperatorError(
      `${sinkName}.format is pickle, which carbon takes over connections alone; write protocol = tcp or tls`,
    );
  }
  const { address } = settings;
  const sinks: Sink[] = [];
  try {
    for (const one of address) {
      const name = address.length === 1 ? sinkName : `${sinkName}[${printHostPort(one)}]`;
      sinks.push(new CarbonSink(name, sinkName, one, context));
    }
  } catch (error) {
    // Those before it would keep the locks of their folders.
    for (const sink of sinks) sink.close();
    throw error;
  }
  tellUnclaimed(context, settings.spoolDir);
  return sinks;
}

/** Logs the folders with rows that no section's address has any more: nobody will deliver them. */
function tellUnclaimed({ config, log }: SinkContext, spoolDir: string): void {
  if (spoolDir === "") return;
  const sections = new Map<string, CarbonSettings>([["carbon", config.carbon]]);
  for (const other of config.carbon.others) sections.set(`carbon.${other.name}`, other);
  const claimed = new Set(
    [...sections].flatMap(([name, { address }]) => address.map((one) => spoolFolderName(name, one))),
  );
  for (const entry of namesIn(spoolDir)) {
    if (claimed.has(entry) || !entry.startsWith("carbon")) continue;
    const folder = join(spoolDir, entry);
    if (namesIn(folder).some((name) => name.endsWith(".rows"))) log.warn("sink.spool_unclaimed", { folder });
  }
}

/** Nothing where the folder is none, or another user's. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // What cannot be looked at is no reason not to start.
    return [];
  }
}
