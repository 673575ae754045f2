/**
 * The relay's control: makes plans of configurations, starts threads, lets them go from one plan to the next,
 * and stops them.
 *
 *   control thread     this one: names, health, peers, reloads, management pages, signals
 *   receiver threads   one for each listen address, or `threads` of them that share its port
 *   outlet thread      only where lines go over connections or are held
 */
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { RelayConfig } from "../shared/config.ts";
import { OperatorError } from "../shared/errors.ts";
import type { HttpServer } from "../shared/http.ts";
import type { Log } from "../shared/log.ts";
import { chooseIo } from "../shared/udp.ts";
import { CapMemory } from "./cap-memory.ts";
import type { ResolvedDestination } from "./destinations/destination.ts";
import { DestinationFiles } from "./destinations/destination-files.ts";
import { States } from "./destinations/states.ts";
import { OutletControl } from "./outlet-control.ts";
import { OutputLedger } from "./output-ledger.ts";
import { type HealthPort, openHealthPort } from "./page/health-port.ts";
import { openManagement } from "./page/management.ts";
import type { Fingerprints } from "./page/ring-page.ts";
import type { RelayState } from "./page/status.ts";
import { TopWatch } from "./page/top-watch.ts";
import { makePlan, type Plan, servingRoutes } from "./plan.ts";
import { makeOrder } from "./plan-order.ts";
import { type CommonPlanOrder, Receivers } from "./receivers.ts";
import type { Relay, RelayStartOptions } from "./relay.ts";
import {
  checkExpectedRings,
  keysThatNeedRestart,
  type ReloadOutcome,
  reviewMoves,
  warnOfDuplicates,
} from "./reload.ts";
import { Watchers } from "./watchers.ts";

export class RelayControl {
  readonly #log: Log;
  readonly #options: RelayStartOptions;
  readonly #ledger = new OutputLedger();
  readonly #startedMs = performance.now();
  readonly #failed: Promise<Error>;
  readonly #files: DestinationFiles;
  readonly #watchers: Watchers;
  readonly #outlet: OutletControl;
  readonly #states: States;
  readonly #capMemory = new CapMemory();
  #config: RelayConfig;
  #plan: Plan | undefined;
  #resolved: readonly ResolvedDestination[] = [];
  #generation = 1;
  #reloads = { done: 0, refused: 0 };
  #receivers: Receivers | undefined;
  #top: TopWatch | undefined;
  #healthPort: HealthPort | undefined;
  #http: HttpServer | undefined;
  #stopping: Promise<boolean> | undefined;
  #fail: (error: Error) => void = () => {};
  /** Changes of the plan happen one after the other. */
  #changes: Promise<unknown> = Promise.resolve();
  /** Ends when all threads work by one plan. */
  #swapping: Promise<unknown> = Promise.resolve();
  #isReaddressDue = false;
  /** When names that a reload has left where they were go where the plan wants them. */
  #handoverEndMs = 0;
  #hasStarted = false;

  constructor(config: RelayConfig, log: Log, options: RelayStartOptions) {
    this.#config = config;
    this.#log = log;
    this.#options = options;
    this.#failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#files = new DestinationFiles(
      log,
      () => void this.#enqueue(() => this.#change(this.#config, false)),
    );
    this.#outlet = new OutletControl({
      log,
      logConfig: options.logConfig ?? { level: "info", format: "json" },
      onConnection: (key, isUp) => this.#watchers.reportConnection(key, isUp),
      onFailed: (error) => this.#fail(error),
    });
    this.#states = new States(this.#outlet, async (states) => {
      await this.#receivers?.setStates(this.#generation, states);
    });
    this.#watchers = new Watchers(config, {
      log,
      onHealth: (key, isUp) => this.#states.setUp(key, isUp),
      isConnected: (key) => this.#outlet.isConnected(key),
      onMoved: () => this.#readdressSoon(),
      rings: () => this.#rings(),
      state: () => this.#state(),
      sendOwn: (lines) => this.#receivers?.sendOwn(lines),
    });
  }

  async start(): Promise<Relay> {
    const config = this.#config;
    const io = await chooseIo(config.io);
    const plan = makePlan(config, await this.#files.open(config));
    warnOfDuplicates(plan, this.#log);
    checkExpectedRings(config, plan);
    const resolved = await this.#watchers.resolve(plan, config);
    await this.#outlet.serve(plan.destinations, resolved, config);
    this.#adopt(plan, resolved);
    const receivers = new Receivers(config, {
      io,
      log: this.#log,
      newCounters: () => this.#ledger.addThread(),
      onOutletPort: (port) => this.#outlet.addPort(port),
      onFailed: (error) => this.#fail(error),
    });
    this.#receivers = receivers;
    await receivers.start(this.#order(), this.#outlet.isRunning);
    this.#top = new TopWatch(receivers);
    this.#watchOthers();
    if (config.healthListen !== undefined) {
      this.#healthPort = await openHealthPort(config.healthListen, { log: this.#log });
    }
    await this.#serveManagement();
    this.#hasStarted = true;
    return {
      io,
      listenAddresses: receivers.addresses,
      management: this.#http?.address,
      threadCount: receivers.threadCount,
      receiveBufferBytes: receivers.totals()[0]!.receiveBufferBytes,
      isInheriting: receivers.isInheriting,
      failed: this.#failed,
      rings: () => this.#rings(),
      totals: () => receivers.totals(),
      reload: (isForced) => this.reload(isForced),
      stop: () => this.stop(),
    };
  }

  /** Makes a plan the one in force, but for the receivers. */
  #adopt(plan: Plan, resolved: readonly ResolvedDestination[]): void {
    this.#plan = plan;
    this.#resolved = resolved;
    this.#ledger.begin(
      this.#generation,
      plan.destinations.map(({ key }) => key),
    );
    this.#states.setDestinations(plan.destinations, resolved, this.#config.spoolDir !== "");
  }

  /** Begins to look after what the plan in force names. */
  #watchOthers(): void {
    this.#watchers.follow(this.#config, this.#plan!, this.#resolved);
    this.#watchers.configure(this.#config);
  }

  /** See makeOrder. */
  #order(before?: Plan, handoverMs?: number): CommonPlanOrder {
    const [outlet, states, capMemory] = [this.#outlet, this.#states, this.#capMemory];
    const source = { generation: this.#generation, plan: this.#plan!, resolved: this.#resolved };
    return makeOrder({ ...source, outlet, states, capMemory }, before, handoverMs);
  }

  #enqueue<Result>(change: () => Promise<Result>): Promise<Result> {
    const result = this.#changes.then(change);
    this.#changes = result.catch((error: unknown) => {
      this.#log.error("relay.change_failed", { error: error instanceof Error ? error.stack : error });
    });
    return result;
  }

  reload(isForced: boolean): Promise<ReloadOutcome> {
    return this.#enqueue(async () => {
      const { readConfig } = this.#options;
      let config: RelayConfig;
      try {
        config = readConfig?.() ?? this.#config;
      } catch (error) {
        return this.#refuse(error);
      }
      return this.#change(config, isForced);
    });
  }

  /** Goes on by another configuration, or by other contents of the files that it names. */
  async #change(config: RelayConfig, isForced: boolean): Promise<ReloadOutcome> {
    if (this.#stopping !== undefined) return this.#refuse(new OperatorError("the relay is stopping"));
    const [before, configBefore] = [this.#plan!, this.#config];
    let moved: Record<string, number>;
    try {
      const plan = makePlan(config, await this.#files.open(config));
      checkExpectedRings(config, plan);
      moved = await reviewMoves(before, plan, isForced ? 100 : config.reloadMovedMaxPercent);
      const resolved = await this.#watchers.resolve(plan, config);
      if (this.#stopping !== undefined) throw new OperatorError("the relay is stopping");
      warnOfDuplicates(plan, this.#log);
      await this.#swap(plan, resolved, config, config.handoverMs);
    } catch (error) {
      return this.#refuse(error);
    } finally {
      this.#files.keep(this.#config);
    }
    this.#watchOthers();
    this.#reloads.done += 1;
    const unchanged = keysThatNeedRestart(configBefore, config);
    if (unchanged.length > 0) this.#log.warn("relay.needs_restart", { keys: unchanged });
    this.#log.info("relay.reloaded", { generation: this.#generation, rings: this.#rings(), moved });
    const hint = unchanged.length === 0 ? "" : `; a restart is needed for ${unchanged.join(", ")}`;
    return { ok: true, moved, message: `reloaded${hint}` };
  }

  #refuse(error: unknown): ReloadOutcome {
    const message = error instanceof Error ? error.message : String(error);
    this.#reloads.refused += 1;
    this.#log.error("relay.reload_refused", { reason: message });
    return { ok: false, moved: {}, message };
  }

  /** One change for all destinations that have moved by the time it begins. */
  #readdressSoon(): void {
    if (this.#isReaddressDue) return;
    this.#isReaddressDue = true;
    void this.#enqueue(() => this.#readdress());
  }

  /** The same plan, with destinations where they are now. */
  async #readdress(): Promise<void> {
    this.#isReaddressDue = false;
    const plan = this.#plan!;
    const resolved = await this.#watchers.resolve(plan, this.#config);
    if (this.#stopping !== undefined || isDeepStrictEqual(resolved, this.#resolved)) return;
    try {
      await this.#swap(plan, resolved, this.#config, Math.max(0, this.#handoverEndMs - performance.now()));
    } finally {
      // An address that could not be taken up counts as another one again, so that it is tried once more.
      this.#watchers.follow(this.#config, plan, this.#resolved);
    }
  }

  /** Lets all threads go on by a plan; where one cannot, all go back to the one before, with no handover. */
  #swap(
    plan: Plan,
    resolved: readonly ResolvedDestination[],
    config: RelayConfig,
    handoverMs: number,
  ): Promise<void> {
    const [before, resolvedBefore, configBefore] = [this.#plan!, this.#resolved, this.#config];
    const swapped = this.#swapTo(plan, resolved, config, handoverMs).catch(async (error: unknown) => {
      this.#log.error("relay.reload_failed", { error: error instanceof Error ? error.message : error });
      const back = this.#swapTo(before, resolvedBefore, configBefore, 0);
      await back.catch((worse: Error) => this.#fail(worse));
      throw error;
    });
    this.#swapping = swapped.catch(() => {});
    return swapped;
  }

  async #swapTo(
    plan: Plan,
    resolved: readonly ResolvedDestination[],
    config: RelayConfig,
    handoverMs: number,
  ): Promise<void> {
    const [before, resolvedBefore, ended] = [this.#plan!, this.#resolved, this.#generation];
    this.#config = config;
    this.#generation += 1;
    await this.#outlet.serveBoth(plan, resolved, before, resolvedBefore, config);
    this.#adopt(plan, resolved);
    await this.#receivers!.swap(this.#order(before, handoverMs), this.#outlet.isRunning);
    this.#handoverEndMs = performance.now() + handoverMs;
    await this.#outlet.serve(plan.destinations, resolved, config);
    for (const key of this.#ledger.endUpTo(ended, this.#outlet.hasSettled)) this.#outlet.forget(key);
  }

  #rings(): Fingerprints {
    const routes = this.#plan === undefined ? [] : servingRoutes(this.#plan);
    return Object.fromEntries(routes.map(({ ring }) => [ring.name, ring.fingerprint]));
  }

  #state(): RelayState {
    return {
      plan: this.#plan!,
      resolved: this.#resolved,
      generation: this.#generation,
      reloads: this.#reloads,
      listeners: this.#receivers?.totals() ?? [],
      outputs: this.#ledger.totals(),
      channels: this.#outlet.totals(),
      health: this.#watchers.health,
      isUp: (key) => this.#states.isUp(key),
      lookups: this.#watchers.lookups,
      peers: this.#watchers.peers,
      isReady: this.#readiness().ready,
      isStopping: this.#stopping !== undefined,
      threadsRunning: this.#receivers?.runningCount ?? 0,
      threadCount: this.#receivers?.threadCount ?? 0,
      uptimeSeconds: (performance.now() - this.#startedMs) / 1000,
    };
  }

  #readiness(): { ready: boolean; detail: object } {
    const isStopping = this.#stopping !== undefined;
    const threads = this.#receivers?.threadCount ?? 0;
    const threadsRunning = this.#receivers?.runningCount ?? 0;
    const isTakenOut = this.#healthPort?.manual === "down";
    const ready = !isStopping && !isTakenOut && threads > 0 && threadsRunning === threads;
    return { ready, detail: { stopping: isStopping, takenOut: isTakenOut, threads, threadsRunning } };
  }

  async #serveManagement(): Promise<void> {
    const { management, managementToken } = this.#config;
    if (management === undefined) return;
    const context = {
      token: managementToken,
      readiness: () => this.#readiness(),
      state: () => this.#state(),
      rings: () => this.#rings(),
      top: () => this.#top!.page(this.#state()),
      reload: (isForced: boolean) => this.reload(isForced),
    };
    const isOptional = this.#options.isManagementOptional === true;
    this.#http = await openManagement(management, context, this.#log, isOptional);
  }

  stop(): Promise<boolean> {
    this.#stopping ??= this.#drain();
    return this.#stopping;
  }

  async #drain(): Promise<boolean> {
    this.#healthPort?.setReady(false);
    const { drainDelayMs, drainTimeoutMs } = this.#config;
    // Load balancers need this long to take notice; lines still come in meanwhile.
    if (this.#hasStarted && drainDelayMs > 0) await delay(drainDelayMs);
    const deadlineMs = performance.now() + drainTimeoutMs;
    const late = delay(drainTimeoutMs, false, { ref: false });
    // Not for all changes: one that still looks names up will find that the relay stops.
    await Promise.race([this.#swapping, late]);
    const receivers = this.#receivers?.stop() ?? Promise.resolve();
    const isDrained = await Promise.race([receivers.then(() => true), late]);
    await this.#outlet.stop(Math.max(0, deadlineMs - performance.now()));
    for (const part of [this.#files, this.#watchers, this.#states]) part.close();
    this.#top?.close();
    await this.#healthPort?.close();
    await this.#http?.close();
    return isDrained;
  }
}
