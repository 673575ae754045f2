/** Which probe a configured check means for a destination. A new kind of check is one line here. */
import { ConnectionProbe } from "./connection.ts";
import { ExchangeProbe } from "./exchange.ts";
import { httpDialogue } from "./http.ts";
import type { HealthCheck, HealthTarget, Probe, ProbeContext } from "./probe.ts";
import { RefusalProbe } from "./refusal.ts";
import { SocketFileProbe } from "./socket-file.ts";
import { statsdDialogue } from "./statsd.ts";
import { tcpDialogue } from "./tcp.ts";

type ProbeMaker = (target: HealthTarget, check: HealthCheck, context: ProbeContext) => Probe | undefined;

const tcp: ProbeMaker = (target, check, context) => {
  return new ExchangeProbe(tcpDialogue(hostOf(target), portOf(target, check)), context);
};

/** Every kind of check there is, for destinations that are a host and a port. */
const CHECKS: Readonly<Record<HealthCheck["kind"], ProbeMaker>> = {
  none: () => undefined,
  auto: (target, _check, context) =>
    target.protocol === "udp" ? new RefusalProbe(target, context) : new ConnectionProbe(target, context),
  // Over TCP a refusal shows when one connects; the same port of UDP may well have nobody.
  refusal: (target, check, context) =>
    target.protocol === "udp" ? new RefusalProbe(target, context) : tcp(target, check, context),
  tcp,
  http: (target, check, context) => {
    const host = hostOf(target);
    const dialogue = httpDialogue(host, portOf(target, check), target.name ?? host, check.path ?? "/");
    return new ExchangeProbe(dialogue, context);
  },
  statsd: (target, check, context) =>
    new ExchangeProbe(statsdDialogue(hostOf(target), portOf(target, check)), context),
};

/**
 * Makes the probe that a check means for a target, or undefined where nothing is looked at. A socket path
 * has no host to ask: there every check but `none` looks at the file.
 */
export function makeProbe(
  target: HealthTarget,
  check: HealthCheck,
  context: ProbeContext,
): Probe | undefined {
  if (target.protocol === "unixgram" && check.kind !== "none") return new SocketFileProbe(target);
  return CHECKS[check.kind](target, check, context);
}

function hostOf(target: HealthTarget): string {
  return target.host ?? "127.0.0.1";
}

function portOf(target: HealthTarget, check: HealthCheck): number {
  return check.port ?? target.port ?? 0;
}
