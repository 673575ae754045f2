/** Answers what management pages ask the store: see questions.ts. */
import { OperatorError } from "../shared/errors.ts";
import { compilePattern } from "../shared/pattern.ts";
import { History, type HistoryOptions } from "./history.ts";
import type { Answers, Question } from "./questions.ts";
import { SeriesQuery } from "./series-query.ts";
import type { Store } from "./store.ts";
import { Tails } from "./tails.ts";

/** An answer, or what is wrong with the question. */
export type StoreAnswer =
  | { readonly answer: Answers[Question["kind"]] }
  | {
      readonly error: string;
    };

/** Searches at a time; all but one of them wait. */
const SEARCHES_MAX = 64;
/** For how long a page waits: nobody asks any more for what is found later. */
const PATIENCE_MS = 5000;

export class StoreAnswers {
  /** Rows as they are emitted go in here. */
  readonly history: History;
  /** Snapshots as they are merged go in here. */
  readonly tails = new Tails();
  readonly #store: Store;
  readonly #query: SeriesQuery;
  /** Resolves when the searches so far are done. */
  #searching: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(store: Store, history: HistoryOptions) {
    this.#store = store;
    this.#query = new SeriesQuery(store.intervals, store.kept);
    this.history = new History(history);
  }

  /** Answers a question; a long search lets others of the thread have their turn. */
  async answer(question: Question): Promise<StoreAnswer> {
    try {
      return { answer: await this.#find(question) };
    } catch (error) {
      if (error instanceof OperatorError) return { error: error.message };
      throw error;
    }
  }

  async #find(question: Question): Promise<Answers[Question["kind"]]> {
    if (question.kind === "series") return this.#search(() => this.#query.find(question));
    if (question.kind === "delete") return this.#search(() => this.#query.delete(question));
    if (question.kind === "history") {
      const pattern = compilePattern(question.match);
      return this.#search(async () => ({ intervals: await this.history.find(pattern, question.limit) }));
    }
    if (question.kind === "offenders") return this.#store.offenders(question.limit);
    if (question.kind === "untail") this.tails.remove(question.tail);
    else if (!this.tails.add(question.tail, question.match)) {
      throw new OperatorError("too many tails are on; turn one off");
    }
    return {};
  }

  /** One search at a time, so that many of them take no more of the thread than one. */
  async #search<Found>(find: () => Promise<Found>): Promise<Found> {
    if (this.#waiting >= SEARCHES_MAX) throw new OperatorError("too many searches wait; try again");
    this.#waiting += 1;
    const askedMs = performance.now();
    const before = this.#searching;
    let done: () => void = () => {};
    this.#searching = new Promise((resolve) => {
      done = resolve;
    });
    try {
      await before;
      if (performance.now() - askedMs > PATIENCE_MS)
        throw new OperatorError("the search had to wait too long");
      return await find();
    } finally {
      this.#waiting -= 1;
      done();
    }
  }
}
