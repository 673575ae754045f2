/**
 * The outlet thread: owns everything slow on the way out, so that no receiver ever waits for a remote or for
 * a disk. See outlet/order.ts for what it is told.
 */
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../shared/clock.ts";
import type { LogConfig } from "../shared/config.ts";
import { assert } from "../shared/errors.ts";
import { createLog } from "../shared/log.ts";
import { systemRandom } from "../shared/random.ts";
import { reportReady } from "../shared/worker.ts";
import { Outlet } from "./outlet/outlet.ts";

/** What the control thread starts it with. */
export interface OutletThreadOrder {
  readonly log: LogConfig;
}

assert(parentPort !== null, "outlet-thread.ts runs as a worker");
const { log } = workerData as OutletThreadOrder;
new Outlet(parentPort, {
  clock: systemClock,
  random: systemRandom,
  log: createLog(log, "statsrelay"),
});
reportReady(parentPort, {});
