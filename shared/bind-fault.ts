/** What an operator is told when a listen address cannot be had. */
import { OperatorError } from "./errors.ts";
import { describeAddress } from "./sockaddr.ts";
import type { ListenAddress } from "./udp.ts";

/** code: name of the system's error, such as EADDRINUSE. */
export function bindFault(address: ListenAddress, code: string): OperatorError {
  return new OperatorError(`listen ${describeAddress(address)}: ${reasonOf(code, "path" in address)}`);
}

function reasonOf(code: string, isPath: boolean): string {
  if (code === "EADDRINUSE") return "the address is in use; stop what listens there or choose another";
  if (code === "EADDRNOTAVAIL") return "this machine does not have the address; choose one that it has";
  if (code === "ENOENT") return "the folder does not exist; make it or choose another";
  if (code !== "EACCES") return `cannot bind (${code}); choose another address`;
  if (isPath) return "not permitted; choose a folder that this user may write to";
  return "not permitted; take a port above 1023 or grant CAP_NET_BIND_SERVICE";
}
