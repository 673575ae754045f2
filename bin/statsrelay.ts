#!/usr/bin/env node
/** The relay's executable: command line, configuration, start, signals, exit code. */
import { parseFlags, requireDestinations } from "../relay/flags.ts";
import { type RelayStartOptions, startRelay } from "../relay/relay.ts";
import { loadConfig, printConfig, type SuiteConfig } from "../shared/config.ts";
import { EXIT_CONFIG, EXIT_START, OperatorError } from "../shared/errors.ts";
import { createLog, type Log } from "../shared/log.ts";
import { describeAddress } from "../shared/sockaddr.ts";
import { packageVersion } from "./package-version.ts";
import { stopOnSignal } from "./signals.ts";

const NO_DESTINATIONS = "relay.destinations is empty; name at least one HOST:PORT, here or as an argument";

/** Runs a relay until a signal ends it. */
async function run({ relay: config }: SuiteConfig, log: Log, options: RelayStartOptions): Promise<void> {
  const relay = await startRelay(config, log, options);
  const stop = async (signal: NodeJS.Signals) => {
    log.info("relay.stopping", { signal });
    const isDrained = await relay.stop();
    const { received, accepted } = relay.totals().intake;
    if (isDrained) log.info("relay.stopped", { received, accepted });
    else log.error("relay.stopped", { received, accepted, reason: "a thread did not end in time" });
    process.exit(0);
  };
  // Before the start is announced: whoever waits for that may signal at once.
  stopOnSignal((signal) => void stop(signal));
  log.info("relay.started", {
    version: packageVersion(),
    listen: relay.listenAddresses.map(describeAddress),
    destinations: config.destinations,
    io: relay.io,
    threads: relay.threadCount,
    receiveBufferBytes: relay.receiveBufferBytes,
    management: relay.management ?? "",
  });
  void relay.failed.then(() => process.exit(EXIT_START));
}

async function main(argv: readonly string[]): Promise<void> {
  const command = parseFlags(argv);
  if (command.action === "help") {
    const { relayUsage } = await import("../relay/flag-table.ts");
    process.stderr.write(`${relayUsage()}\n`);
    return;
  }
  if (command.action === "version") {
    process.stdout.write(`${packageVersion()}\n`);
    return;
  }
  const warnings = [...command.warnings];
  const config = loadConfig(command.configFile, command.overrides, (text) => warnings.push(text));
  if (command.action === "print") {
    process.stdout.write(printConfig(config));
    return;
  }
  if (command.action === "check") {
    if (config.relay.destinations.length === 0) throw new OperatorError(NO_DESTINATIONS, EXIT_CONFIG);
    process.stdout.write("ok\n");
    return;
  }
  requireDestinations(config.relay);
  const log = createLog(config.log, "statsrelay");
  for (const text of warnings) log.warn("config.warning", { text });
  await run(config, log, command);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof OperatorError) {
    process.stderr.write(`statsrelay: ${error.message}\n`);
    process.exit(error.exitCode);
  }
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(EXIT_START);
});
