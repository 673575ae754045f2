/** A witness of a cluster as a process of its own: `bioyino` with `cluster.mode = witness`. */
import { memberSettings } from "../cluster/running/member-settings.ts";
import { RunningWitness } from "../cluster/running/witness.ts";
import type { SuiteConfig } from "../shared/config.ts";
import { printDuration } from "../shared/config-values.ts";
import { startHttp } from "../shared/http.ts";
import { createLog } from "../shared/log.ts";
import { standardRoutes } from "../shared/standard-routes.ts";
import { processSamples, renderMetrics } from "../shared/stats.ts";
import { handleSignals } from "./signals.ts";

/** Runs until a signal ends it. Throws OperatorError where something cannot be had. */
export async function runWitness(
  config: SuiteConfig,
  warnings: readonly string[],
  version: string,
): Promise<void> {
  const log = createLog(config.log, "bioyino");
  for (const text of warnings) log.warn("config.warning", { text });
  const interval = { "aggregator.interval": printDuration(config.aggregator.intervalMs) };
  const witness = await RunningWitness.open(memberSettings(config, interval), log);
  const { management } = config.aggregator;
  const routes = [
    ...standardRoutes({
      isReady: () => ({ ready: true, detail: {} }),
      metrics: () => renderMetrics(processSamples()),
    }),
    ...witness.routes(version),
  ];
  const http =
    management === undefined ? undefined : await startHttp(management, routes, log, { hasJsonErrors: true });
  const stop = async (signal: NodeJS.Signals) => {
    log.info("witness.stopping", { signal });
    await http?.close();
    await witness.close();
    log.info("witness.stopped");
    process.exit(0);
  };
  handleSignals(
    (signal) => void stop(signal),
    () => {},
  );
  log.info("witness.started", {
    version,
    port: witness.port,
    management: management === undefined ? "" : `${management.host}:${http?.port}`,
  });
}
