/** What a file sink has written as JSON lines, in a folder of its own. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A row as the file has it. */
export interface FileRow {
  readonly name: string;
  readonly value: number;
  /** Seconds. */
  readonly timestamp: number;
  readonly interval: number;
  readonly partial?: boolean;
}

/** An event or a service check as the file has it. */
export type FileItem = Readonly<Record<string, unknown>> & { readonly kind: string };

/** The file of one sink. */
export class RowFile {
  readonly path: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "rows-"));

  constructor() {
    this.path = join(this.#folder, "rows");
  }

  /** Keys of the section [file] that has rows written here. */
  get config(): string {
    return `path = ${this.path}\nformat = json`;
  }

  /** Rows so far; an unfinished line at the end is not there yet. */
  rows(): FileRow[] {
    return this.#lines().filter((line): line is FileRow => !("kind" in line));
  }

  /** Events and service checks so far. */
  items(): FileItem[] {
    return this.#lines().filter((line): line is FileItem => "kind" in line);
  }

  /** Sums over all intervals, by name. */
  sums(): Map<string, number> {
    const sums = new Map<string, number>();
    for (const { name, value } of this.rows()) sums.set(name, (sums.get(name) ?? 0) + value);
    return sums;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #lines(): (FileRow | FileItem)[] {
    if (!existsSync(this.path)) return [];
    const lines = readFileSync(this.path, "utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as FileRow | FileItem);
  }
}
