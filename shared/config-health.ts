/** How the relay finds out whether a destination lives, as the configuration says it. */
import type { Parsed, ValueType } from "./config-values.ts";

/** A kind of health check and where it asks. */
export interface HealthCheck {
  readonly kind: "auto" | "none" | "refusal" | "tcp" | "http" | "statsd";
  /** 1..65535. Always there for http and statsd; tcp without it asks the destination's own port. */
  readonly port?: number;
  /** Of http only, with its slash. */
  readonly path?: string;
}

const PORT_MAX = 65_535;
const KINDS = "choose auto, none, refusal, tcp, tcp:PORT, http:PORT/PATH or statsd:PORT";

function parse(text: string): Parsed<HealthCheck> {
  if (text === "auto" || text === "none" || text === "refusal" || text === "tcp") {
    return { value: { kind: text } };
  }
  const [, kind, , rest = "", , path] = /^(tcp|http|statsd)(:([^/]*)((\/.*)?))?$/s.exec(text) ?? [];
  if (kind !== "tcp" && kind !== "http" && kind !== "statsd")
    return { fault: `is no health check; ${KINDS}` };
  const remedy = `write ${kind}:PORT${kind === "http" ? "/PATH" : ""}`;
  if (rest === "") return { fault: `has no port to ask; ${remedy}` };
  const port = /^\d+$/.test(rest) ? Number(rest) : Number.NaN;
  if (!(port >= 1 && port <= PORT_MAX)) {
    return { fault: `has the port "${rest}"; choose within 1..${PORT_MAX}` };
  }
  if (kind !== "http")
    return path === undefined ? { value: { kind, port } } : { fault: `has a path; ${remedy}` };
  // It becomes part of a request line.
  if (path !== undefined && !/^[!-~]*$/.test(path)) {
    return { fault: "has a character in its path that must be escaped there; write it as %XX" };
  }
  return { value: { kind, port, path: path ?? "/" } };
}

/** A health check, with what it asks. */
export const healthCheck: ValueType<HealthCheck> = {
  shape: "auto|none|refusal|tcp[:PORT]|http:PORT[/PATH]|statsd:PORT",
  parse,
  print: ({ kind, port, path }) => `${kind}${port === undefined ? "" : `:${port}`}${path ?? ""}`,
};
