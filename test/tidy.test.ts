/** The house rules that a machine can check. Each test lists every offence, not only the first. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, posix, sep } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const LINES_MAX = 350;
const COLUMNS_MAX = 110;
const PRODUCT_FOLDERS = ["bin", "relay", "aggregator", "cluster", "shared"];
const FOLDERS = [...PRODUCT_FOLDERS, "test", "bench"];
const KERNEL_FOLDER = "shared/kernel/";
/** Names that say nothing about what is inside. */
const BANNED_NAMES = ["util", "utils", "helper", "helpers", "types", "common", "misc", "index"];

const distTest = dirname(fileURLToPath(import.meta.url));
const top = findTop(distTest);

/** The nearest folder upwards that holds the package. */
function findTop(folder: string): string {
  return existsSync(join(folder, "package.json")) ? folder : findTop(dirname(folder));
}

/** One source file. path: from the repository's top, with forward slashes. */
interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** The text without comments, for rules about code. */
  readonly code: string;
  /** Module names and relative paths that it mentions as imports, dynamic imports or worker files. */
  readonly references: readonly string[];
}

function readSource(path: string): Source {
  const text = readFileSync(join(top, path), "utf8");
  const code = text.replace(/\/\*.*?\*\//gs, "").replace(/(^|[\s;{}(])\/\/.*$/gm, "$1");
  const references = [
    ...code.matchAll(/\bfrom\s*"([^"\s,;]+)"/g),
    ...code.matchAll(/\b(?:import|require)\s*\(?\s*"([^"\s,;]+)"/g),
    ...code.matchAll(/"(\.{1,2}\/[^"\s]+\.(?:ts|js))"/g),
  ].map((match) => match[1]!);
  return { path, text, lines: text.split("\n"), code, references };
}

function listFolder(folder: string, ending: RegExp): string[] {
  if (!existsSync(join(top, folder))) return [];
  return readdirSync(join(top, folder), { recursive: true })
    .map((path) => posix.join(folder, String(path).split(sep).join("/")))
    .filter((path) => ending.test(path) && !path.startsWith("test/vectors/"))
    .sort();
}

const sources = FOLDERS.flatMap((folder) => listFolder(folder, /\.ts$/)).map(readSource);
const scripts = FOLDERS.flatMap((folder) => listFolder(folder, /\.mjs$/)).map(readSource);
const byPath = new Map(sources.map((source) => [source.path, source]));
const isProduct = (path: string): boolean => PRODUCT_FOLDERS.some((folder) => path.startsWith(`${folder}/`));
const isKernel = (path: string): boolean => path.startsWith(KERNEL_FOLDER);

interface Package {
  readonly bin: Record<string, string>;
  readonly scripts: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly optionalDependencies: Record<string, string>;
}
const manifest: Package = JSON.parse(readFileSync(join(top, "package.json"), "utf8"));

/** Source paths that a file refers to. Kernels leave the ending out; compiled names stand for sources. */
function targets(source: Source): string[] {
  return source.references
    .filter((reference) => reference.startsWith("."))
    .map((reference) => posix.join(posix.dirname(source.path), reference))
    .map((path) => (path.endsWith(".ts") ? path : `${path.replace(/\.js$/, "")}.ts`))
    .filter((path) => byPath.has(path));
}

/** Lists `path:line: text` for the lines of some sources that match. */
function findLines(among: readonly Source[], pattern: RegExp): string[] {
  return among.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
  );
}

/** Same as findLines, blind to comments; without line numbers, which comments would shift. */
function findCode(among: readonly Source[], pattern: RegExp): string[] {
  return among.flatMap(({ path, code }) =>
    code.split("\n").flatMap((line) => (pattern.test(line) ? [`${path}: ${line.trim()}`] : [])),
  );
}

function assertNone(offences: readonly string[], rule: string): void {
  assert.equal(offences.length, 0, `${rule}:\n  ${offences.join("\n  ")}`);
}

/** Layers from the bottom; a file may refer to its own layer and to those below it. */
function layer(path: string): number {
  if (isKernel(path)) return 0;
  if (path.startsWith("shared/")) return 1;
  if (path.startsWith("cluster/")) return 2;
  if (path.startsWith("relay/") || path.startsWith("aggregator/")) return 3;
  return path.startsWith("bin/") ? 4 : 5;
}

test("there is something to check", () => {
  assert.ok(sources.length > 10, `only ${sources.length} sources below ${top}`);
});

test("imports run bin, then relay or aggregator, then cluster, then shared, then kernel", () => {
  const offences = sources.flatMap((source) =>
    targets(source)
      .filter((target) => {
        const isSideways =
          layer(source.path) === 3 && layer(target) === 3 && folderOf(source.path) !== folderOf(target);
        return layer(target) > layer(source.path) || isSideways;
      })
      .map((target) => `${source.path} -> ${target}`),
  );
  assertNone(offences, "imports against the direction");
});

function folderOf(path: string): string {
  return path.slice(0, path.indexOf("/"));
}

test("the protocol of the cluster has no clock, chance, file or socket of its own", () => {
  const pure = sources.filter(
    ({ path }) =>
      /^cluster\/[^/]+\.ts$/.test(path) || /^cluster\/election\/(election|raft|split|static)\.ts$/.test(path),
  );
  const offences = pure.flatMap(({ path, code }) => {
    const found =
      /"node:[^"]*"|\bDate\b|Math\.random|\bset(?:Timeout|Interval|Immediate)\b|performance\./.exec(code);
    return found === null ? [] : [`${path}: ${found[0]}`];
  });
  assertNone(offences, "protocol code that reaches past its world");
});

test("kernel files import kernel files and nothing else", () => {
  const offences = sources
    .filter(({ path }) => isKernel(path))
    .flatMap((source) => {
      const own = new Set(targets(source).filter(isKernel)).size;
      return own === new Set(source.references).size
        ? []
        : [`${source.path}: ${source.references.join(", ")}`];
    });
  assertNone(offences, "imports that the kernel compiler cannot follow");
});

test("host files import from the kernels only what holds nothing but constants", () => {
  const offences = sources
    .filter(({ path }) => !isKernel(path))
    .flatMap((source) =>
      targets(source)
        .filter((target) => isKernel(target) && /\b(?:function|class|let)\b/.test(byPath.get(target)!.code))
        .map((target) => `${source.path} -> ${target}`),
    );
  assertNone(offences, "host files that import AssemblyScript");
});

test("only udp-mmsg.ts knows of koffi", () => {
  const users = sources.filter(({ references }) => references.includes("koffi")).map(({ path }) => path);
  assertNone(
    users.filter((path) => path !== "shared/udp-mmsg.ts"),
    "users of koffi",
  );
});

test("the product imports declared runtime dependencies and node:, nothing else", () => {
  const allowed = new Set([
    ...Object.keys(manifest.dependencies),
    ...Object.keys(manifest.optionalDependencies),
  ]);
  const offences = sources
    .filter(({ path }) => isProduct(path))
    .flatMap(({ path, references }) =>
      references
        .filter((name) => !name.startsWith(".") && !name.startsWith("node:") && !allowed.has(packageOf(name)))
        .map((name) => `${path}: ${name}`),
    );
  assertNone(offences, "imports that an installation without development dependencies lacks");
});

function packageOf(name: string): string {
  return name
    .split("/")
    .slice(0, name.startsWith("@") ? 2 : 1)
    .join("/");
}

test("each kernel module imports its memory and nothing else", async () => {
  const folder = join(distTest, "..", "shared", "kernel");
  const modules = readdirSync(folder).filter((name) => name.endsWith(".wasm"));
  assert.ok(modules.length > 0, `no kernel was built in ${folder}`);
  for (const name of modules) {
    const module = await WebAssembly.compile(readFileSync(join(folder, name)));
    const imports = WebAssembly.Module.imports(module).map(
      (one) => `${one.module}.${one.name} (${one.kind})`,
    );
    assert.deepEqual(imports, ["env.memory (memory)"], name);
  }
});

test("no type is switched off", () => {
  // The kernels' decorators are unknown to tsc, so @ts-expect-error is their way; it fails once not needed.
  assertNone(findLines(sources, /@ts-(?:ignore|nocheck)\b/), "checks switched off");
  assertNone(
    findCode(sources, /(?:[:<|&,]|\bas)\s*any\b(?=\s*(?:[;,)>=|&[\]{}]|$))/),
    "uses of the type that fits everything",
  );
});

test("files and lines have a length that can be read", () => {
  const all = [...sources, ...scripts];
  const longFiles = all.filter(({ lines }) => lines.length - 1 > LINES_MAX);
  assertNone(
    longFiles.map(({ path, lines }) => `${path}: ${lines.length - 1} lines`),
    `files above ${LINES_MAX} lines; is each still one noun?`,
  );
  const longLines = all.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) => ([...line].length > COLUMNS_MAX ? [`${path}:${index + 1}`] : [])),
  );
  assertNone(longLines, `lines above ${COLUMNS_MAX} columns`);
});

test("file names are kebab-case nouns that say what is inside", () => {
  const offences = sources.filter(({ path }) => {
    const name = basename(path).replace(/(?:\.test|\.d)?\.ts$/, "");
    return BANNED_NAMES.includes(name) || !/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name);
  });
  assertNone(
    offences.map(({ path }) => path),
    "names to change",
  );
});

/** All paths that can be reached from some, those included. */
function reach(entries: readonly string[]): Set<string> {
  const reached = new Set<string>();
  const queue = entries.filter((path) => byPath.has(path));
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    queue.push(...targets(byPath.get(path)!));
  }
  return reached;
}

/** Sources of the programs that package.json names, as executables or in its scripts. */
function programs(): string[] {
  const commands = [...Object.values(manifest.bin), ...Object.values(manifest.scripts)].join(" ");
  return [...commands.matchAll(/dist\/(\S+)\.js/g)].map((match) => `${match[1]}.ts`);
}

test("every source is used", () => {
  const kernels =
    /KERNELS = \[([^\]]*)\]/.exec(readFileSync(join(top, "bin", "build.mjs"), "utf8"))?.[1] ?? "";
  const kernelEntries = [...kernels.matchAll(/"([^"]+)"/g)].map((match) => `${KERNEL_FOLDER}${match[1]}.ts`);
  const used = reach([...programs(), ...kernelEntries]);
  const tests = sources.map(({ path }) => path).filter((path) => path.endsWith(".test.ts"));
  const usedByTests = reach(tests);
  const offences = sources
    .map(({ path }) => path)
    .filter((path) => !path.endsWith(".d.ts"))
    .filter((path) => !used.has(path) && (isProduct(path) || !usedByTests.has(path)));
  assertNone(offences, "sources that no program refers to");
});

test("tests wait for events, not for time", () => {
  const tests = sources.filter(({ path }) => path.startsWith("test/") && !path.startsWith("test/support/"));
  assertNone(findCode(tests, /\bsetTimeout\(|\bsleep\(|"node:timers\/promises"/), "sleeps");
});

test("nothing is left to do", () => {
  assertNone(findLines([...sources, ...scripts], /\b(?:TO[D]O|FIX[M]E|XX[X])\b/), "marks of unfinished work");
});
