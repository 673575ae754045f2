/**
 * What a node must not forget, in a folder of its own (`aggregator.state-dir`):
 *
 *   lock.N        who has the folder
 *   vote          term and vote, in two slots
 *   identity      the node's number, and how often it was started
 *   interval      the length of the intervals that the registers are about
 *   registers.0, registers.1
 *
 * All of it has its room from the start, so elections go on with a full disk. A file system that copies on
 * writing, such as btrfs or zfs, does not keep that promise.
 */
import { existsSync } from "node:fs";
import { mkdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OperatorError } from "../../shared/errors.ts";
import type { Register } from "../register.ts";
import type { SavedState, Vote, WorldLog } from "../world.ts";
import { DiskFaults } from "./disk-faults.ts";
import { type FolderLock, lockFolder } from "./folder-lock.ts";
import { adoptIntervalLength } from "./interval-length.ts";
import { beginRun, type Identity } from "./node-identity.ts";
import type { DiskStatus, NodeState } from "./node-state.ts";
import { REGISTER_FILES, RegisterLog } from "./register-log.ts";
import { STATE_KEY, VoteFile } from "./vote-file.ts";

/**
 * Opens a folder, and makes it where there is none. Throws OperatorError when another process has it, when
 * it cannot be written, and when the vote in it cannot be read: a member without it might vote twice.
 * intervalMs: length of an interval; registers that are about ones of another length are removed. Without it
 * they are taken as they are.
 */
export async function openStateFolder(
  path: string,
  log: Pick<WorldLog, "warn">,
  intervalMs?: number,
): Promise<NodeState> {
  let lock: FolderLock | undefined;
  let folder = path;
  try {
    // Not recursive: a mistyped path shall be told of.
    for (const one of [dirname(path), path]) if (!existsSync(one)) await mkdir(one, { mode: 0o700 });
    folder = await realpath(path);
    lock = await lockFolder(folder);
    if (intervalMs !== undefined) await adoptIntervalLength(folder, intervalMs, REGISTER_FILES, log);
    return await StateFolder.open(folder, lock, log);
  } catch (error) {
    await lock?.release();
    if (error instanceof OperatorError) throw error;
    const remedy = "name a folder on a disk of this machine that the daemon may write to";
    throw new OperatorError(`${STATE_KEY} is ${path}: ${(error as Error).message}; ${remedy}`);
  }
}

class StateFolder implements NodeState {
  readonly saved: SavedState;
  readonly node: bigint;
  readonly incarnation: bigint;
  readonly #lock: FolderLock;
  readonly #voteFile: VoteFile;
  readonly #registers: RegisterLog;
  readonly #faults: DiskFaults;
  #votes: Promise<void> = Promise.resolve();

  private constructor(
    lock: FolderLock,
    voteFile: VoteFile,
    identity: Identity,
    registers: RegisterLog,
    faults: DiskFaults,
  ) {
    this.#lock = lock;
    this.#voteFile = voteFile;
    this.#registers = registers;
    this.#faults = faults;
    // A node that may have lost a register learns from the others what it said, as one without any does.
    const isEmpty = registers.found.length === 0 || registers.isDamaged;
    this.saved = { vote: voteFile.found, registers: registers.found, isEmpty };
    this.node = identity.node;
    this.incarnation = identity.incarnation;
  }

  static async open(folder: string, lock: FolderLock, log: Pick<WorldLog, "warn">): Promise<StateFolder> {
    const faults = new DiskFaults(folder, log);
    const identityPath = join(folder, "identity");
    const voteFile = await VoteFile.open(join(folder, "vote"), existsSync(identityPath));
    try {
      const identity = await beginRun(identityPath, faults);
      const registers = await RegisterLog.open(folder, (error) => faults.tell("registers", error));
      if (registers.isDamaged) faults.tell("registers", new Error("some of it is damaged or missing"));
      return new StateFolder(lock, voteFile, identity, registers, faults);
    } catch (error) {
      await voteFile.close();
      throw error;
    }
  }

  saveVote(vote: Vote, done: (isSaved: boolean) => void): void {
    this.#votes = this.#votes.then(async () => done(await this.#writeVote(vote)));
  }

  async #writeVote(vote: Vote): Promise<boolean> {
    try {
      await this.#voteFile.write(vote);
      return true;
    } catch (error) {
      this.#faults.count("vote", error);
      return false;
    }
  }

  /** Those that come while the disk is busy are written together. Votes do not wait for them. */
  saveRegister(interval: number, register: Register, done: (isSaved: boolean) => void): void {
    this.#registers.save(interval, register, (isSaved) => {
      if (!isSaved) this.#faults.failedWrites += 1;
      done(isSaved);
    });
  }

  dropRegisters(belowInterval: number): void {
    this.#registers.drop(belowInterval);
  }

  forgetRegister(interval: number): void {
    this.#registers.forget(interval);
  }

  status(): DiskStatus {
    const { failedWrites } = this.#faults;
    const { isBehind, isDamaged } = this.#registers;
    return { isLasting: true, failedWrites, isBehind, isDamaged };
  }

  async close(): Promise<void> {
    await this.#votes;
    await this.#registers.close();
    await this.#voteFile.close();
    await this.#lock.release();
  }
}
