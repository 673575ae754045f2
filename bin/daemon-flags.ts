/** Flags of the commands that ask a running aggregator: where its pages are, and the token. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import type { PageAsker } from "../aggregator/command/page-asker.ts";
import { loadConfig, type SuiteConfig } from "../shared/config.ts";
import { parseHostPort, printHostPort } from "../shared/config-addresses.ts";
import { show } from "../shared/config-report.ts";
import { EXIT_USAGE, OperatorError } from "../shared/errors.ts";

export interface DaemonFlags {
  readonly host?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly config?: string;
  readonly json?: boolean;
}

/** Holds the token where a command line would show it to everybody on the machine. */
const TOKEN_VARIABLE = "BIOYINO_TOKEN";

/** Adds the flags. -h is the host, as bioyino has it; help is --help. */
export function withDaemon(command: Command): Command {
  return command
    .helpOption("--help", "show this")
    .option("-h, --host <host:port>", "the management pages (default: as in the configuration)")
    .option("-c, --config <file>", "take address and token from this configuration file")
    .option("--token <token>", `the management-token; ${TOKEN_VARIABLE} in the environment does too`)
    .option("--token-file <file>", "file with the management-token")
    .option("--json", "print JSON");
}

/** Where the pages are, and the token: as the flags say, the environment, or the configuration. */
export async function askerOf(flags: DaemonFlags): Promise<PageAsker> {
  const { PageAsker: Asker } = await import("../aggregator/command/page-asker.ts");
  const isConfigNeeded = flags.config !== undefined || flags.host === undefined;
  const config = isConfigNeeded ? loadConfig(flags.config).aggregator : undefined;
  const ofFile = flags.tokenFile === undefined ? undefined : readToken(flags.tokenFile);
  const token = flags.token ?? ofFile ?? process.env[TOKEN_VARIABLE] ?? config?.managementToken ?? "";
  if (/[^!-~]/.test(token)) {
    throw new OperatorError("the token has blanks or characters beyond ASCII; check it", EXIT_USAGE);
  }
  return new Asker(addressOf(flags, config), token);
}

function addressOf({ host }: DaemonFlags, config: SuiteConfig["aggregator"] | undefined): string {
  if (host !== undefined) {
    const parsed = parseHostPort(host, 1);
    if ("value" in parsed) return printHostPort(parsed.value);
    throw new OperatorError(`--host: "${show(host)}" ${parsed.fault}`, EXIT_USAGE);
  }
  const address = config?.management;
  if (address !== undefined && address.port !== 0) return printHostPort(address);
  throw new OperatorError(
    "the configuration names no address of management pages; give --host HOST:PORT",
    EXIT_USAGE,
  );
}

function readToken(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new OperatorError(`--token-file: ${show(path)} cannot be read (${code})`, EXIT_USAGE);
  }
}

/** Reads a number within bounds. */
export function number(min: number, max: number, isWhole = false): (text: string) => number {
  const shape = isWhole ? /^\d+$/ : /^\d+(?:\.\d+)?$/;
  return (text) => {
    const value = shape.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Choose a ${isWhole ? "whole " : ""}number within ${min}..${max}.`);
  };
}
