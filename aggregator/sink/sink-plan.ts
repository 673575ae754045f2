/** How a set of sinks goes over to another configuration. */
import { isDeepStrictEqual } from "node:util";
import { openSink, type Sink, type SinkConfig, type SinkContext } from "./sink.ts";

/** The sinks of one name. */
export interface SinkGroup {
  readonly name: string;
  readonly sinks: readonly Sink[];
  /** The section that they were opened by. */
  readonly section: unknown;
}

/** A change while it is made, which can still be taken back. */
export class SinkPlan {
  readonly groups: SinkGroup[] = [];
  readonly changes = { kept: [] as string[], changed: [] as string[], added: [] as string[] };
  readonly #context: SinkContext;
  readonly #configBefore: SinkConfig;
  readonly #opened: Sink[] = [];
  readonly #configured: Sink[] = [];

  constructor(context: SinkContext, configBefore: SinkConfig) {
    this.#context = context;
    this.#configBefore = configBefore;
  }

  /** Has a name in the set. before: its group so far. */
  add(name: string, before: SinkGroup | undefined): void {
    const section = sectionOf(this.#context.config, name);
    if (before !== undefined && isDeepStrictEqual(before.section, section)) {
      // Sections may share a bound, such as that of a folder.
      this.#isConfigured(before);
      this.changes.kept.push(name);
      this.groups.push(before);
      return;
    }
    (before === undefined ? this.changes.added : this.changes.changed).push(name);
    if (before !== undefined && this.#isConfigured(before)) {
      this.groups.push({ ...before, section });
      return;
    }
    const sinks = openSink(name, this.#context);
    this.#opened.push(...sinks);
    this.groups.push({ name, sinks, section });
  }

  /** Puts everything back. */
  undo(): void {
    for (const sink of this.#opened) sink.close();
    for (const sink of this.#configured) sink.configure?.(this.#configBefore);
  }

  /** Whether all sinks of a group go on by the new configuration. */
  #isConfigured({ sinks }: SinkGroup): boolean {
    const configured = sinks.filter((sink) => sink.configure?.(this.#context.config) === true);
    this.#configured.push(...configured);
    return sinks.length > 0 && configured.length === sinks.length;
  }
}

/** The values that the sinks of a name are opened by. */
function sectionOf(config: SinkConfig, name: string): unknown {
  if (name === "file") return config.file;
  if (name === "console") return config.console;
  const { others, ...carbon } = config.carbon;
  return name === "carbon" ? carbon : others.find((other) => name === `carbon.${other.name}`);
}
