/** Health of a unix datagram destination: whether its path is a socket. */
import { stat } from "node:fs/promises";
import { GOOD, type HealthTarget, type Probe, type Verdict, verdictOf } from "./probe.ts";

/**
 * A server that was killed leaves its path behind, which this check cannot tell from a live one: that takes
 * a connected unix datagram socket, which Node does not have.
 */
export class SocketFileProbe implements Probe {
  readonly #path: string;
  #isClosed = false;

  constructor(target: HealthTarget) {
    this.#path = target.path ?? "";
  }

  check(report: (verdict: Verdict) => void): void {
    void this.#look().then((verdict) => {
      if (!this.#isClosed) report(verdict);
    });
  }

  close(): void {
    this.#isClosed = true;
  }

  async #look(): Promise<Verdict> {
    try {
      return (await stat(this.#path)).isSocket() ? GOOD : { kind: "bad", fault: "no socket" };
    } catch (error) {
      return verdictOf(error as Error);
    }
  }
}
