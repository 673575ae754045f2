#!/usr/bin/env node
/** The aggregator's executable: command line, configuration, start, signals, exit code. */
import { Command, CommanderError } from "commander";
import type { Override } from "../shared/config.ts";
import { EXIT_START, EXIT_USAGE, OperatorError } from "../shared/errors.ts";
import { packageVersion } from "./package-version.ts";
import { handleSignals } from "./signals.ts";

interface Flags {
  readonly config?: string;
  readonly checkConfig?: boolean;
  readonly printConfig?: boolean;
  readonly logLevel?: string;
  readonly logFormat?: string;
}

function readFlags(argv: readonly string[], version: string): Flags {
  const command = new Command("bioyino")
    .description("statsd aggregator: takes lines, aggregates them by interval, flushes to carbon")
    .version(version)
    .option("-c, --config <file>", "configuration file (INI); without it the defaults serve")
    .option("--check-config", "check the configuration and exit: 0 when it is good, 78 when it is not")
    .option("--print-config", "print the configuration in effect and exit")
    .option("--log-level <level>", "error, warn, info or debug")
    .option("--log-format <format>", "json or text")
    .allowExcessArguments(false)
    .exitOverride();
  command.parse(argv, { from: "user" });
  return command.opts<Flags>();
}

function overrides(flags: Flags): Override[] {
  const list: Override[] = [];
  if (flags.logLevel !== undefined) {
    list.push({ section: "log", key: "level", values: [flags.logLevel], origin: "--log-level" });
  }
  if (flags.logFormat !== undefined) {
    list.push({ section: "log", key: "format", values: [flags.logFormat], origin: "--log-format" });
  }
  return list;
}

async function main(argv: readonly string[]): Promise<void> {
  const version = packageVersion();
  const flags = readFlags(argv, version);
  const { loadConfig, printConfig } = await import("../shared/config.ts");
  const config = loadConfig(flags.config, overrides(flags));
  if (flags.printConfig === true) {
    process.stdout.write(printConfig(config));
    return;
  }
  if (flags.checkConfig === true) {
    process.stdout.write("ok\n");
    return;
  }
  const { createLog } = await import("../shared/log.ts");
  const { Aggregator } = await import("../aggregator/aggregator.ts");
  const log = createLog(config.log, "bioyino");
  const onFailure = (error: Error) => {
    log.error("aggregator.failed", { error: error.stack ?? error.message });
    process.exit(EXIT_START);
  };
  const aggregator = new Aggregator(config, log, { version, onFailure });
  await aggregator.start();
  const stop = async (signal: NodeJS.Signals) => {
    log.info("aggregator.stopping", { signal });
    if (await aggregator.stop()) log.info("aggregator.stopped");
    else log.error("aggregator.stopped", { reason: "rows were not delivered" });
    process.exit(0);
  };
  // Before the start is announced: whoever waits for that may signal at once.
  handleSignals((signal) => void stop(signal).catch(onFailure));
  const { sinks, intervalMs, management } = config.aggregator;
  log.info("aggregator.started", {
    version,
    listen: aggregator.listen,
    ...aggregator.intake,
    management: management === undefined ? "" : `${management.host}:${aggregator.managementPort}`,
    intervalMs,
    sinks,
  });
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE);
  if (error instanceof OperatorError) {
    process.stderr.write(`bioyino: ${error.message}\n`);
    process.exit(error.exitCode);
  }
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(EXIT_START);
});
