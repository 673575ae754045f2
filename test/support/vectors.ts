/** Reads the vectors under test/vectors, which the originals made. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the vectors: they are not copied to where tests are built, so it lies somewhere above. */
function findVectors(folder: string): string {
  const vectors = join(folder, "test", "vectors");
  return existsSync(vectors) ? vectors : findVectors(dirname(folder));
}

/** Path of a vector file. */
export function vectorPath(name: string): string {
  return join(findVectors(dirname(fileURLToPath(import.meta.url))), name);
}

/** Reads a vector file in JSON; the caller knows its shape. */
export function readJsonVectors<Shape>(name: string): Shape {
  return JSON.parse(readFileSync(vectorPath(name), "utf8")) as Shape;
}

/** One row of a TSV file by column name, escapes still in place. */
export type VectorRow = Readonly<Record<string, string>>;

/** Reads a TSV file with a header line. */
export function readTsvVectors(name: string): VectorRow[] {
  const lines = readFileSync(vectorPath(name), "utf8").replace(/\n$/, "").split("\n");
  const columns = lines[0]!.split("\t");
  return lines.slice(1).map((line) => {
    const fields = line.split("\t");
    return Object.fromEntries(columns.map((column, index) => [column, fields[index] ?? ""]));
  });
}

/** Undoes the escapes `\t \r \n \\ \xHH` of a TSV field and returns its bytes; the rest is UTF-8. */
export function unescapeField(field: string): Buffer {
  const parts: Buffer[] = [];
  for (const [piece, hex, letter] of field.matchAll(/\\x([0-9a-fA-F]{2})|\\([trn\\])|[^\\]+/g)) {
    if (hex !== undefined) parts.push(Buffer.from(hex, "hex"));
    else if (letter !== undefined)
      parts.push(Buffer.from({ t: "\t", r: "\r", n: "\n", "\\": "\\" }[letter]!));
    else parts.push(Buffer.from(piece));
  }
  return Buffer.concat(parts);
}
