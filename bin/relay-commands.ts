/**
 * The subcommands of statsrelay: what an operator asks a configuration (explain, diff, ring) or a running
 * relay (top, status, reload).
 */
import { existsSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { diffRings } from "../relay/command/diff.ts";
import { describeDiff } from "../relay/command/diff-report.ts";
import { describePlacements, placeNames } from "../relay/command/explain.ts";
import { MADE_NAMES_MAX, makeNames, readNames } from "../relay/command/name-source.ts";
import type { Placer } from "../relay/command/placement.ts";
import { watchTop } from "../relay/top/session.ts";
import { loadConfig, type Override, type RelayConfig } from "../shared/config.ts";
import { parseDestination, parseHostPort, printHostPort } from "../shared/config-addresses.ts";
import { SECTIONS } from "../shared/config-options.ts";
import { show } from "../shared/config-report.ts";
import { EXIT_START, EXIT_USAGE, OperatorError } from "../shared/errors.ts";
import { fetchPage } from "../shared/management-client.ts";
import { showText } from "../shared/name-text.ts";
import { Terminal } from "../shared/terminal/terminal.ts";
import { describeValue } from "../shared/terminal/value-text.ts";

/** What the commands work with. */
export interface CommandContext {
  /** Makes what answers for a configuration. Throws OperatorError where that is impossible. */
  makePlacer(config: RelayConfig): Placer | Promise<Placer>;
  /** Where answers are written; standard output by default. */
  readonly terminal?: Terminal;
  /** Takes faults and usage; standard error by default. */
  readonly writeError?: (text: string) => void;
}

interface PageFlags {
  readonly config?: string;
  readonly management?: string;
  readonly json?: boolean;
}

interface ConfigFlags {
  readonly config?: string;
  readonly set: readonly Override[];
  readonly json?: boolean;
}

const DEFAULT_SAMPLE = 100_000;
const DAY_SECONDS = 86_400;
/** Holds the token where a command line would show it to everybody on the machine. */
const TOKEN_VARIABLE = "STATSRELAY_TOKEN";
const COMMAND_NAMES = ["explain", "diff", "ring", "top", "status", "reload"] as const;

/**
 * Runs a subcommand. argv: without the names of node and script.
 * Resolves with its exit code, or undefined when the first argument is no subcommand: 0 done; 1 no, or it
 * does not work; 2 bad command line; 78 bad configuration. Faults have been written by then.
 */
export async function runCommand(
  argv: readonly string[],
  context: CommandContext,
): Promise<number | undefined> {
  if (!COMMAND_NAMES.some((name) => name === argv[0])) return undefined;
  const writeError = context.writeError ?? ((text: string) => void process.stderr.write(text));
  const run = new CommandRun(context, writeError);
  try {
    await run.program.parseAsync(argv, { from: "user" });
    return run.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    if (!(error instanceof OperatorError)) throw error;
    writeError(`statsrelay: ${error.message}\n`);
    return error.exitCode;
  }
}

/** One command line. */
class CommandRun {
  readonly program: Command;
  exitCode = 0;
  readonly #context: CommandContext;
  readonly #terminal: Terminal;
  readonly #writeError: (text: string) => void;

  constructor(context: CommandContext, writeError: (text: string) => void) {
    this.#context = context;
    this.#terminal = context.terminal ?? new Terminal();
    this.#writeError = writeError;
    this.program = new Command("statsrelay").exitOverride().configureOutput({
      writeOut: (text) => this.#terminal.write(text),
      writeErr: writeError,
    });
    this.#addConfigCommands();
    this.#addDiff();
    this.#addTop();
    this.#addPageCommands();
  }

  #addConfigCommands(): void {
    withConfig(this.program.command("explain"))
      .description("say where names go, and why")
      .argument("<name...>", "metric names or whole lines; \\xHH stands for a byte")
      .action(async (names: string[], flags: ConfigFlags) => {
        const placements = placeNames(await this.#placer(flags), names);
        this.#print(flags, placements, () => describePlacements(placements));
      });
    withConfig(this.program.command("ring"))
      .description("print the fingerprint of each ring, for expect-ring")
      .action(async (flags: ConfigFlags) => {
        const { rings } = await this.#placer(flags);
        const value = { rings: Object.fromEntries(rings.map((ring) => [ring.name, ring.fingerprint])) };
        const lines = rings.map(({ name, fingerprint, hash, key, buckets, replicas }) => {
          return `${name} ${fingerprint} hash=${hash} key=${key} buckets=${buckets} replicas=${replicas}\n`;
        });
        this.#print(flags, value, () => lines.join(""));
      });
  }

  #addDiff(): void {
    this.program
      .command("diff")
      .description("say which names move when one configuration takes another's place")
      .argument("<old>", "configuration file, or destinations parted by commas")
      .argument("<new>", "the same")
      .option("--names <file>", "names to try, or whole lines, one a line; without it they are made up")
      .option("--sample <count>", "how many names to make up", integer(1, MADE_NAMES_MAX), DEFAULT_SAMPLE)
      .option("--max <percent>", "exit with 1 when more names of a ring move", decimal(0, 100))
      .option(
        "--set <key=value>",
        "set a key of [relay] on both sides, such as hash=djb2-mod",
        addSetting,
        [],
      )
      .option("--json", "print JSON")
      .action(async (before: string, after: string, flags: DiffFlags) => {
        const names = flags.names === undefined ? makeNames(flags.sample) : readNames(flags.names);
        const [from, to] = [await this.#side(before, flags.set), await this.#side(after, flags.set)];
        const diffs = diffRings(from, to, names);
        this.#print(flags, { rings: diffs }, () => describeDiff(diffs));
        const limit = flags.max ?? 100;
        for (const { ring, movedShare } of diffs) {
          if (movedShare * 100 <= limit) continue;
          const moved = (movedShare * 100).toFixed(2);
          this.#writeError(
            `statsrelay: ring ${ring}: ${moved} % of the names move; --max allows ${limit} %\n`,
          );
          this.exitCode = EXIT_START;
        }
      });
  }

  #addTop(): void {
    withManagement(this.program.command("top"))
      .description("show the busiest names, prefixes and senders of a running relay, and its buckets")
      .option("--seconds <n>", "leave after so long (with --once: look so long)", decimal(0, DAY_SECONDS))
      .option("--once", "print one screen and exit")
      .action(async (flags: PageFlags & { once?: boolean; seconds?: number }) => {
        const { once: isOnce = false, json: isJson = false, seconds } = flags;
        const { management } = managementOf(flags);
        await watchTop({ management, seconds, isOnce, isJson }, this.#terminal);
      });
  }

  #addPageCommands(): void {
    withManagement(this.program.command("status"))
      .description("show the status of a running relay")
      .action(async (flags: PageFlags) => {
        const { management, token } = managementOf(flags);
        const { status, value } = await fetchPage({ management, method: "GET", path: "/status", token });
        this.#print(flags, value, () => describeValue(value));
        if (status !== 200) this.exitCode = EXIT_START;
      });
    withManagement(this.program.command("reload"))
      .description("make a running relay read its configuration again")
      .option("--force", "even when more names move than reload-moved-max allows")
      .option(
        "--token <token>",
        `the relay's management-token; ${TOKEN_VARIABLE} in the environment does too`,
      )
      .action(async (flags: PageFlags & { force?: boolean; token?: string }) => {
        const { management, token } = managementOf(flags);
        const path = flags.force === true ? "/-/reload?force=1" : "/-/reload";
        const secret = flags.token ?? process.env[TOKEN_VARIABLE] ?? token;
        const { status, value } = await fetchPage({ management, method: "POST", path, token: secret });
        const answer = Object(value) as { ok?: unknown; moved?: unknown; message?: unknown };
        this.#print(flags, value, () => describeReload(answer));
        if (status !== 200 || answer.ok !== true) this.exitCode = EXIT_START;
      });
  }

  #print(flags: { readonly json?: boolean }, value: unknown, describe: () => string): void {
    this.#terminal.write(flags.json === true ? `${JSON.stringify(value, undefined, 2)}\n` : describe());
  }

  async #placer(flags: ConfigFlags): Promise<Placer> {
    return this.#place(loadConfig(flags.config, flags.set).relay, flags.config ?? "the command line");
  }

  /** A side of a comparison: a file if there is one, otherwise a list of destinations. */
  async #side(text: string, settings: readonly Override[]): Promise<Placer> {
    if (existsSync(text)) return this.#place(loadConfig(text, settings).relay, text);
    const values = text.split(",").map((one) => one.trim());
    for (const value of values) {
      const parsed = parseDestination(value);
      if (!("fault" in parsed)) continue;
      const given =
        values.length === 1
          ? `"${show(value)}" is no file here, and as a destination it`
          : `"${show(value)}"`;
      throw new OperatorError(`${given} ${parsed.fault}`, EXIT_USAGE);
    }
    const destinations: Override = { section: "relay", key: "destinations", values, origin: "destinations" };
    return this.#place(loadConfig(undefined, [...settings, destinations]).relay, text);
  }

  async #place(config: RelayConfig, origin: string): Promise<Placer> {
    // A relay of routes alone works, and has answers.
    const { destinations, destinationsFile, routes } = config;
    if (destinations.length === 0 && destinationsFile === "" && routes.length === 0) {
      const remedy = "name a configuration with --config, or --set destinations=HOST:PORT,...";
      throw new OperatorError(`${show(origin)} has no relay.destinations; ${remedy}`, EXIT_USAGE);
    }
    return this.#context.makePlacer(config);
  }
}

interface DiffFlags {
  readonly names?: string;
  readonly sample: number;
  readonly max?: number;
  readonly set: readonly Override[];
  readonly json?: boolean;
}

function withConfig(command: Command): Command {
  return command
    .option("-c, --config <file>", "configuration file (INI)")
    .option("--set <key=value>", "set a key of [relay]; parts of a list stand between commas", addSetting, [])
    .option("--json", "print JSON");
}

function withManagement(command: Command): Command {
  return command
    .option("--management <host:port>", "the relay's management pages (default: as in the configuration)")
    .option("-c, --config <file>", "take the address from this configuration file")
    .option("--json", "print JSON");
}

/** Reads KEY=VALUE; further ones are added. */
function addSetting(text: string, before: readonly Override[]): Override[] {
  const [, key, value] = /^\s*([^=\s]+)\s*=(.*)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new InvalidArgumentError("Write KEY=VALUE.");
  const option = SECTIONS.get("relay")!.get(key);
  if (option === undefined) throw new InvalidArgumentError("There is no such key of [relay].");
  // A list in one argument is parted as elsewhere on this command line.
  const isList = option.kind === "list" || option.kind === "inherited-list";
  const values = isList ? value.split(",").map((one) => one.trim()) : [value.trim()];
  return [...before, { section: "relay", key, values, origin: `--set ${key}` }];
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Choose a whole number within ${min}..${max}.`);
  };
}

function decimal(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Choose a number within ${min}..${max}.`);
  };
}

/** Where the pages are: as the flag says, or the configuration. */
function managementOf(flags: PageFlags): { management: string; token: string } {
  const config =
    flags.config === undefined && flags.management !== undefined ? undefined : loadConfig(flags.config).relay;
  const token = config?.managementToken ?? "";
  if (flags.management !== undefined) {
    const parsed = parseHostPort(flags.management, 1);
    if ("fault" in parsed) {
      throw new OperatorError(`--management: "${show(flags.management)}" ${parsed.fault}`, EXIT_USAGE);
    }
    return { management: printHostPort(parsed.value), token };
  }
  const address = config?.management;
  if (address === undefined || address.port === 0) {
    throw new OperatorError(
      "the configuration names no address of management pages; give --management",
      EXIT_USAGE,
    );
  }
  return { management: printHostPort(address), token };
}

function describeReload(answer: { ok?: unknown; moved?: unknown; message?: unknown }): string {
  const lines = [answer.ok === true ? "reloaded" : "refused"];
  if (typeof answer.message === "string" && answer.message !== "")
    lines[0] += `: ${showText(answer.message)}`;
  for (const [ring, share] of Object.entries(Object(answer.moved))) {
    if (typeof share === "number")
      lines.push(`  ring ${showText(ring)}: ${(share * 100).toFixed(2)} % of its names move`);
  }
  return `${lines.join("\n")}\n`;
}
