/**
 * The sinks of an aggregator, through every reload. A sink whose configuration did not change stays, with its
 * queue; one that was changed or removed *retires*: it gets no more rows and has some time to deliver what it
 * holds, while its successor works already.
 *
 *   name in `sinks`     members               what becomes of it at apply()
 *   carbon              carbon[a], carbon[b]  same section: stays. Other: configure(), else retires and is
 *   carbon.east         carbon.east           opened anew. Not named any more: retires
 */
import { isDeepStrictEqual } from "node:util";
import type { DogItem } from "./event/event.ts";
import type { RowBatch } from "./row.ts";
import { openSink, type Sink, type SinkConfig, type SinkContext, type SinkStatus } from "./sink/sink.ts";
import { addSpooled, addStatus, asRetiring } from "./sink/status-sum.ts";

/** What apply() has done, by names as in `sinks`. */
export interface SinkChanges {
  readonly kept: readonly string[];
  /** Those that go on, or were replaced, under another configuration. */
  readonly changed: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** The sinks of one name. */
interface Group {
  readonly name: string;
  readonly sinks: readonly Sink[];
  /** The section that they were opened by. */
  readonly section: unknown;
}

/** Memory is bounded by it: each retiring sink may hold a full queue. */
const RETIRING_MAX = 16;

export class SinkSet {
  #context: SinkContext;
  #groups: readonly Group[];
  /** Oldest first. */
  readonly #retiring = new Set<Sink>();
  /** What became of rows of sinks that are gone, by name: added to what their successors count. */
  readonly #former = new Map<string, SinkStatus>();
  /** Those of them that have left rows on disk, as long as no successor has these. */
  readonly #leaving = new Set<Sink>();
  /** How retiring sinks ended, for a drain that is under way. */
  readonly #endings = new Set<Promise<boolean>>();
  #eventsUncarried = 0;
  #isClosed = false;

  /** Opens the sinks named. Throws OperatorError when one cannot be had, with none left open. */
  constructor(names: readonly string[], context: SinkContext) {
    this.#context = context;
    this.#groups = [];
    this.apply(names, context, 0);
  }

  /** Events and checks that came while no sink could carry such things. */
  get eventsUncarried(): number {
    return this.#eventsUncarried;
  }

  /** Hands a batch to every sink. Never blocks and never throws; its bytes must not change any more. */
  accept(batch: RowBatch): void {
    for (const sink of this.#sinks()) sink.accept(batch);
  }

  /** Hands an event or a check to the sinks that can carry it. */
  acceptEvent(item: DogItem): void {
    const carriers = this.#sinks().filter((sink) => sink.acceptEvent?.(item) === true);
    if (carriers.length === 0) this.#eventsUncarried++;
  }

  /**
   * One status for each name of a sink. What its predecessors of the same name did, and still hold, is part
   * of it; so for each name rows accepted = sent + lost + queued + spooled over all changes. Sinks that were
   * removed are there until they are done.
   */
  statuses(): SinkStatus[] {
    const now = new Map<string, SinkStatus>();
    for (const sink of this.#sinks()) now.set(sink.name, this.#withFormer(sink.status()));
    for (const sink of this.#retiring) {
      const status = asRetiring(sink.status());
      const successor = now.get(sink.name);
      now.set(sink.name, successor === undefined ? this.#withFormer(status) : addStatus(successor, status));
    }
    for (const sink of this.#leaving) {
      const { spooledRows = 0, spooledBytes = 0 } = sink.status();
      const status = now.get(sink.name);
      if (spooledRows === 0 || status === undefined) this.#leaving.delete(sink);
      else now.set(sink.name, addSpooled(status, spooledRows, spooledBytes));
    }
    return [...now.values()];
  }

  /**
   * Goes over to other sinks, or the same with other settings. context: as for the constructor; its
   * configuration has been checked. drainTimeoutMs: how long retiring sinks have for what they hold; then it
   * is counted as lost. Throws OperatorError when a sink cannot be opened, and then all is as it was.
   */
  apply(names: readonly string[], context: SinkContext, drainTimeoutMs: number): SinkChanges {
    const before = new Map(this.#groups.map((group) => [group.name, group]));
    const plan = new Plan(context, this.#context.config);
    try {
      for (const name of unique(names)) plan.add(name, before.get(name));
    } catch (error) {
      plan.undo();
      throw error;
    }
    this.#context = context;
    this.#groups = plan.groups;
    const staying = new Set(this.#sinks());
    const deadlineMs = context.clock.monotonicMs() + drainTimeoutMs;
    for (const { sinks } of before.values())
      for (const sink of sinks) if (!staying.has(sink)) this.#retire(sink, deadlineMs);
    for (const { name } of plan.groups) before.delete(name);
    return { ...plan.changes, removed: [...before.keys()] };
  }

  /**
   * Lets all sinks deliver what they hold, retiring ones too. deadlineMs: a moment of clock.monotonicMs().
   * Resolves to whether all of it was delivered.
   */
  async drain(deadlineMs: number): Promise<boolean> {
    const { clock } = this.#context;
    // Retiring sinks have a deadline of their own, which may be later. They come first: what a successor has
    // left at the deadline goes to a folder of which its predecessor has to let go.
    const waitMs = Math.max(0, deadlineMs - clock.monotonicMs());
    const deadline = clock.setTimer(waitMs, () => {
      for (const sink of this.#retiring) sink.close();
    });
    const endings = this.#sinks().map((sink) => sink.drain(deadlineMs));
    const isDelivered = await Promise.all([...endings, ...this.#endings]);
    deadline.cancel();
    return isDelivered.every(Boolean);
  }

  /** Closes all sinks; what they hold is counted as lost. */
  close(): void {
    this.#isClosed = true;
    for (const sink of this.#retiring) sink.close();
    for (const sink of this.#sinks()) sink.close();
  }

  #sinks(): Sink[] {
    return this.#groups.flatMap(({ sinks }) => sinks);
  }

  #retire(sink: Sink, deadlineMs: number): void {
    if (this.#isClosed) return;
    this.#retiring.add(sink);
    const ending = sink.drain(deadlineMs).then((isDelivered) => {
      sink.close();
      this.#endings.delete(ending);
      if (this.#retiring.delete(sink)) this.#remember(sink);
      return isDelivered;
    });
    this.#endings.add(ending);
    for (const oldest of this.#retiring) {
      if (this.#retiring.size <= RETIRING_MAX) break;
      oldest.close();
      this.#retiring.delete(oldest);
      this.#remember(oldest);
    }
  }

  /** Keeps the counts of a sink that is done, as long as there is one of its name to show them with. */
  #remember(sink: Sink): void {
    const former = this.#former.get(sink.name);
    // What it has left on disk is its successor's, but perhaps not at once.
    const { spooledRows = 0, spooledBytes: _bytes, lagSec: _lag, ...counts } = sink.status();
    const status = { ...counts, oldestMs: 0 };
    if (spooledRows > 0) this.#leaving.add(sink);
    for (const oldest of this.#leaving) if (this.#leaving.size > RETIRING_MAX) this.#leaving.delete(oldest);
    this.#former.set(sink.name, former === undefined ? status : addStatus(status, former));
    const names = new Set([...this.#sinks(), ...this.#retiring].map(({ name }) => name));
    for (const name of this.#former.keys()) if (!names.has(name)) this.#former.delete(name);
  }

  #withFormer(status: SinkStatus): SinkStatus {
    const former = this.#former.get(status.name);
    return former === undefined ? status : addStatus(status, former);
  }
}

/** A change while it is made, which can still be taken back. */
class Plan {
  readonly groups: Group[] = [];
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
  add(name: string, before: Group | undefined): void {
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
  #isConfigured({ sinks }: Group): boolean {
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

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
