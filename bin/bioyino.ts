#!/usr/bin/env node
/** The aggregator's executable: command line, configuration, start, signals, exit code. */
import { Command, CommanderError } from "commander";
import type { Override, SuiteConfig } from "../shared/config.ts";
import { EXIT_START, EXIT_USAGE, OperatorError } from "../shared/errors.ts";
import { packageVersion } from "./package-version.ts";
import { holdSignals } from "./signals.ts";

interface Flags {
  readonly config?: string;
  readonly checkConfig?: boolean;
  readonly printConfig?: boolean;
  readonly verbosity?: string;
  readonly logLevel?: string;
  readonly logFormat?: string;
}

/** Words of bioyino's -v that are none of ours. */
const LEVELS: Readonly<Record<string, string>> = { off: "error", critical: "error", trace: "debug" };
/** They need more than the daemon does, which loads none of it. */
const COMMANDS = ["query", "tail", "top", "transfer", "drain", "explain", "check", "import", "help"];
const HELP_FLAGS = ["-h", "--help"];

/** How long what is still open, such as an idle connection, may keep a command from its end. */
const EXIT_MS = 100;

/**
 * Ends after all that was written is out: a pipe may still be taking it. The process ends by itself where it
 * can, because process.exit() of Node 24 may hang while V8 still optimises a kernel.
 */
function exitWith(code: number): void {
  process.exitCode = code;
  const exit = (): void => void setTimeout(() => process.exit(code), EXIT_MS).unref();
  process.stdout.write("", () => process.stderr.write("", exit));
}

/** `bioyino query series | head`: whoever reads may have had enough, which is no fault. */
function endWithPipe(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
}

async function makeProgram(argv: readonly string[], version: string): Promise<Command> {
  const program = new Command("bioyino")
    .description("statsd aggregator: takes lines, aggregates them by interval, flushes to carbon and others")
    .version(version)
    .option("-c, --config <file>", "configuration file (INI); without it the defaults serve")
    .option("--check-config", "check the configuration and exit: 0 when it is good, 78 when it is not")
    .option("--print-config", "print the configuration in effect and exit")
    .option("--log-level <level>", "error, warn, info or debug")
    .option("--log-format <format>", "json or text")
    .option("-v, --verbosity <level>", "as --log-level, in the words of the Rust bioyino")
    .option("-f, --foreground", "taken as the Rust bioyino does; it always stays in the foreground")
    .allowExcessArguments(false)
    // A program with an action of its own has no such command by itself.
    .helpCommand("help [command]", "display help for command")
    // As all other faults are told.
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, "bioyino:")) })
    .exitOverride();
  program.action(() => runDaemon(program.opts<Flags>(), version));
  if (argv.some((word) => COMMANDS.includes(word) || HELP_FLAGS.includes(word))) {
    endWithPipe();
    const { addAggregatorCommands } = await import("./aggregator-commands.ts");
    addAggregatorCommands(program, { finish: exitWith });
    addImport(program);
  }
  // As with the Rust bioyino, the file may be named before the command.
  program.hook("preSubcommand", (_, command) => {
    const { config } = program.opts<Flags>();
    if (config !== undefined) command.setOptionValue("config", config);
  });
  return program;
}

function addImport(program: Command): void {
  program
    .command("import")
    .description("print the configuration of another aggregator in the words of this one")
    .argument("<file>", "the .toml of the Rust bioyino, or the .json of etsy's statsd")
    .action(async (file: string) => {
      const { importFile } = await import("../aggregator/import/import.ts");
      process.stdout.write(importFile(file, warnOnTerminal));
      exitWith(0);
    });
}

function warnOnTerminal(text: string): void {
  process.stderr.write(`bioyino: warning: ${text}\n`);
}

/** Of several flags for one option the last in this list counts. */
function overridesOf(flags: Flags): Override[] {
  const set = (key: string, value: string | undefined, origin: string): Override[] =>
    value === undefined ? [] : [{ section: "log", key, values: [value], origin }];
  const verbosity = flags.verbosity === undefined ? undefined : (LEVELS[flags.verbosity] ?? flags.verbosity);
  return [
    ...set("level", verbosity, "-v"),
    ...set("level", flags.logLevel, "--log-level"),
    ...set("format", flags.logFormat, "--log-format"),
  ];
}

async function runDaemon(flags: Flags, version: string): Promise<void> {
  const { loadConfig, printConfig } = await import("../shared/config.ts");
  const overrides = overridesOf(flags);
  const warnings: string[] = [];
  const config = loadConfig(flags.config, overrides, (text) => warnings.push(text));
  if (flags.printConfig === true) {
    endWithPipe();
    process.stdout.write(printConfig(config));
    return;
  }
  if (flags.checkConfig === true) {
    // More aggregates than can be computed show only here.
    const { readPlan, storePlan } = await import("../aggregator/store-plan.ts");
    readPlan(storePlan(config));
    warnings.forEach(warnOnTerminal);
    process.stdout.write("ok\n");
    return;
  }
  await start(config, warnings, version, (warn) => loadConfig(flags.config, overrides, warn));
}

/** read: reads the configuration again. */
async function start(
  config: SuiteConfig,
  warnings: readonly string[],
  version: string,
  read: (warn: (text: string) => void) => SuiteConfig,
): Promise<void> {
  if (config.cluster.mode === "witness") {
    const { runWitness } = await import("./witness.ts");
    await runWitness(config, warnings, version);
    return;
  }
  const { createLog } = await import("../shared/log.ts");
  const { Aggregator } = await import("../aggregator/aggregator.ts");
  const log = createLog(config.log, "bioyino");
  const warn = (text: string): void => log.warn("config.warning", { text });
  warnings.forEach(warn);
  const onFailure = (error: Error) => {
    log.error("aggregator.failed", { error: error.stack ?? error.message });
    process.exit(EXIT_START);
  };
  const handleSignals = holdSignals();
  const aggregator = new Aggregator(config, log, {
    version,
    readConfig: () => read(warn),
    onFailure,
    onDrain: () => void stop({ by: "drain" }).catch(onFailure),
  });
  const stop = async (cause: object) => {
    log.info("aggregator.stopping", cause);
    if (await aggregator.stop()) log.info("aggregator.stopped");
    else log.error("aggregator.stopped", { reason: "rows were not delivered" });
    process.exit(0);
  };
  await aggregator.start();
  const reload = (): void => void aggregator.reload().catch(onFailure);
  const { sinks, intervalMs, management } = config.aggregator;
  log.info("aggregator.started", {
    version,
    listen: aggregator.listen,
    ...aggregator.intake,
    management: management === undefined ? "" : `${management.host}:${aggregator.managementPort}`,
    admin: aggregator.adminAddress ?? "",
    intervalMs,
    sinks,
  });
  handleSignals((signal) => void stop({ signal }).catch(onFailure), reload);
}

async function main(argv: readonly string[]): Promise<void> {
  const [first = ""] = argv;
  if (!first.startsWith("-") && first !== "" && !COMMANDS.includes(first)) {
    const { show } = await import("../shared/config-report.ts");
    throw new OperatorError(`${show(first)} is no command; choose from ${COMMANDS.join(", ")}`, EXIT_USAGE);
  }
  const program = await makeProgram(argv, packageVersion());
  await program.parseAsync(argv, { from: "user" });
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof CommanderError) return exitWith(error.exitCode === 0 ? 0 : EXIT_USAGE);
  if (error instanceof OperatorError) {
    process.stderr.write(`bioyino: ${error.message}\n`);
    return exitWith(error.exitCode);
  }
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  exitWith(EXIT_START);
});
