import assert from "node:assert/strict";
import { test } from "node:test";
import { describePlacements, placeNames } from "../../relay/command/explain.ts";
import type { Placement, Placer } from "../../relay/command/placement.ts";
import { readName, showName, showText } from "../../shared/name-text.ts";

const TARGET = {
  ring: "main",
  fingerprint: "3f2a",
  key: "app.hits",
  hash: "00ff",
  buckets: 3,
  bucket: 2,
  destinations: ["10.0.0.3:8125"],
  sentAs: "app.hits",
  why: [],
} as const;

/** Answers with the name alone, and keeps what it was asked. */
class EchoPlacer implements Placer {
  readonly rings = [];
  readonly asked: Buffer[] = [];

  place(name: Uint8Array): Placement {
    this.asked.push(Buffer.from(name));
    return { given: showName(name), targets: [] };
  }
}

test("names are taken out of whole lines, and escapes stand for bytes", () => {
  const placer = new EchoPlacer();
  const given = ["a.b", "a.b:1|c", "\\xff\\x3Ab", "\u00e9", "t\\tn\\\\x", "odd\\q\\x4", ":1|c", ""];
  placeNames(placer, given);
  assert.deepEqual(
    placer.asked.map((name) => name.toString("latin1")),
    ["a.b", "a.b", "\xff", "\xc3\xa9", "t\tn\\x", "odd\\q\\x4", "", ""],
  );
});

test("any bytes become printable text and come back the same", () => {
  const names = ["plain", "back\\slash", "\x1b[2J", "\u00e9\u6642", "\u202e", "\u2028", ""].map((text) =>
    Buffer.from(text),
  );
  for (let byte = 0; byte < 256; byte++) if (byte !== 0x3a) names.push(Buffer.from([0x61, byte, 0x62]));
  // Overlong, surrogate, beyond Unicode, cut short.
  for (const hex of ["c080", "eda080", "f4908080", "f09f98", "e28080ff"]) names.push(Buffer.from(hex, "hex"));
  for (const name of names) {
    const text = showName(name);
    assert.doesNotMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u);
    assert.deepEqual(Buffer.from(readName(text)), name, text);
  }
  assert.equal(showName(Buffer.from("\u00e9 \u6642")), "\u00e9 \u6642");
  assert.equal(showText("a\\b"), "a\\b");
  assert.equal(showText("a\nb"), "a\\x0ab");
});

test("a placement is a block with everything in it", () => {
  const mirror = {
    ...TARGET,
    ring: "test",
    destinations: ["10.1.0.1:8125", "10.1.0.2:8125", "10.1.0.3:8125"],
    sentAs: "copy.app.hits",
    why: ["match[0] app.* takes it", "share: 12 < 50"],
  };
  const text = describePlacements([{ given: "app.hits", targets: [TARGET, mirror] }]);
  assert.deepEqual(text.split("\n"), [
    "name app.hits",
    "  ring main (3f2a)",
    "    key          app.hits",
    "    hash         00ff",
    "    bucket       2 of 0..2",
    "    destination  10.0.0.3:8125",
    "    sent as      app.hits",
    "  ring test (3f2a)",
    "    key          app.hits",
    "    hash         00ff",
    "    bucket       2 of 0..2",
    "    destination  10.1.0.1:8125",
    "    replica      10.1.0.2:8125",
    "    replica      10.1.0.3:8125",
    "    sent as      copy.app.hits",
    "    because      match[0] app.* takes it",
    "                 share: 12 < 50",
    "",
  ]);
});

test("a dropped name says why, and one that no ring takes says so", () => {
  const text = describePlacements([
    { given: "debug.x", drop: { reason: "blocked", why: ["block[0] debug.* matches"] }, targets: [] },
    { given: "", targets: [] },
  ]);
  assert.deepEqual(text.split("\n"), [
    "name debug.x",
    "  dropped      blocked",
    "  because      block[0] debug.* matches",
    "",
    "name (empty)",
    "  goes nowhere: no ring takes it",
    "",
  ]);
});
