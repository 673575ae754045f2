/** Health of a TCP or TLS destination as the outlet sees it: whether its lasting connection stands. */
import { GOOD, type HealthTarget, type Probe, type ProbeContext, type Verdict } from "./probe.ts";

/** Repeats at each check what the outlet reported last; unknown before its first report. */
export class ConnectionProbe implements Probe {
  readonly #key: string;
  readonly #context: ProbeContext;

  constructor(target: HealthTarget, context: ProbeContext) {
    this.#key = target.key;
    this.#context = context;
  }

  check(report: (verdict: Verdict) => void): void {
    const isUp = this.#context.connection(this.#key);
    if (isUp === undefined) report({ kind: "unknown", fault: "not connected yet" });
    else report(isUp ? GOOD : { kind: "bad", fault: "not connected" });
  }

  close(): void {}
}
