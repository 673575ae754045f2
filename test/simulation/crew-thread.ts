/** A thread of the crew: lives through its part and tells how it went. */
import { parentPort, workerData } from "node:worker_threads";
import { live, type Task } from "./crew.ts";

parentPort?.postMessage(live(workerData as Task));
