// Builds dist/: TypeScript through tsc, the kernels through the AssemblyScript compiler, then a stamp
// that prepare.mjs compares with the sources.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const top = join(dirname(fileURLToPath(import.meta.url)), "..");
const KERNELS = ["relay", "aggregator"];

/** A remark of the optimiser about itself, which tells nobody anything. */
const CHATTER = "Last converge was suboptimal.\n";

/** Runs a program of node_modules with the same Node; rejects with its name when it fails. */
function run(script, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(top, "node_modules", script), ...args], {
      cwd: top,
      stdio: ["inherit", "pipe", "pipe"],
    });
    for (const name of ["stdout", "stderr"]) {
      child[name].on("data", (text) => process[name].write(String(text).replace(CHATTER, "")));
    }
    child.on("error", reject);
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${script} exited with ${code}`))));
  });
}

/** Compiles one kernel entry. Release and debug differ only in optimisation and checks. */
function kernel(name, debug) {
  const out = join("dist", "shared", "kernel", debug ? `${name}.debug.wasm` : `${name}.wasm`);
  const options = debug ? ["--debug"] : ["-O3", "--converge"];
  return run("assemblyscript/bin/asc.js", [
    join("shared", "kernel", `${name}.ts`),
    "--outFile",
    out,
    "--runtime",
    "stub",
    "--importMemory",
    "--memoryBase",
    "1024",
    "--enable",
    "simd",
    "--use",
    "abort=",
    ...options,
  ]);
}

mkdirSync(join(top, "dist", "shared", "kernel"), { recursive: true });
const wanted = process.argv.slice(2);
const only = (name) => wanted.length === 0 || wanted.includes(name);
try {
  const jobs = [];
  if (only("typescript")) jobs.push(run("typescript/bin/tsc", ["-p", "tsconfig.json"]));
  if (only("kernels")) for (const name of KERNELS) jobs.push(kernel(name, false), kernel(name, true));
  await Promise.all(jobs);
} catch (error) {
  console.error(String(error.message ?? error));
  process.exit(1);
}
if (wanted.length === 0) writeFileSync(join(top, "dist", ".stamp"), `${new Date().toISOString()}\n`);
