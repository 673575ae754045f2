/** bioyino's parser vectors, with the table of where and why this parser differs on purpose. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_READING } from "../../aggregator/reading.ts";
import { type DecodedSeries, newIntake, outcome } from "../support/snapshots.ts";
import { readTsvVectors, unescapeField } from "../support/vectors.ts";

/**
 * Inputs (as written in the file) whose outcome differs from bioyino's, the reason, and what comes out here:
 * series as in the file, or `drop REASON`, joined by ` , `. R1 to R4 are the rules that bioyino breaks:
 * R1 resync at line feeds only, one reason per bad line, and nothing from a rejected line;
 * R2 no state between datagrams; R3 finite values, rates in (0, 1]; R4 CRLF, text members, clean names.
 */
const DIFFERENCES: Readonly<Record<string, readonly [rule: string, expected: string]>> = {
  "a:1|c|@2": ["R3 rate above 1", "drop bad_rate"],
  "a:abc|s": ["R4 set members are text", "a||s|abc|"],
  "lat:1|H1,11|@1": ["bioyino drops histograms after parsing", "drop bad_type"],
  "lat:1|H0.2e1,50e-1": ["bioyino drops histograms after parsing", "drop bad_type"],
  "a:1|H-5,5": ["bioyino drops histograms after parsing", "drop bad_type"],
  "disk.free.sda:-1e9|gdisk.free.sdb:-2e9|g": ["R1 lines end with LF", "drop bad_type"],
  "pool:+250|g|@0.4e-3pool:-250|g|@0.5": ["R1 lines end with LF", "drop bad_rate"],
  "a:1|cb:2|c": ["R1 lines end with LF", "drop bad_type"],
  "a:1|ss:1|s": ["R1 lines end with LF", "drop bad_type"],
  "a:1|gms:2|g": ["R1 lines end with LF", "drop bad_type"],
  "a\\tb:1|c": ["R4 white space would split a carbon line", "a_b||c|1|"],
  "a\\0b:1|c": ["R4 control characters", "drop control_character"],
  "a;x=a b:1|c": ["R4 white space would split a carbon line", "a|;x=a_b|c|1|"],
  "a:nan|ms": ["R3 not finite", "drop not_finite"],
  "a:NaN|g": ["R3 not finite", "drop not_finite"],
  "a:Infinity|c": ["R3 not finite", "drop not_finite"],
  "a:--5|c": ["one sign is enough", "drop bad_value"],
  "a:+-5|c": ["one sign is enough", "drop bad_value"],
  "a:--5|g": ["one sign is enough", "drop bad_value"],
  "a:1|c\\r\\nb:2|c": ["R4 CRLF", "a||c|1| , b||c|2|"],
  "a:1|c \\nb:2|c": ["R1 nothing from a bad line", "drop bad_type , b||c|2|"],
  "a:1|c#tag": ["R1 nothing from a bad line", "drop bad_type"],
  "a:1|c|@0.5|#env:prod\\nb:2|c": ["R1 nothing from a bad line", "drop unknown_section , b||c|2|"],
  "a:1|c|@0.1|@0.2": ["R1 nothing from a bad line", "drop unknown_section"],
  "a:1|c|@0.1|c:ci-1": ["R1 nothing from a bad line", "drop unknown_section"],
  "a:1|c|@1E-1": ["R1 nothing from a bad line", "drop bad_rate"],
  "a:b:1|c": ["R1 no metric from the middle of a line", "drop bad_value"],
  "a:1|mb:2|c": ["R1 no metric from the middle of a line", "drop bad_type"],
  "a:1|c|@0.55xx.count:1|c": ["R1 lines end with LF", "drop bad_rate"],
  "web\\Fhits:1|c": ["R2 datagrams are not joined", "drop no_value , hits||c|1|"],
  "web.hits:1|c\\F|@0.1": ["R2 datagrams are not joined", "web.hits||c|1| , drop no_value"],
  "web.hits:1|c|@0\\F.1": ["R2 datagrams are not joined", "drop bad_rate , drop no_value"],
  "a:1|m\\Fs": ["R2 datagrams are not joined", "drop bad_type , drop no_value"],
  ":t1\\n\\Fb:2|c": ["R2 nothing is reported again", "drop empty_name , b||c|2|"],
  "m4:+4|ms::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::nam5:5|ms": [
    "R1 nothing from a bad line",
    "drop bad_type",
  ],
};

/** Numbers of the file are in JavaScript's form; a rate was rounded to 32 bits there. */
function describeSeries({ key, type, weight, value, isAbsolute, free, members }: DecodedSeries): string {
  const semicolon = key.indexOf(";");
  const name = semicolon < 0 ? key : key.slice(0, semicolon);
  const tags = semicolon < 0 ? "" : key.slice(semicolon);
  const text = Buffer.from(`${name}\u0000${tags}`, "latin1").toString("utf8").replaceAll("|", "\\x7c");
  const rate = weight === 1 ? "" : String(Math.fround(1 / weight));
  const head = text.replace("\u0000", "|");
  if (type === "set") return `${head}|s|${members[0]}|${rate}`;
  if (type === "timer") return `${head}|ms|${value}|${rate}`;
  if (type === "counter") return `${head}|c|${weight === 1 ? value : value / weight}|${rate}`;
  if (isAbsolute) return `${head}|g|${value}|${rate}`;
  const change = free[0]!.change;
  return `${head}|g${change < 0 ? "-" : "+"}|${Math.abs(change)}|${rate}`;
}

/** Compares series text with numbers as numbers, so that 0.00001 and 1e-5 are equal. */
function normal(text: string): string {
  const match = /^(.*\|(?:c|ms|g[+-]?|s)\|)([^|]*)\|([^|]*)$/s.exec(text);
  if (match === null) return text;
  const number = (field: string) =>
    field === "" || Number.isNaN(Number(field)) ? field : String(Number(field));
  const rate = match[3] === "" ? "" : String(Math.fround(Number(match[3])));
  return `${match[1]}${number(match[2]!)}|${rate === "1" ? "" : rate}`;
}

const rows = readTsvVectors("bioyino-parse.tsv");

for (const debug of [true, false]) {
  test(`bioyino's parser vectors, ${debug ? "debug" : "release"} kernel`, async () => {
    for (const row of rows) {
      const input = row.input!;
      const limit = /max-tags-len=(\d+)/.exec(row.options ?? "");
      const tagsBytesMax = limit === null ? 9000 : Number(limit[1]);
      const intake = await newIntake({
        debug,
        tagsBytesMax,
        reading: { ...DEFAULT_READING, dialect: "bioyino" },
      });
      const datagrams = input.split("\\F").map((part) => unescapeField(part.replaceAll("\\0", "\\x00")));
      const { series, reasons } = outcome(intake, datagrams);
      const actual = [
        ...series.map(describeSeries).map(normal),
        ...reasons.map((reason) => `drop ${reason}`),
      ];
      const difference = DIFFERENCES[input];
      const parts = (difference?.[1] ?? row.expected!).split(" , ").filter((part) => part !== "none");
      const wanted = parts.filter((part) => part !== "error").map(normal);
      const isErrorOpen = difference === undefined && parts.includes("error");
      const actualSeries = actual.filter((part) => !isErrorOpen || !part.startsWith("drop "));
      assert.deepEqual(actualSeries.sort(), wanted.sort(), `${input} (${row.note})`);
      // bioyino counts failures; here every bad line counts once.
      if (isErrorOpen) assert.equal(reasons.length, 1, `${input}: one reason for one bad line`);
    }
  });
}

test("every difference names an input of the file, and differs", () => {
  const inputs = new Map(rows.map((row) => [row.input!, row.expected!]));
  for (const [input, [, expected]] of Object.entries(DIFFERENCES)) {
    assert.ok(inputs.has(input), input);
    assert.notEqual(inputs.get(input), expected, input);
  }
});
