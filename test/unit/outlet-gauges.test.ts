// Held gauges: which lines replace which, and that none is lost between.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { GaugeTable, readGauge, splitGauges } from "../../relay/outlet/gauges.ts";
import type { Packet } from "../../relay/outlet/handoff.ts";

function packet(text: string, lines = text.split("\n").length - 1): Packet {
  return { bytes: Buffer.from(text, "latin1"), lines, takenMs: 1 };
}

test("which lines are gauges, and of which name", () => {
  const cases: readonly (readonly [string, string | undefined, boolean])[] = [
    ["a.b:1|g", "a.b", true],
    ["a.b:0.5e3|g|@0.1", "a.b", true],
    ["a:.5|g\r", "a", true],
    ["a:+1|g", "a", false],
    ["a:-1|g", "a", false],
    ["a;x=1:1|g", "a;x=1", true],
    ["a:1|g|#x:1,y:2", "a|#x:1,y:2", true],
    ["a:1|g|@1|#x:1", "a|#x:1", true],
    // Several values, or none: kept in their order, they replace nothing.
    ["a:1:2|g", "a", false],
    ["a:|g", "a", false],
    ["a:NaN|g", "a", false],
    ["a:1..2|g", "a", false],
    ["a:1|c", undefined, false],
    ["a:1|gx", undefined, false],
    ["a:1|g:2|c", undefined, false],
    ["a|g", undefined, false],
    ["", undefined, false],
  ];
  for (const [line, key, isAbsolute] of cases) {
    assert.deepEqual(readGauge(line), key === undefined ? undefined : { key, isAbsolute }, line);
  }
});

test("a packet is taken apart into gauges and the rest", () => {
  const { gauges, rest } = splitGauges(packet("a:1|c\nb:2|g\nc:3|ms\n\xff:4|g\n"));
  assert.deepEqual(
    gauges.map(({ line }) => line),
    ["b:2|g", "\xff:4|g"],
  );
  assert.equal(Buffer.from(rest!.bytes).toString("latin1"), "a:1|c\nc:3|ms\n");
  assert.equal(rest!.lines, 2);
  assert.equal(splitGauges(packet("b:2|g\n")).rest, undefined);
  const opaque = packet("b:2|g\n", 3);
  assert.deepEqual(splitGauges(opaque), { gauges: [], rest: opaque });
});

/** Levels after some lines, as an aggregator sees them. */
function levels(lines: readonly string[]): Map<string, number> {
  const result = new Map<string, number>();
  for (const line of lines) {
    const [name = "", value = ""] = line.slice(0, -2).split(":");
    const isChange = /^[+-]/.test(value);
    result.set(name, (isChange ? (result.get(name) ?? 0) : 0) + Number(value));
  }
  return result;
}

test("what is held says the same as all lines did, and every line is held or counted", () => {
  const lineArbitrary = fc
    .tuple(fc.constantFrom("a", "b", "c"), fc.constantFrom("", "+", "-"), fc.nat(100))
    .map(([name, sign, value]) => `${name}:${sign}${value}|g`);
  fc.assert(
    fc.property(
      fc.array(lineArbitrary, { maxLength: 60 }),
      fc.integer({ min: 1, max: 80 }),
      (lines, size) => {
        const table = new GaugeTable();
        let superseded = 0;
        for (const line of lines) superseded += table.put(readGauge(line)!, line, 1);
        assert.equal(table.lines + superseded, lines.length);
        const copied = table.copy(size).flatMap(textLines);
        const taken: string[] = [];
        for (let next = table.take(size, 5); next !== undefined; next = table.take(size, 5)) {
          assert.equal(next.lines, textLines(next).length);
          taken.push(...textLines(next));
        }
        assert.deepEqual(copied, taken);
        assert.deepEqual(new Map([...levels(taken)].sort()), new Map([...levels(lines)].sort()));
        assert.deepEqual([table.lines, table.bytes], [0, 0]);
      },
    ),
  );
});

function textLines({ bytes }: Packet): string[] {
  return Buffer.from(bytes).toString("latin1").split("\n").slice(0, -1);
}
