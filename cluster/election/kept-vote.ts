/**
 * Term and vote of this member, in memory and on disk. Only what is on disk may be answered, claimed or
 * shown: a member that forgets a vote at a crash gives it twice.
 */
import type { Disk, Vote } from "../world.ts";

/** Terms above it are nonsense; it leaves room for counting on. */
export const TERM_MAX = 2 ** 50;

/** Whether a number that somebody sent can be a term. */
export function isTerm(term: number): boolean {
  return Number.isSafeInteger(term) && term >= 0 && term <= TERM_MAX;
}

function isSame(vote: Vote, other: Vote): boolean {
  return vote.term === other.term && vote.votedFor === other.votedFor;
}

export class KeptVote {
  readonly #save: Disk["saveVote"];
  readonly #onSettled: () => void;
  #current: Vote;
  #saved: Vote;
  #isSaving = false;

  /** onSettled: told when the newest was saved, or could not be; see isSaved. */
  constructor(saved: Vote, save: Disk["saveVote"], onSettled: () => void) {
    this.#current = saved;
    this.#saved = saved;
    this.#save = save;
    this.#onSettled = onSettled;
  }

  /** The newest term, which may not be on disk yet. It never goes down. */
  get term(): number {
    return this.#current.term;
  }

  /** Whom the vote of that term went to. */
  get votedFor(): string | undefined {
    return this.#current.votedFor;
  }

  /** The newest term on disk. */
  get savedTerm(): number {
    return this.#saved.term;
  }

  get isSaved(): boolean {
    return isSame(this.#current, this.#saved);
  }

  /**
   * Decides, and saves it where it is not on disk. One writing is under way at a time, and what was decided
   * meanwhile follows. What could not be saved stays decided: nobody else gets the vote of that term.
   */
  decide(vote: Vote): void {
    this.#current = vote;
    this.retry();
  }

  /** Saves what is not on disk yet, unless that is under way. */
  retry(): void {
    if (this.#isSaving || this.isSaved) return;
    this.#isSaving = true;
    const vote = this.#current;
    let isTold = false;
    this.#save(vote, (isSaved) => {
      if (isTold) return;
      isTold = true;
      this.#isSaving = false;
      if (isSaved) this.#saved = vote;
      if (isSame(this.#current, vote)) this.#onSettled();
      else this.retry();
    });
  }
}
