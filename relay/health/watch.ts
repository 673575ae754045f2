/** One destination under watch: its probe, turned by a timer, and what it adds up to. */
import type { TimerHandle } from "../../shared/clock.ts";
import type { Random } from "../../shared/random.ts";
import { makeProbe } from "./check.ts";
import type { HealthCheck, HealthTarget, Probe, ProbeContext, Verdict } from "./probe.ts";
import { Standing, type StandingOptions } from "./standing.ts";

/** How a destination is watched. */
export interface WatchOptions extends StandingOptions {
  readonly check: HealthCheck;
  /** From the start of one check to the start of the next, in milliseconds. */
  readonly intervalMs: number;
  readonly random: Random;
}

/** Runs from construction to close(). Never has two checks under way. */
export class Watch {
  readonly target: HealthTarget;
  readonly standing: Standing;
  /** Whether lines are sent there; the monitor decides it. */
  isUp = true;
  /** Whether it is up only because too few others are. */
  isForcedUp = false;
  /** How often it was kept or made up because too few others were. */
  forcedUps = 0;
  /** Wall clock at the last change of isUp. */
  sinceMs: number;
  /** Checks that ended. */
  checks = 0;
  /** Checks that were bad. */
  failures = 0;
  /** What the last check that was not good said; empty before. */
  lastFault = "";
  readonly #options: WatchOptions;
  readonly #context: ProbeContext;
  readonly #probe: Probe | undefined;
  #timer: TimerHandle | undefined;

  /** before: the watch that this one replaces; its state goes on. onTurn: its standing has changed. */
  constructor(
    target: HealthTarget,
    options: WatchOptions,
    context: ProbeContext,
    onTurn: (watch: Watch) => void,
    before: Watch | undefined,
  ) {
    this.target = target;
    this.#options = options;
    this.#context = context;
    this.#probe = makeProbe(target, options.check, context);
    this.sinceMs = before?.sinceMs ?? context.clock.nowMs();
    if (before !== undefined) this.#takeOver(before);
    // Nobody looks any more, so nothing could ever bring it back.
    const isWell = this.#probe === undefined || (before?.standing.isWell ?? true);
    this.standing = new Standing(options, context.clock, () => onTurn(this), isWell);
    // Spread, so that a relay of many destinations does not look at all of them in the same moment.
    if (this.#probe !== undefined) this.#checkIn(options.random.between(0, options.intervalMs), this.#probe);
  }

  close(): void {
    this.#timer?.cancel();
    this.#probe?.close();
    this.standing.close();
  }

  #takeOver(before: Watch): void {
    this.isUp = before.isUp;
    this.isForcedUp = before.isForcedUp;
    this.forcedUps = before.forcedUps;
    this.checks = before.checks;
    this.failures = before.failures;
    this.lastFault = before.lastFault;
  }

  #checkIn(delayMs: number, probe: Probe): void {
    this.#timer = this.#context.clock.setTimer(delayMs, () => {
      const startedMs = this.#context.clock.monotonicMs();
      probe.check((verdict) => {
        const tookMs = this.#context.clock.monotonicMs() - startedMs;
        this.#checkIn(Math.max(0, this.#options.intervalMs - tookMs), probe);
        this.#take(verdict);
      });
    });
  }

  #take(verdict: Verdict): void {
    this.checks += 1;
    if (verdict.kind === "bad") this.failures += 1;
    if (verdict.kind !== "good") this.lastFault = verdict.fault;
    this.standing.take(verdict);
  }
}
