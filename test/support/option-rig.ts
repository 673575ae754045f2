/** Aggregators of one interval that ends with them: lines go in, the rows of a file sink come out. */
import type { TestContext } from "node:test";
import { chooseIo } from "../../shared/udp.ts";
import { type Metrics, sendDatagrams, startAggregator, type TestDaemon } from "./daemons.ts";
import { type FileRow, RowFile } from "./row-file.ts";

/** How datagrams are moved in tests that have nothing to do with it. */
export const IO = await chooseIo("auto");

/** Long enough that nothing is flushed before the end. */
const LONG = "interval = 1h";

/** An aggregator, and the file that its rows go to. */
export class OptionRig {
  readonly daemon: TestDaemon & { readonly configPath: string };
  readonly file: RowFile;

  private constructor(daemon: TestDaemon & { readonly configPath: string }, file: RowFile) {
    this.daemon = daemon;
    this.file = file;
  }

  /** config: INI sections. Without an interval or sinks in [aggregator], it has a long one and a file. */
  static async start(t: TestContext, config: Readonly<Record<string, string>> = {}): Promise<OptionRig> {
    const file = new RowFile();
    const keys = config.aggregator ?? "";
    const interval = /^interval =/m.test(keys) ? "" : LONG;
    const sinks = /^sinks/m.test(keys) ? "" : "sinks[] = file";
    const aggregator = [keys, interval, sinks].filter((text) => text !== "").join("\n");
    const daemon = await startAggregator(IO, { file: file.config, ...config, aggregator });
    // A daemon that outlives a test which failed would keep the file of tests from ending.
    t.after(async () => {
      await daemon.stop();
      file.remove();
    });
    return new OptionRig(daemon, file);
  }

  /** Sends a datagram for each text to the port of the listener with this index. */
  async send(texts: readonly string[], listener = 0): Promise<void> {
    await sendDatagrams(this.daemon.ports[listener]!, texts);
  }

  /** Waits until so many lines were received, and what was accepted of them has reached the store. */
  async settled(lineCount: number): Promise<Metrics> {
    return this.daemon.until(`${lineCount} lines`, (metrics) => {
      const received = metrics.sum("bioyino_lines_received_total");
      return received >= lineCount && metrics.sum("bioyino_samples_in_flight") === 0;
    });
  }

  /** Ends it, and returns all rows by name; a name that was written twice has the later value. */
  async rows(): Promise<Record<string, number>> {
    await this.daemon.stop();
    return byName(this.file.rows());
  }
}

/** Values by name. */
export function byName(rows: readonly FileRow[]): Record<string, number> {
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

/** Sends lines, each in a datagram of its own, to an aggregator that is so configured; returns its rows. */
export async function rowsOf(
  t: TestContext,
  config: Readonly<Record<string, string>>,
  lines: readonly string[],
): Promise<Record<string, number>> {
  const rig = await OptionRig.start(t, config);
  await rig.send(lines);
  await rig.settled(lines.length);
  return rig.rows();
}
