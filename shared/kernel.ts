/** Host side of the kernels: loads a WebAssembly module with a memory of its own. */
import { readFile } from "node:fs/promises";

/** A kernel with its memory. The exports' types are declared by the class that wraps them. */
export interface Kernel<Exports> {
  readonly memory: WebAssembly.Memory;
  readonly exports: Exports;
}

export interface KernelOptions {
  /** Upper bound of the memory in 64 KiB pages; growing beyond it traps. */
  readonly pagesMax: number;
  /** Loads the unoptimised build, which checks more. */
  readonly debug?: boolean;
}

const modules = new Map<string, Promise<WebAssembly.Module>>();

/** Compiles a kernel once for each thread; instances share the code. */
function compile(file: string): Promise<WebAssembly.Module> {
  let module = modules.get(file);
  if (module === undefined) {
    const url = new URL(`./kernel/${file}`, import.meta.url);
    module = readFile(url).then((bytes) => WebAssembly.compile(bytes));
    modules.set(file, module);
  }
  return module;
}

/**
 * Loads a kernel. name: file under kernel/ without its ending.
 * The memory is an ordinary one, so its base address stays when it grows, but views on it must be renewed.
 */
export async function loadKernel<Exports>(name: string, options: KernelOptions): Promise<Kernel<Exports>> {
  const module = await compile(options.debug === true ? `${name}.debug.wasm` : `${name}.wasm`);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: options.pagesMax });
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  return { memory, exports: instance.exports as Exports };
}
