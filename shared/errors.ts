/** Exit code of a bad configuration (EX_CONFIG of sysexits.h). */
export const EXIT_CONFIG = 78;
/** Exit code of a bad command line. */
export const EXIT_USAGE = 2;
/** Exit code of a start-up that failed for any other reason the operator can mend, such as a port in use. */
export const EXIT_START = 1;

/**
 * A fault that the operator can mend: names what is wrong and how to put it right.
 * exitCode: what the process exits with when nothing handles it.
 */
export class OperatorError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT_START) {
    super(message);
    this.name = "OperatorError";
    this.exitCode = exitCode;
  }
}

/**
 * Checks an invariant, in production too: a broken one is a fault of this program, so the process ends and
 * its supervisor starts it again.
 * Throws Error with the given message when the claim is false.
 */
export function assert(claim: boolean, message: string): asserts claim {
  if (!claim) throw new Error(`invariant broken: ${message}`);
}
