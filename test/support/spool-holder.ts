/**
 * A process that is killed in the end: a sink with a spool and a dead carbon. Prints the rows on disk when
 * all are there. Arguments: the spool's folder, the port of loopback.
 */
import { intervals } from "./sinks.ts";
import { ForwardClock, openSpooling, spooled } from "./spooling.ts";
import { waitFor } from "./wait-for.ts";

const [, , spoolDir = "", port = ""] = process.argv;

const clock = new ForwardClock();
const { sink } = openSpooling({ port: Number(port) }, spoolDir, {}, clock);
for (const batch of intervals(3, 100).batches) sink.accept(batch);
clock.aheadMs = 4000;
await waitFor("all rows on disk", () => sink.status().queuedRows === 0);
console.log(spooled(sink));
