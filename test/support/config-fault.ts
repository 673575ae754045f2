/** What the operator is told about a faulty configuration. */
import assert from "node:assert/strict";
import { type Override, parseConfig } from "../../shared/config.ts";
import { OperatorError } from "../../shared/errors.ts";

/**
 * Returns the faults of a text that is called x.ini, one a line and without the first line of the report.
 * Fails when the text is accepted, or exits with another code than 78.
 */
export function faultsOf(
  text: string,
  overrides: readonly Override[] = [],
  environment: Readonly<Record<string, string>> = {},
): string {
  try {
    parseConfig(text, "x.ini", overrides, undefined, environment);
  } catch (error) {
    assert.ok(error instanceof OperatorError, String(error));
    assert.equal(error.exitCode, 78);
    return error.message.split("\n  ").slice(1).join("\n");
  }
  assert.fail(`accepted: ${text}`);
}

/** Returns the warnings that a text gets. */
export function warningsOf(text: string, overrides: readonly Override[] = []): string[] {
  const warnings: string[] = [];
  parseConfig(text, "x.ini", overrides, (warning) => warnings.push(warning));
  return warnings;
}
