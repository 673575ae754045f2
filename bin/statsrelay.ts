#!/usr/bin/env node
/** The relay's executable: command line, configuration, start, signals, exit code. */
import type { RunningWitness } from "../cluster/running/witness.ts";
import { parseFlags, type RelayCommand, requireDestinations } from "../relay/flags.ts";
import { planOf } from "../relay/plan-files.ts";
import { startRelay } from "../relay/relay.ts";
import { loadConfig, printConfig, type SuiteConfig } from "../shared/config.ts";
import { printDuration } from "../shared/config-values.ts";
import { EXIT_CONFIG, EXIT_START, OperatorError } from "../shared/errors.ts";
import { createLog, type Log } from "../shared/log.ts";
import { describeAddress } from "../shared/sockaddr.ts";
import { packageVersion } from "./package-version.ts";
import { handleSignals } from "./signals.ts";

/** Runs a relay until a signal ends it. */
async function run(suite: SuiteConfig, log: Log, command: RelayCommand): Promise<void> {
  const { relay: config, fileKind } = suite;
  // Without a handler the signal would end the process; names of destinations may take a while to be found.
  let isReloadDue = false;
  const noteReload = () => {
    isReloadDue = true;
  };
  process.on("SIGHUP", noteReload);
  const warn = (text: string): void => log.warn("config.warning", { text });
  const relay = await startRelay(config, log, {
    // The Rust proxy has no management pages either.
    isManagementOptional: command.isManagementOptional || fileKind === "proxy",
    logConfig: suite.log,
    readConfig: () => loadConfig(command.configFile, command.overrides, warn).relay,
  });
  const witness = await openWitness(suite, log);
  const stop = async (signal: NodeJS.Signals) => {
    log.info("relay.stopping", { signal });
    const isDrained = await relay.stop();
    await witness?.close();
    const intakes = relay.totals().map(({ intake }) => intake);
    const received = intakes.reduce((sum, intake) => sum + intake.received, 0);
    const accepted = intakes.reduce((sum, intake) => sum + intake.accepted, 0);
    if (isDrained) log.info("relay.stopped", { received, accepted });
    else log.error("relay.stopped", { received, accepted, reason: "a thread did not end in time" });
    process.exit(0);
  };
  // Before the start is announced: whoever waits for that may signal at once.
  handleSignals(
    (signal) => void stop(signal),
    () => void relay.reload(false),
  );
  process.off("SIGHUP", noteReload);
  if (isReloadDue) void relay.reload(false);
  log.info("relay.started", {
    version: packageVersion(),
    listen: relay.listenAddresses.map(describeAddress),
    destinations: config.destinations,
    rings: relay.rings(),
    io: relay.io,
    threads: relay.threadCount,
    receiveBufferBytes: relay.receiveBufferBytes,
    inherited: relay.isInheriting,
    management: relay.management ?? "",
  });
  void relay.failed.then(() => process.exit(EXIT_START));
}

/** The witness of a cluster that a relay hosts, where its configuration says so. */
async function openWitness(suite: SuiteConfig, log: Log): Promise<RunningWitness | undefined> {
  if (suite.cluster.mode !== "witness") return undefined;
  const { RunningWitness } = await import("../cluster/running/witness.ts");
  const { memberSettings } = await import("../cluster/running/member-settings.ts");
  const interval = { "aggregator.interval": printDuration(suite.aggregator.intervalMs) };
  return RunningWitness.open(memberSettings(suite, interval), log);
}

async function main(argv: readonly string[]): Promise<void> {
  // A word is no flag and, without a port, no destination: only then is a subcommand looked for.
  if (/^[a-z]+$/.test(argv[0] ?? "")) {
    const { runCommand } = await import("./relay-commands.ts");
    const { makePlacer } = await import("../relay/command/placer.ts");
    const exitCode = await runCommand(argv, {
      makePlacer: async (config) => makePlacer(await planOf(config)),
    });
    if (exitCode !== undefined) process.exit(exitCode);
  }
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
    requireDestinations(config.relay, EXIT_CONFIG);
    await planOf(config.relay);
    for (const text of warnings) process.stderr.write(`statsrelay: warning: ${text}\n`);
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
