// Runs the built tests: all of them, or those whose path contains one of the arguments.
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const top = join(dirname(fileURLToPath(import.meta.url)), "..");
const built = join(top, "dist", "test");
const FILE_TIMEOUT_MS = 120_000;
/** Black-box tests start daemons of several threads each, so more at a time would only fight for cores. */
const FILES_AT_A_TIME = 2;

/** A source that was removed leaves its compiled file behind; that one is no test any more. */
function hasSource(path) {
  return existsSync(join(top, "test", path.replace(/\.js$/, ".ts")));
}

const filters = process.argv.slice(2);
const files = (existsSync(built) ? readdirSync(built, { recursive: true }) : [])
  .map((path) => String(path))
  .filter((path) => path.endsWith(".test.js") && hasSource(path))
  .filter((path) => filters.length === 0 || filters.some((part) => path.split(sep).join("/").includes(part)))
  .sort()
  .map((path) => join(built, path));

let passed = 0;
let failed = 0;
if (files.length > 0) {
  const stream = run({ files, concurrency: FILES_AT_A_TIME, timeout: FILE_TIMEOUT_MS });
  stream.on("test:pass", ({ name, skip }) => {
    // A file that holds no test passes under its own name.
    if (!name.endsWith(".test.js") && skip === undefined) passed++;
  });
  stream.on("test:fail", ({ todo }) => {
    if (todo === undefined) failed++;
  });
  for await (const text of stream.compose(spec)) process.stdout.write(text);
}
if (passed === 0 && failed === 0) {
  console.error(
    `no test ran: nothing under ${relative(top, built)} matches ${filters.join(" ") || "*.test.js"}`,
  );
}
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
