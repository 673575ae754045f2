/** The commands of the health port: those of etsy's management server that a load balancer needs. */

/** State that somebody set by hand; auto for none. */
export type ManualState = "auto" | "up" | "down";

/** What a command does, and what is answered. */
export interface CommandResult {
  /** With its line end; empty for nothing. */
  readonly answer: string;
  readonly isQuit: boolean;
}

/** What commands act on. */
export interface CommandContext {
  /** What `health` answers. */
  isUp(): boolean;
  /** Sets a state by hand. */
  setManual(state: ManualState): void;
  /** Whether this client may set one. */
  readonly mayChange: boolean;
}

const HELP = "Commands: health [up|down|auto], help, quit\n\n";
const ERROR = "ERROR\n";

/** Carries one command out. line: without its line end. */
export function runCommand(line: string, context: CommandContext): CommandResult {
  const [command = "", argument, ...rest] = line.trim().split(/\s+/);
  if (command === "quit") return { answer: "", isQuit: true };
  if (command === "help") return say(HELP);
  if (command !== "health" || rest.length > 0) return say(ERROR);
  if (argument !== undefined) {
    const state = argument.toLowerCase();
    if (state !== "up" && state !== "down" && state !== "auto") return say(ERROR);
    if (!context.mayChange) return say(ERROR);
    context.setManual(state);
  }
  return say(`health: ${context.isUp() ? "up" : "down"}\n`);
}

function say(answer: string): CommandResult {
  return { answer, isQuit: false };
}
