/** Health by a TCP connection: connect, perhaps ask something, read the answer, close. */
import { connect, type Socket } from "node:net";
import type { TimerHandle } from "../../shared/clock.ts";
import { type Probe, type ProbeContext, type Verdict, verdictOf } from "./probe.ts";

/** More bytes of an answer than this are not waited for. */
const ANSWER_BYTES_MAX = 4096;

/** What is said over a connection. */
export interface Dialogue {
  readonly host: string;
  readonly port: number;
  /** Written at once when connected; empty for nothing. */
  readonly request: string;
  /**
   * Judges what came so far, as Latin-1. Called first when connected, with an empty answer. isEnd: nothing
   * more will come. Returns undefined to wait for more, which at the end is taken for a bad answer.
   */
  judge(answer: string, isEnd: boolean): Verdict | undefined;
}

/** Opens one connection for each check. */
export class ExchangeProbe implements Probe {
  readonly #dialogue: Dialogue;
  readonly #context: ProbeContext;
  #socket: Socket | undefined;
  #timer: TimerHandle | undefined;

  constructor(dialogue: Dialogue, context: ProbeContext) {
    this.#dialogue = dialogue;
    this.#context = context;
  }

  check(report: (verdict: Verdict) => void): void {
    const { host, port, request } = this.#dialogue;
    const socket = connect({ host, port, noDelay: true });
    let answer = "";
    const end = (verdict: Verdict | undefined): void => {
      if (verdict === undefined || this.#socket !== socket) return;
      this.close();
      report(verdict);
    };
    this.#socket = socket;
    this.#timer = this.#context.clock.setTimer(this.#context.timeoutMs, () => {
      end({ kind: "bad", fault: "timeout" });
    });
    socket.unref();
    socket.setEncoding("latin1");
    socket.on("connect", () => {
      if (request !== "") socket.write(request);
      end(this.#dialogue.judge("", false));
    });
    socket.on("data", (piece: string) => {
      answer += piece;
      const isEnd = answer.length >= ANSWER_BYTES_MAX;
      end(this.#judge(answer.slice(0, ANSWER_BYTES_MAX), isEnd));
    });
    socket.on("end", () => end(this.#judge(answer, true)));
    socket.on("error", (error) => end(verdictOf(error)));
    socket.on("close", () => end({ kind: "bad", fault: "closed" }));
  }

  close(): void {
    this.#timer?.cancel();
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #judge(answer: string, isEnd: boolean): Verdict | undefined {
    const verdict = this.#dialogue.judge(answer, isEnd);
    return verdict === undefined && isEnd ? { kind: "bad", fault: "no answer" } : verdict;
  }
}
