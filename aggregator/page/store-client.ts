/** Asks the store's thread for the pages, one message there and one back. */
import { type Clock, systemClock, type TimerHandle } from "../../shared/clock.ts";
import type { Answers, Question } from "../questions.ts";

/** A question as it is posted to the store. */
export interface AskMessage {
  readonly kind: "ask";
  readonly id: number;
  readonly question: Question;
}

/** What the store posts back: an answer of the question's kind, or why there is none. */
export interface AnswerMessage {
  readonly kind: "answer";
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

/** Asks one question. Rejects with StoreFault when no answer comes. */
export type Ask = <Kind extends Question["kind"]>(
  question: Extract<Question, { readonly kind: Kind }>,
) => Promise<Answers[Kind]>;

/** Why there is no answer. */
export class StoreFault extends Error {
  readonly kind: "timeout" | "busy" | "refused";

  constructor(kind: "timeout" | "busy" | "refused", message: string) {
    super(message);
    this.kind = kind;
  }
}

/** The store may be sorting a large timer; a page is not worth a longer wait. */
const ANSWER_TIMEOUT_MS = 5_000;
const QUESTIONS_MAX = 64;

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (fault: StoreFault) => void;
  readonly timer: TimerHandle;
}

export class StoreClient {
  readonly #post: (message: AskMessage) => void;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  /** post: sends a message to the store's thread, which must not throw. */
  constructor(post: (message: AskMessage) => void, clock: Clock = systemClock) {
    this.#post = post;
    this.#clock = clock;
  }

  readonly ask: Ask = (question) => {
    if (this.#waiting.size >= QUESTIONS_MAX) {
      return Promise.reject(new StoreFault("busy", `${QUESTIONS_MAX} questions wait already; try again`));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(ANSWER_TIMEOUT_MS, () => {
        this.#waiting.delete(id);
        reject(new StoreFault("timeout", `the store has not answered within ${ANSWER_TIMEOUT_MS} ms`));
      });
      // The answer's type follows from the question's kind, by what the store promises.
      this.#waiting.set(id, { resolve: resolve as (answer: unknown) => void, reject, timer });
      this.#post({ kind: "ask", id, question });
    });
  };

  /** Takes an answer. One that comes too late is left alone. */
  take({ id, answer, error }: AnswerMessage): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.timer.cancel();
    if (error === undefined) waiting.resolve(answer);
    else waiting.reject(new StoreFault("refused", error));
  }

  /** Lets go of all that wait: the store ends. */
  close(): void {
    for (const { reject, timer } of this.#waiting.values()) {
      timer.cancel();
      reject(new StoreFault("refused", "the aggregator is stopping"));
    }
    this.#waiting.clear();
  }
}
