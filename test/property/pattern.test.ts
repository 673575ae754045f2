/** Globs against a matcher that knows nothing of regular expressions, and any text as a pattern. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compilePattern, decodeName, encodeName, nameEncoding, patternFault } from "../../shared/pattern.ts";

/** A part of a glob: what is written, and all ways to match, the preferred one first. */
interface Part {
  readonly text: string;
  /** Yields the ends of what the part can stand for from `start` on, with captures so far. */
  match(name: string, start: number, captures: readonly string[]): Generator<Way>;
  /** How many captures the part has, whether they are made or not. */
  readonly captures: number;
}
type Way = readonly [end: number, captures: readonly string[]];

function one(text: string, isFit: (character: string) => boolean, captures: 0 | 1): Part {
  return {
    text,
    captures,
    *match(name, start, before) {
      const character = name[start];
      if (character === undefined || !isFit(character)) return;
      yield [start + 1, captures === 1 ? [...before, character] : before];
    },
  };
}

function many(text: string, isFit: (character: string) => boolean): Part {
  return {
    text,
    captures: 1,
    *match(name, start, before) {
      let end = start;
      while (end < name.length && isFit(name[end]!)) end += 1;
      for (; end >= start; end--) yield [end, [...before, name.slice(start, end)]];
    },
  };
}

function sequence(parts: readonly Part[]): Part {
  const [first, ...rest] = parts;
  if (first === undefined) {
    return {
      text: "",
      captures: 0,
      *match(_name, start, before) {
        yield [start, before];
      },
    };
  }
  const after = sequence(rest);
  return {
    text: first.text + after.text,
    captures: first.captures + after.captures,
    *match(name, start, before) {
      for (const [end, captures] of first.match(name, start, before)) yield* after.match(name, end, captures);
    },
  };
}

function choice(options: readonly Part[]): Part {
  const captures = options.reduce((sum, option) => sum + option.captures, 0);
  return {
    text: `{${options.map(({ text }) => text).join(",")}}`,
    captures,
    *match(name, start, before) {
      let skipped = before.length;
      for (const option of options) {
        const padded = [...before, ...new Array<string>(skipped - before.length).fill("")];
        for (const [end, made] of option.match(name, start, padded)) {
          const missing = before.length + captures - made.length;
          yield [end, [...made, ...new Array<string>(missing).fill("")]];
        }
        skipped += option.captures;
      }
    },
  };
}

const LETTERS = ["a", "b", ".", "\u00e9", "]", "-"];
const letter = fc.constantFrom(...LETTERS);
const plain = letter.map((text) => one(text, (character) => character === text, 0));
const wildcard = fc.constantFrom(
  many("*", (character) => character !== "."),
  many("**", () => true),
  one("?", (character) => character !== ".", 1),
);
const range = fc
  .tuple(fc.boolean(), fc.constantFrom("a", "ab", "a-b", "\u00e9", "a.", ".", "-", "b-\u00ff"))
  .map(([isNegated, members]) => {
    const isMember = (character: string): boolean =>
      members === "a-b"
        ? "ab".includes(character)
        : members === "b-\u00ff"
          ? character >= "b" && character <= "\u00ff"
          : members.includes(character);
    return one(
      `[${isNegated ? "!" : ""}${members}]`,
      (character) => (isNegated ? character !== "." && !isMember(character) : isMember(character)),
      0,
    );
  });
const { glob } = fc.letrec<{ part: Part; glob: Part; braces: Part }>((tie) => ({
  part: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    { arbitrary: plain, weight: 4 },
    { arbitrary: wildcard, weight: 3 },
    { arbitrary: range, weight: 1 },
    { arbitrary: tie("braces"), weight: 1 },
  ),
  // Stars that touch would be read as others.
  glob: fc
    .array(tie("part"), { maxLength: 5 })
    .map((parts) =>
      sequence(
        parts.filter((part, index) => !part.text.startsWith("*") || !parts[index - 1]?.text.startsWith("*")),
      ),
    ),
  braces: fc.array(tie("glob"), { minLength: 1, maxLength: 3 }).map(choice),
}));
const name = fc.array(letter, { maxLength: 8 }).map((letters) => letters.join(""));

/** The preferred way to match a whole name. */
function model(part: Part, text: string): readonly string[] | undefined {
  for (const [end, captures] of part.match(text, 0, [])) if (end === text.length) return captures;
  return undefined;
}

const REPLACEMENT = "$0|$1|$2|$3|$4|$5|$6|$7|$8|$9";

test("globs fit what a plain matcher fits, and capture the same", () => {
  let fitCount = 0;
  fc.assert(
    fc.property(glob, fc.array(name, { minLength: 1, maxLength: 5 }), (part, names) => {
      fc.pre(part.text !== "" && !part.text.startsWith("/"));
      const pattern = compilePattern(part.text);
      for (const text of names) {
        const captures = model(part, text);
        assert.equal(pattern.matches(text), captures !== undefined, `${part.text} on ${text}`);
        const expected =
          captures && [text, ...Array.from({ length: 9 }, (_, index) => captures[index] ?? "")].join("|");
        assert.equal(pattern.replace(text, REPLACEMENT), expected, `${part.text} on ${text}`);
        if (captures !== undefined) fitCount += 1;
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(fitCount > 300, `only ${fitCount} names fit`);
});

test("any text is a pattern or has a fault, and a pattern takes any name", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      ..."/ ( ) [ ] { } * ? + | ^ $ . , ! - \\ \\d \\pL (?: (?i) {2} {3,} a b \u00e9 \u{1f600}".split(" "),
    ),
    fc.string({ unit: "binary", maxLength: 3 }),
  );
  const written = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
  const pattern = fc.oneof(
    written,
    written.map((text) => `/${text}/`),
  );
  fc.assert(
    fc.property(pattern, fc.uint8Array({ maxLength: 30 }), (text, bytes) => {
      const fault = patternFault(text);
      if (fault !== undefined) return void assert.match(fault, /; /);
      const compiled = compilePattern(text);
      const read = decodeName(bytes, nameEncoding(bytes));
      assert.equal(compiled.replace(read, "x$1") !== undefined, compiled.matches(read));
    }),
    { numRuns: 3000 },
  );
});

test("reading and writing a name gives the same bytes", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.string({ unit: "grapheme", maxLength: 9 }).map((text) => new Uint8Array(Buffer.from(text))),
  );
  fc.assert(
    fc.property(bytes, (given) => {
      const back = encodeName(decodeName(given, nameEncoding(given)), given);
      assert.deepEqual(new Uint8Array(back!), given);
    }),
  );
});
