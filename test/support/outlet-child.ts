/**
 * A process that spools lines for a destination that is down, says `ready` on its standard output when they
 * are on disk, and waits to be killed. Arguments: the spool's folder, how many counter and gauge lines.
 */
import { channelOrder, OutletRig } from "./outlet-rig.ts";
import { waitFor } from "./wait-for.ts";

const [spoolDir = "", countText = "0"] = process.argv.slice(2);
const count = Number(countText);
const rig = new OutletRig();
rig.order([channelOrder(1, { policy: "hold", port: 9 })], { spoolDir });
rig.tell({ kind: "state", id: 1, isUp: false });
rig.send(1, [Array.from({ length: count }, (_, i) => `g.${i}:${i}|g\n`).join("")]);
rig.send(
  1,
  Array.from({ length: count }, (_, i) => `c.${i}:1|c\n`),
);
await rig.until(1, "spooled", (now) => now.linesSpooled === count && now.linesHeld === count);
await waitFor("a copy of the gauges", () => rig.gaugeCopies(spoolDir) === 1);
process.stdout.write("ready\n");
