/** The files of destinations that a configuration names: one watcher for each ring that has one. */
import type { RelayConfig } from "../../shared/config.ts";
import { MAIN_RING } from "../../shared/config-relay.ts";
import type { Log } from "../../shared/log.ts";
import type { DestinationLists } from "../plan.ts";
import { DestinationsFile, readDestinations } from "./destinations-file.ts";

export class DestinationFiles {
  readonly #log: Log;
  readonly #onChange: () => void;
  /** By path. */
  readonly #files = new Map<string, DestinationsFile>();

  /** onChange: called when a file has another valid list. */
  constructor(log: Log, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  /**
   * Reads the files that a configuration names, and watches them, too; see keep().
   * Throws OperatorError listing all faults of a file.
   */
  async open(config: RelayConfig): Promise<DestinationLists> {
    const paths = new Map(
      [{ name: MAIN_RING, destinationsFile: config.destinationsFile }, ...config.routes]
        .filter(({ destinationsFile }) => destinationsFile !== "")
        .map(({ name, destinationsFile }) => [name, destinationsFile] as const),
    );
    const lists = new Map<string, readonly string[]>();
    for (const [ring, path] of paths) {
      lists.set(ring, this.#files.has(path) ? await readDestinations(path) : await this.#watch(path));
    }
    return lists;
  }

  /** Ends the watch of all files that a configuration, the one in force, does not name. */
  keep(config: RelayConfig): void {
    const paths = new Set([config, ...config.routes].map(({ destinationsFile }) => destinationsFile));
    for (const [path, file] of this.#files) {
      if (paths.has(path)) continue;
      file.close();
      this.#files.delete(path);
    }
  }

  async #watch(path: string): Promise<readonly string[]> {
    const file = new DestinationsFile({ path, log: this.#log, onChange: () => this.#onChange() });
    const destinations = await file.start();
    this.#files.set(path, file);
    return destinations;
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }
}
