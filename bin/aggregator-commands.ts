/**
 * The subcommands of bioyino: what an operator asks a running aggregator (query, tail, top), tells it
 * (transfer, drain), or asks of a configuration (explain, check).
 */
import { type Command, InvalidArgumentError } from "commander";
import type { PageAsker } from "../aggregator/command/page-asker.ts";
import type { PageOutcome } from "../aggregator/command/page-outcome.ts";
import { loadConfig, type SuiteConfig } from "../shared/config.ts";
import { show } from "../shared/config-report.ts";
import { EXIT_CONFIG, EXIT_START, EXIT_USAGE, OperatorError } from "../shared/errors.ts";
import type { PageAnswer } from "../shared/management-client.ts";
import { METRIC_TYPES } from "../shared/metric.ts";
import { patternFault } from "../shared/pattern.ts";
import { Terminal } from "../shared/terminal/terminal.ts";
import { describeValue } from "../shared/terminal/value-text.ts";
import { askerOf, type DaemonFlags, number, withDaemon } from "./daemon-flags.ts";

/** What the commands work with. */
export interface AggregatorCommandContext {
  /** Takes the exit code of a command that is done: 0, or 1 where the answer is no. */
  finish(exitCode: number): void;
  /** Where answers are written; standard output by default. */
  readonly terminal?: Terminal;
  /** Takes what somebody must act on; standard error by default. */
  readonly writeError?: (text: string) => void;
}

const DAY_SECONDS = 86_400;
/** bioyino's words for what the JSON has one word for. */
const CONSENSUS_WORDS: Readonly<Record<string, string>> = {
  enable: "enable",
  enabled: "enable",
  resume: "resume",
  resumed: "resume",
  unpause: "resume",
  unpaused: "resume",
  pause: "pause",
  paused: "pause",
  disable: "disable",
  disabled: "disable",
};
const LEADER_WORDS: Readonly<Record<string, string>> = {
  unchanged: "unchanged",
  enable: "enable",
  enabled: "enable",
  disable: "disable",
  disabled: "disable",
};

const CONSENSUS_HELP = `
In a cluster a node that is paused or disabled does not stand for election.
LEADER disable hands leadership over. LEADER enable is for cluster.consensus =
none, where people choose; members that choose are asked by \`bioyino transfer\`.`;

/**
 * Adds query, tail, top, transfer, drain, explain and check to a program. Their actions throw OperatorError:
 * exit code 1 when the aggregator cannot be reached or refuses, 2 for a bad command line, 78 for a bad
 * configuration.
 */
export function addAggregatorCommands(program: Command, context: AggregatorCommandContext): void {
  const commands = new AggregatorCommands(context);
  commands.addQuery(program);
  commands.addTail(program);
  commands.addTop(program);
  commands.addTransfer(program);
  commands.addDrain(program);
  commands.addExplain(program);
  commands.addCheck(program);
}

class AggregatorCommands {
  readonly #context: AggregatorCommandContext;
  readonly #terminal: Terminal;
  readonly #writeError: (text: string) => void;

  constructor(context: AggregatorCommandContext) {
    this.#context = context;
    this.#terminal = context.terminal ?? new Terminal();
    this.#writeError = context.writeError ?? ((text) => void process.stderr.write(text));
  }

  addQuery(program: Command): void {
    const query = withDaemon(program.command("query")).description("ask a running aggregator");
    const add = (name: string, description: string): Command =>
      query.command(name).description(description).helpOption("--help", "show this");
    const page = (
      method: "GET" | "POST" | "DELETE",
      path: string,
      describe = describeValue,
      body?: unknown,
    ) => this.#page(query.opts<DaemonFlags>(), method, path, describe, body);
    add("status", "leadership, the cluster, listeners, limits and sinks").action(async () => {
      const { describeStatus } = await import("../aggregator/command/cluster-text.ts");
      return page("GET", "/status", describeStatus);
    });
    add("members", "the nodes of the cluster: who leads, who is connected, what waits").action(async () => {
      const { describeMembers } = await import("../aggregator/command/cluster-text.ts");
      return page("GET", "/members", describeMembers);
    });
    add("stats", "own metrics per second").action(() => page("GET", "/stats?format=json"));
    add("top", "who makes the most series, and what goes on").action(() => page("GET", "/top"));
    add("config", "the configuration in force").action(() => page("GET", "/config"));
    withSearch(add("series", "series of the open intervals"))
      .argument("[match]", "glob, or /REGEX/", "**")
      .action(async (match: string, flags: SearchFlags) => {
        const { describeSeries } = await import("../aggregator/command/answers.ts");
        return page("GET", `/series?${searchOf(match, flags)}`, describeSeries);
      });
    add("delete", "forget series")
      .argument("<match>", "glob, or /REGEX/")
      .option("--type <type>", "only series of this type", oneOf(METRIC_TYPES))
      .action((match: string, flags: SearchFlags) => page("DELETE", `/series?${searchOf(match, flags)}`));
    withLimit(add("history", "rows of the last intervals"))
      .argument("[match]", "glob, or /REGEX/", "**")
      .action(async (match: string, flags: SearchFlags) => {
        const { describeHistory } = await import("../aggregator/command/answers.ts");
        return page("GET", `/history?${searchOf(match, flags)}`, describeHistory);
      });
    add("reload", "make it read its configuration again").action(async () => {
      const { describeReload } = await import("../aggregator/command/answers.ts");
      return page("POST", "/-/reload", describeReload);
    });
    add("consensus", "set the state of the consensus, and who leads")
      .argument("<action>", "enable, pause, resume or disable", word(CONSENSUS_WORDS))
      .argument("[leader]", "unchanged, enable or disable", word(LEADER_WORDS), "unchanged")
      .addHelpText("after", CONSENSUS_HELP)
      .action(async (action: string, leader: string) => {
        const { describeStatus } = await import("../aggregator/command/cluster-text.ts");
        return page("POST", "/consensus", describeStatus, { "consensus-command": [action, leader] });
      });
  }

  /** Asks for a page and shows it; an answer that is a refusal ends with 1. */
  async #page(
    flags: DaemonFlags,
    method: "GET" | "POST" | "DELETE",
    path: string,
    describe: (value: unknown) => string,
    body?: unknown,
  ): Promise<void> {
    const asker = await askerOf(flags);
    const { status, value }: PageAnswer = await asker.ask(method, path, body);
    const isDone = isGood(status);
    if (flags.json === true) this.#terminal.write(`${JSON.stringify(value, undefined, 2)}\n`);
    // A refusal that says more than why, such as that of a reload, is shown like any other answer.
    else if (isDone || !hasError(value)) this.#terminal.write(describe(value));
    if (!isDone && hasError(value)) this.#refuse(asker, { status, value });
    else this.#context.finish(isDone ? 0 : EXIT_START);
  }

  #refuse(asker: PageAsker, { status, value }: PageAnswer): void {
    this.#writeError(`bioyino: ${asker.address} refuses (${status}): ${asker.faultOf(value)}\n`);
    this.#context.finish(EXIT_START);
  }

  addTransfer(program: Command): void {
    withDaemon(program.command("transfer"))
      .description("let the leader hand leadership over, and wait until another node leads")
      .argument("[node]", "whom to; any that is fit without it")
      .action(async (node: string | undefined, flags: DaemonFlags) => {
        const { transferLeadership } = await import("../aggregator/command/transfer.ts");
        const asker = await askerOf(flags);
        const outcome = await transferLeadership(asker, node);
        this.#report(asker, outcome, flags);
      });
  }

  addDrain(program: Command): void {
    withDaemon(program.command("drain"))
      .description("let a node hand over what it holds, and end as by SIGTERM")
      .option("--wait", "wait until it is gone")
      .option("--timeout <s>", "longest such wait, in seconds", number(1, DAY_SECONDS), 60)
      .addHelpText("after", "\nWhere a supervisor restarts what ends, drain is a restart.")
      .action(async (flags: DaemonFlags & { wait?: boolean; timeout: number }) => {
        const { drain } = await import("../aggregator/command/drain.ts");
        const asker = await askerOf(flags);
        const waitMs = flags.wait === true ? flags.timeout * 1000 : undefined;
        this.#report(asker, await drain(asker, waitMs), flags);
      });
  }

  /** Shows how a command went. */
  #report(asker: PageAsker, outcome: PageOutcome, { json: isJson = false }: DaemonFlags): void {
    const { answer, isDone, message } = outcome;
    if (answer !== undefined) {
      if (isJson) this.#terminal.write(`${JSON.stringify(answer.value, undefined, 2)}\n`);
      this.#refuse(asker, answer);
      return;
    }
    if (isJson) this.#terminal.write(`${JSON.stringify({ ok: isDone, message }, undefined, 2)}\n`);
    else if (isDone) this.#terminal.write(`${message}\n`);
    if (!isDone) this.#writeError(`bioyino: ${message}\n`);
    this.#context.finish(isDone ? 0 : EXIT_START);
  }

  addTail(program: Command): void {
    withDaemon(program.command("tail"))
      .description("show what an aggregator takes in, as it does")
      .argument("[match]", "glob such as app.**, or /REGEX/", "**")
      .option("-n, --count <n>", "leave after so many lines", number(1, 1e9, true))
      .option("--seconds <n>", "leave after so long", number(0, DAY_SECONDS))
      .action(async (match: string, flags: DaemonFlags & { count?: number; seconds?: number }) => {
        checkMatch(match);
        const { watchTail } = await import("../aggregator/command/tail.ts");
        const { count, seconds, json: isJson = false } = flags;
        await watchTail(await askerOf(flags), match, { count, seconds, isJson }, this.#terminal);
        this.#context.finish(0);
      });
  }

  addTop(program: Command): void {
    withDaemon(program.command("top"))
      .description("show what goes on in a running aggregator, as it does")
      .option("--seconds <n>", "leave after so long (with --once: look so long)", number(0, DAY_SECONDS))
      .option("--once", "print one screen and exit")
      .action(async (flags: DaemonFlags & { once?: boolean; seconds?: number }) => {
        const { watchTop } = await import("../aggregator/top/session.ts");
        const { once: isOnce = false, json: isJson = false, seconds } = flags;
        await watchTop(await askerOf(flags), { seconds, isOnce, isJson }, this.#terminal);
        this.#context.finish(0);
      });
  }

  addExplain(program: Command): void {
    program
      .command("explain")
      .description("say what becomes of lines: how they are read, keyed and named, and where rows go")
      .argument("<line...>", "statsd lines")
      .option("-c, --config <file>", "configuration file (INI); without it the defaults serve")
      .option("--listener <name>", "whose settings lines are read by: NAME of [listener.NAME]", "aggregator")
      .option("--json", "print JSON")
      .action(async (lines: string[], flags: { config?: string; listener: string; json?: boolean }) => {
        const { Explainer } = await import("../aggregator/explain/explain.ts");
        const { describeExplanation } = await import("../aggregator/explain/explain-text.ts");
        const explainer = await Explainer.create(this.#load(flags.config), flags.listener);
        const explanation = explainer.explain(lines.join("\n"));
        const text = flags.json === true ? JSON.stringify(explanation, undefined, 2) : "";
        this.#terminal.write(text === "" ? describeExplanation(explanation) : `${text}\n`);
        this.#context.finish(explanation.lines.every(({ accepted }) => accepted) ? 0 : EXIT_START);
      });
  }

  addCheck(program: Command): void {
    program
      .command("check")
      .description("check a configuration, and whether this machine has what it names")
      .option("-c, --config <file>", "configuration file (INI); without it the defaults serve")
      .action(async (flags: { config?: string }) => {
        const { checkMachine } = await import("../aggregator/command/check.ts");
        const faults = checkMachine(this.#load(flags.config));
        if (faults.length > 0) {
          const count = `${faults.length} fault${faults.length > 1 ? "s" : ""}`;
          const lines = [`${show(flags.config ?? "the defaults")}: ${count}`, ...faults];
          throw new OperatorError(lines.join("\n  "), EXIT_CONFIG);
        }
        this.#terminal.write("ok\n");
        this.#context.finish(0);
      });
  }

  #load(path: string | undefined): SuiteConfig {
    return loadConfig(path, [], (text) => this.#writeError(`bioyino: warning: ${text}\n`));
  }
}

interface SearchFlags {
  readonly type?: string;
  readonly limit?: number;
}

function searchOf(match: string, { type, limit }: SearchFlags): string {
  checkMatch(match);
  const query = new URLSearchParams({ match });
  if (type !== undefined) query.set("type", type);
  if (limit !== undefined) query.set("limit", String(limit));
  return query.toString();
}

function checkMatch(match: string): void {
  const fault = patternFault(match);
  if (fault !== undefined) throw new OperatorError(`the pattern ${fault}`, EXIT_USAGE);
}

function withSearch(command: Command): Command {
  return withLimit(command).option("--type <type>", "only series of this type", oneOf(METRIC_TYPES));
}

function withLimit(command: Command): Command {
  return command.option("--limit <n>", "most of them", number(1, 10_000, true));
}

function isGood(status: number): boolean {
  return status >= 200 && status < 300;
}

function hasError(value: unknown): boolean {
  return typeof Object(value).error === "string";
}

function oneOf(words: readonly string[]): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text;
    throw new InvalidArgumentError(`Choose one of ${words.join(", ")}.`);
  };
}

/** Reads one of several words, some of which mean the same. */
function word(words: Readonly<Record<string, string>>): (text: string) => string {
  return (text) => {
    const [, meant] = Object.entries(words).find(([one]) => one === text.toLowerCase()) ?? [];
    if (meant !== undefined) return meant;
    throw new InvalidArgumentError(`Choose one of ${Object.keys(words).join(", ")}.`);
  };
}
