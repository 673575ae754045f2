/** An INI file that is being put together from another program's configuration. */
import { printLine } from "../../shared/config.ts";
import { OPTIONS, type SectionName } from "../../shared/config-options.ts";
import { assert } from "../../shared/errors.ts";

const WIDTH = 118;

/** Settings and remarks by section; printed in the order of the option table. */
export class IniDraft {
  /** Lines by section and key. */
  readonly #sections = new Map<SectionName, Map<string, string[]>>();
  readonly #left: string[] = [];
  readonly #head: string[];

  /** head: sentences that stand above everything. */
  constructor(head: readonly string[]) {
    this.#head = [...head];
  }

  /** Adds a sentence above everything. */
  warn(text: string): void {
    this.#head.push("", text);
  }

  /** Sets a key. path: `section.key`. remark: why, where that is not plain. */
  set(path: string, value: string, remark = ""): void {
    this.#add(path, remark, (key) => [printLine(key, value)]);
  }

  /** Sets a list, an item a line. */
  setList(path: string, items: readonly string[], remark = ""): void {
    this.#add(path, remark, (key) =>
      items.length === 0 ? [printLine(key, "")] : items.map((item) => printLine(`${key}[]`, item)),
    );
  }

  #add(path: string, remark: string, write: (key: string) => string[]): void {
    const dot = path.lastIndexOf(".");
    const section = path.slice(0, dot) as SectionName;
    const key = path.slice(dot + 1);
    const rows: Readonly<Record<string, unknown>> | undefined = OPTIONS[section];
    assert(rows !== undefined && Object.hasOwn(rows, key), `no option ${path}`);
    const keys = this.#sections.get(section) ?? new Map<string, string[]>();
    this.#sections.set(section, keys.set(key, [...(remark === "" ? [] : wrap(remark)), ...write(key)]));
  }

  /** Tells of an option that has no counterpart. written: as it was set. */
  leave(written: string, why: string): void {
    this.#left.push(...wrap(`${written}: ${why}`));
  }

  /** The file, with a line feed at its end. */
  print(): string {
    const blocks = (Object.keys(OPTIONS) as SectionName[]).flatMap((name) => {
      const said = this.#sections.get(name);
      const lines = Object.keys(OPTIONS[name]).flatMap((key) => said?.get(key) ?? []);
      return lines.length === 0 ? [] : [`[${name}]\n${lines.join("\n")}`];
    });
    const head = this.#head.flatMap((text) => (text === "" ? ["#"] : wrap(text))).join("\n");
    const left = this.#left.length === 0 ? [] : [`# Without a counterpart:\n#\n${this.#left.join("\n")}`];
    return `${[head, ...blocks, ...left].join("\n\n")}\n`;
  }
}

/** Breaks a sentence into lines of comment. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(" ")) {
    if (line.length + word.length >= WIDTH && line !== "#") {
      lines.push(line);
      line = "#  ";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}
