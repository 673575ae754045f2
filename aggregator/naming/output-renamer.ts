/**
 * Rules that give output names a new form: `PATTERN -> REPLACEMENT`, of which the first that fits applies.
 * They see the name as it would be written, with prefix and postfix and without tags.
 */
import { randomFillSync } from "node:crypto";
import { outputRenameFault } from "../../shared/config-checks-naming.ts";
import { EXIT_CONFIG, OperatorError } from "../../shared/errors.ts";
import { compilePattern, decodeName, encodeName, nameEncoding, type Pattern } from "../../shared/pattern.ts";

/** Longest name that a rule may make; room for it must be behind the name that is to be renamed. */
export const RENAMED_BYTES_MAX = 4096;
/** Names remembered: a power of two. */
const SLOT_COUNT = 1 << 21;
const SLOT_WORDS = 3;
/** Bytes of the new names that are kept, and of the buffer for them at first. */
const KEPT_BYTES_MAX = 64 << 20;
const KEPT_BYTES_INITIAL = 1 << 20;
const LENGTH_BYTES = 2;
/**
 * New names that found no room, after which all are forgotten: those that are kept may be long out of use.
 */
const UNKEPT_MAX = 4_194_304;

const ARROW = " -> ";
const SPACE = 0x20;
const DELETE = 0x7f;
const SEMICOLON = 0x3b;

interface RenameRule {
  readonly pattern: Pattern;
  readonly replacement: string;
}

/** What becomes of a name: new bytes, null where it stays, undefined where no name can come of it. */
type Verdict = Uint8Array | null | undefined;

// Codes of verdicts in the table; from RENAMED on, offsets of new names.
const UNKNOWN = 0;
const STAYS = 1;
const REFUSED = 2;
const RENAMED = 3;

export class OutputRenamer {
  readonly #rules: readonly RenameRule[];
  readonly #keptBytesMax: number;
  /**
   * What is known of names, at one of two places that come of their hashes: | hash u32 | other hash u32 |
   * code u32 |. Where both are taken, the later name drives the earlier one out. With 64 bits of hash under a
   * secret seed, no two names are taken for one another.
   */
  readonly #slots = new Uint32Array(SLOT_COUNT * SLOT_WORDS);
  readonly #seeds = randomFillSync(new Uint32Array(2));
  /** New names: | bytes u16 LE | name |. */
  #kept = Buffer.alloc(KEPT_BYTES_INITIAL);
  #keptBytes = 0;
  #unkept = 0;
  /** Rows that kept their name because what a rule made of it is no name. */
  refused = 0;

  /**
   * rules: as configured. keptBytesMax: bound of the new names that are kept, in bytes. Throws OperatorError
   * where a rule cannot be used.
   */
  constructor(rules: readonly string[], keptBytesMax: number = KEPT_BYTES_MAX) {
    this.#rules = rules.map(readRule);
    this.#keptBytesMax = keptBytesMax;
  }

  /**
   * Renames the name target[offset, end) in place; behind `offset` there must be room for RENAMED_BYTES_MAX.
   * Returns the new end.
   */
  rename(target: Buffer, offset: number, end: number): number {
    let hash = this.#seeds[0]!;
    let other = this.#seeds[1]!;
    for (let at = offset; at < end; at++) {
      hash = Math.imul(hash ^ target[at]!, 0x0100_0193);
      other = Math.imul(other ^ target[at]!, 0x9e37_79b1);
      other ^= other >>> 15;
    }
    hash = (hash ^ (hash >>> 15)) >>> 0;
    other = other >>> 0;
    const slot = this.#find(hash, other);
    const code = this.#slots[slot + 2]!;
    if (code === STAYS) return end;
    if (code >= RENAMED) return this.#putKept(target, offset, code - RENAMED);
    const verdict = code === REFUSED ? undefined : this.#judge(target.subarray(offset, end));
    if (code === UNKNOWN) {
      this.#slots[slot] = hash;
      this.#slots[slot + 1] = other;
      this.#slots[slot + 2] = this.#keep(verdict);
    }
    if (verdict === undefined) this.refused += 1;
    if (verdict === undefined || verdict === null) return end;
    target.set(verdict, offset);
    return offset + verdict.length;
  }

  /** Returns the place of a name, or one that it may have: its code is UNKNOWN then. */
  #find(hash: number, other: number): number {
    const slots = this.#slots;
    const first = (hash & (SLOT_COUNT - 1)) * SLOT_WORDS;
    if (slots[first] === hash && slots[first + 1] === other) return first;
    const second = (other & (SLOT_COUNT - 1)) * SLOT_WORDS;
    if (slots[second] === hash && slots[second + 1] === other) return second;
    const free = slots[first + 2] === UNKNOWN ? first : second;
    slots[free + 2] = UNKNOWN;
    return free;
  }

  #putKept(target: Buffer, offset: number, at: number): number {
    const kept = this.#kept;
    const bytes = kept.readUInt16LE(at);
    const from = at + LENGTH_BYTES;
    for (let index = 0; index < bytes; index++) target[offset + index] = kept[from + index]!;
    return offset + bytes;
  }

  #judge(name: Uint8Array): Verdict {
    const text = decodeName(name, nameEncoding(name));
    const rule = this.#rules.find(({ pattern }) => pattern.matches(text));
    if (rule === undefined) return null;
    // What is longer to begin with could hardly become short enough, and finding captures takes long.
    if (name.length > RENAMED_BYTES_MAX) return undefined;
    const renamed = rule.pattern.replace(text, rule.replacement);
    if (renamed === undefined || renamed === text) return null;
    const bytes = encodeName(renamed, name);
    return bytes !== undefined && isName(bytes) ? bytes : undefined;
  }

  /**
   * Keeps a verdict. Returns its code, or UNKNOWN where there is no room. The first new names stay: each
   * flush asks for the same ones in the same order, so that giving up the oldest for the newest would keep
   * none of them until it is asked for again.
   */
  #keep(verdict: Verdict): number {
    if (verdict === null) return STAYS;
    if (verdict === undefined) return REFUSED;
    const at = this.#keptBytes;
    const end = at + LENGTH_BYTES + verdict.length;
    if (end > this.#keptBytesMax) {
      this.#unkept += 1;
      if (this.#unkept >= UNKEPT_MAX) this.#forget();
      return UNKNOWN;
    }
    if (end > this.#kept.length) this.#kept = Buffer.concat([this.#kept], this.#kept.length * 2);
    this.#kept.writeUInt16LE(verdict.length, at);
    this.#kept.set(verdict, at + LENGTH_BYTES);
    this.#keptBytes = end;
    return RENAMED + at;
  }

  #forget(): void {
    this.#slots.fill(0);
    this.#keptBytes = 0;
    this.#unkept = 0;
  }
}

function readRule(rule: string): RenameRule {
  const fault = outputRenameFault(rule);
  if (fault !== undefined) throw new OperatorError(`aggregation.rename ${fault}`, EXIT_CONFIG);
  const arrow = rule.lastIndexOf(ARROW);
  return {
    pattern: compilePattern(rule.slice(0, arrow).trim()),
    replacement: rule.slice(arrow + ARROW.length).trim(),
  };
}

/** Whether bytes can be the name of a row. */
function isName(bytes: Uint8Array): boolean {
  if (bytes.length === 0 || bytes.length > RENAMED_BYTES_MAX) return false;
  return bytes.every((byte) => byte > SPACE && byte !== DELETE && byte !== SEMICOLON);
}
