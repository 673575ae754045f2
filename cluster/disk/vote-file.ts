/** The file of a member's term and vote. */
import { OperatorError } from "../../shared/errors.ts";
import { isTerm } from "../election/kept-vote.ts";
import type { Vote } from "../world.ts";
import { SlotFile } from "./slot-file.ts";

/** The option that names the folder. */
export const STATE_KEY = "aggregator.state-dir";

const REMEDY =
  "a node that forgets its vote may give it twice: see that a majority of the others is up and has a " +
  "leader, then remove the whole folder and start this node, which learns the state from them";

function encodeVote({ term, votedFor }: Vote): string {
  return JSON.stringify({ term, votedFor });
}

function decodeVote(text: string): Vote | undefined {
  try {
    const { term, votedFor } = JSON.parse(text) as { term?: unknown; votedFor?: unknown };
    if (typeof term !== "number" || !isTerm(term)) return undefined;
    if (votedFor !== undefined && typeof votedFor !== "string") return undefined;
    return { term, votedFor };
  } catch {
    // No JSON: nothing that this program wrote.
    return undefined;
  }
}

export class VoteFile {
  readonly #file: SlotFile;
  /** What was in it. */
  readonly found: Vote;

  private constructor(file: SlotFile, found: Vote) {
    this.#file = file;
    this.found = found;
  }

  /**
   * Opens the file, or makes it for a folder that was not used before. Throws OperatorError where a vote was
   * lost, and what the file system says.
   */
  static async open(path: string, isUsed: boolean): Promise<VoteFile> {
    const opened = await SlotFile.open(path, (text) => decodeVote(text) !== undefined);
    if (opened === "damaged") {
      throw new OperatorError(`${STATE_KEY}: ${path} is damaged, or of another version; ${REMEDY}`);
    }
    if (opened !== undefined) return new VoteFile(opened.file, decodeVote(opened.text)!);
    if (isUsed) throw new OperatorError(`${STATE_KEY}: ${path} was removed; ${REMEDY}`);
    const vote: Vote = { term: 0, votedFor: undefined };
    return new VoteFile(await SlotFile.create(path, encodeVote(vote)), vote);
  }

  /** Resolves when it is on disk. */
  write(vote: Vote): Promise<void> {
    return this.#file.write(encodeVote(vote));
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
