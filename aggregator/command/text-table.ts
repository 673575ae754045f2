/** Tables for a terminal: columns as wide as what stands in them. */
import { textWidth } from "../../shared/terminal/text-width.ts";

export interface Column {
  readonly title: string;
  /** Whether it stands at the right, as numbers do. */
  readonly isRight?: boolean;
}

const GAP = "  ";

/** Returns lines without blanks at their ends. rows: a text for each column, or fewer. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const titles = columns.map(({ title }) => title);
  const widths = columns.map((_, index) =>
    Math.max(...[titles, ...rows].map((row) => textWidth(row[index] ?? ""))),
  );
  return [titles, ...rows].map((row) =>
    columns
      .map(({ isRight = false }, index) => {
        const text = row[index] ?? "";
        const blanks = " ".repeat(widths[index]! - textWidth(text));
        return isRight ? blanks + text : text + blanks;
      })
      .join(GAP)
      .trimEnd(),
  );
}
