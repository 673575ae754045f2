/** Numbers that tell nodes, and runs of one node, apart. */
import { randomBytes } from "node:crypto";
import type { DiskFaults } from "./disk-faults.ts";
import { SlotFile } from "./slot-file.ts";

const COUNTER_SHIFT = 32n;
const COUNTER_MAX = 2 ** 32 - 1;

/** See NodeState. */
export interface Identity {
  readonly node: bigint;
  readonly incarnation: bigint;
}

/** What is on disk. */
interface Kept {
  readonly node: string;
  readonly starts: number;
}

function decodeKept(text: string): Kept | undefined {
  try {
    const { node, starts } = JSON.parse(text) as { node?: unknown; starts?: unknown };
    if (typeof node !== "string" || !/^[0-9a-f]{16}$/.test(node)) return undefined;
    return Number.isSafeInteger(starts) ? { node, starts: starts as number } : undefined;
  } catch {
    // No JSON: nothing that this program wrote.
    return undefined;
  }
}

/**
 * Counts this start of the node whose identity is in a file, and makes one where there is none. A node whose
 * file is damaged is a new one as far as its snapshots go. Throws what the file system says.
 */
export async function beginRun(path: string, faults: DiskFaults): Promise<Identity> {
  const opened = await SlotFile.open(path, (text) => decodeKept(text) !== undefined);
  if (opened === undefined || opened === "damaged") {
    if (opened === "damaged") faults.tell("identity", new Error("damaged; the node gets a new number"));
    const kept: Kept = { node: randomBytes(8).toString("hex"), starts: startsByClock() };
    await (await SlotFile.create(path, JSON.stringify(kept))).close();
    return identityOf(kept);
  }
  const { node, starts } = decodeKept(opened.text)!;
  const kept: Kept = { node, starts: starts + 1 };
  try {
    await opened.file.write(JSON.stringify(kept));
  } finally {
    await opened.file.close();
  }
  return identityOf(kept);
}

function identityOf({ node, starts }: Kept): Identity {
  return { node: BigInt(`0x${node}`), incarnation: incarnationOf(starts) };
}

/** A counter that nobody kept begins with the seconds since 1970: above whatever it was before. */
export function startsByClock(): number {
  return Math.floor(Date.now() / 1000);
}

/** Returns the counter, and chance below it for a folder that was copied or put back. */
export function incarnationOf(starts: number): bigint {
  const counter = BigInt(Math.min(starts, COUNTER_MAX));
  return (counter << COUNTER_SHIFT) | BigInt(randomBytes(4).readUInt32LE());
}
