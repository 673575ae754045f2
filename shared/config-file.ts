/** The text of a configuration file, if it can be one. */
import { closeSync, openSync, readSync } from "node:fs";
import { show } from "./config-report.ts";
import { EXIT_CONFIG, OperatorError } from "./errors.ts";

/** Larger files are not read: no configuration is. */
const FILE_BYTES_MAX = 2 ** 20;

/** Throws OperatorError for what is no readable text of a bearable size. */
export function readText(path: string): string {
  const refuse = (what: string): OperatorError => new OperatorError(`${show(path)}: ${what}`, EXIT_CONFIG);
  const bytes = Buffer.alloc(FILE_BYTES_MAX + 1);
  let length = 0;
  try {
    const file = openSync(path, "r");
    try {
      // A pipe hands over piece by piece; only 0 bytes are its end.
      for (let got = -1; got !== 0 && length < bytes.length; length += got) {
        got = readSync(file, bytes, length, bytes.length - length, null);
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw refuse(`cannot be read (${code ?? String(error)}); name a file that this user may read`);
  }
  if (length > FILE_BYTES_MAX) throw refuse("is larger than 1 MiB; name a configuration file");
  const content = bytes.subarray(0, length);
  const text = content.includes(0) ? undefined : decode(content);
  if (text === undefined) throw refuse("is no UTF-8 text; name a configuration file");
  return text;
}

function decode(content: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch {
    // The one thing that can go wrong is what the caller asks about.
    return undefined;
  }
}
