/**
 * Keeps the measured program on a processor of its own. Left to itself the scheduler now and then puts it
 * beside the sender, which makes larger batches and less than half the cost: figures would be luck.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Processors that this process may use, by number. */
function allowedProcessors(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "";
  return list.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

interface Plan {
  readonly subject: string;
  readonly load: string;
}

function makePlan(): Plan | undefined {
  const processors = allowedProcessors();
  const subject = processors.pop();
  const hasTaskset = spawnSync("taskset", ["--version"], { stdio: "ignore" }).status === 0;
  if (subject === undefined || processors.length === 0 || !hasTaskset) return undefined;
  return { subject: String(subject), load: processors.join(",") };
}

const plan = makePlan();

/** Says how processes are placed, in one line. */
export function describePinning(): string {
  if (plan === undefined)
    return "processes are not pinned (one processor, or no taskset): expect wide spreads";
  return `measured programs run on processor ${plan.subject}, senders and sinks on ${plan.load}`;
}

function pin(pid: number, processors: string): void {
  // All threads; those that start later follow the one that starts them.
  const { status } = spawnSync("taskset", ["-a", "-p", "-c", processors, String(pid)], { stdio: "ignore" });
  if (status !== 0) throw new Error(`taskset cannot place process ${pid} on processor ${processors}`);
}

/** Places a program that is measured. */
export function pinSubject(pid: number): void {
  if (plan !== undefined) pin(pid, plan.subject);
}

/** Places a sender or a sink. */
export function pinLoad(pid: number): void {
  if (plan !== undefined) pin(pid, plan.load);
}
