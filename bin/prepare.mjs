// Makes a fresh clone runnable: installs and builds what is missing or old, and is quiet otherwise.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MAJOR_MIN = 20;
const top = join(dirname(fileURLToPath(import.meta.url)), "..");
const lock = join(top, "package-lock.json");
const installedHash = join(top, "node_modules", ".prepared");
const stamp = join(top, "dist", ".stamp");
const SOURCE_FOLDERS = ["bin", "relay", "aggregator", "cluster", "shared", "test", "bench"];
const SOURCE_FILES = ["tsconfig.json", "bin/build.mjs", "package-lock.json"];

/** Ends with one line that says what to do. */
function fail(message) {
  console.error(`prepare: ${message}`);
  process.exit(1);
}

/** Time of the last change in milliseconds, or 0 for what does not exist. */
function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function readOrEmpty(path) {
  return changedAt(path) === 0 ? "" : readFileSync(path, "utf8");
}

/** Runs a program to its end. Its output goes to stderr, so that stdout belongs to what is started next. */
function run(command, args, failure) {
  const { status, error } = spawnSync(command, args, { cwd: top, stdio: ["ignore", 2, 2] });
  if (error !== undefined) fail(`${failure}: ${error.message}`);
  if (status !== 0) fail(`${failure} (exit code ${status})`);
}

function install() {
  const hash = createHash("sha256").update(readFileSync(lock)).digest("hex");
  if (readOrEmpty(installedHash) === hash) return;
  // npm's own record of the tree: newer than the lock when somebody ran npm by hand.
  const isInstalledByHand = changedAt(join(top, "node_modules", ".package-lock.json")) >= changedAt(lock);
  if (!isInstalledByHand) {
    console.error("prepare: installing dependencies (npm ci)");
    // The compilers are development dependencies; NODE_ENV=production would leave them out.
    const args = ["ci", "--include=dev", "--loglevel=error"];
    const failure = "npm ci failed; is the registry reachable?";
    const npm = process.env.npm_execpath;
    if (npm !== undefined && basename(npm) === "npm-cli.js") run(process.execPath, [npm, ...args], failure);
    else run("npm", args, failure);
  }
  writeFileSync(installedHash, hash);
}

/** Time of the newest change below a folder. Folders count too: they change when a file goes away. */
function newestIn(folder) {
  let newest = changedAt(folder);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) newest = Math.max(newest, newestIn(path));
    else if (entry.name.endsWith(".ts")) newest = Math.max(newest, changedAt(path));
  }
  return newest;
}

function build() {
  const sources = [
    ...SOURCE_FOLDERS.map((name) => join(top, name))
      .filter((path) => changedAt(path) > 0)
      .map(newestIn),
    ...SOURCE_FILES.map((name) => changedAt(join(top, name))),
  ];
  if (changedAt(stamp) >= Math.max(...sources)) return;
  console.error("prepare: building dist/ (npm run build)");
  const begunAt = new Date();
  run(process.execPath, [join("bin", "build.mjs")], "the build failed");
  // What was edited while the build ran is newer than this and will be built next time.
  utimesSync(stamp, begunAt, begunAt);
}

const major = Number(process.versions.node.split(".")[0]);
if (major < NODE_MAJOR_MIN)
  fail(`Node ${NODE_MAJOR_MIN} or newer is needed; this is ${process.versions.node}`);
install();
build();
