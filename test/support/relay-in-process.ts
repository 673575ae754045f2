/** A relay within the test's own process, with a configuration that the test changes. */
import type { TestContext } from "node:test";
import { type Relay, startRelay } from "../../relay/relay.ts";
import { parseConfig } from "../../shared/config.ts";
import { Metrics } from "./daemons.ts";
import { EventLog } from "./event-log.ts";
import { waitFor } from "./wait-for.ts";

const COMMON = ["listen = udp://127.0.0.1:0", "management = 127.0.0.1:0", "flush-interval = 50ms"];

/** Of the outlet, which writes its log by itself. */
const QUIET = { level: "error", format: "json" } as const;

export class RelayInProcess {
  readonly log: EventLog;
  readonly relay: Relay;
  readonly #text: { keys: string };

  private constructor(relay: Relay, log: EventLog, text: { keys: string }) {
    this.relay = relay;
    this.log = log;
    this.#text = text;
  }

  /** Starts a relay that is stopped behind the test. keys: of [relay]; they count before the common ones. */
  static async start(t: TestContext, keys: readonly string[]): Promise<RelayInProcess> {
    const text = { keys: iniOf(keys) };
    const log = new EventLog();
    const readConfig = () => parseConfig(text.keys, "test").relay;
    const relay = await startRelay(readConfig(), log.log, { readConfig, logConfig: QUIET });
    t.after(() => relay.stop());
    return new RelayInProcess(relay, log, text);
  }

  /** Port of the first listener. */
  get port(): number {
    const [address] = this.relay.listenAddresses;
    return address !== undefined && "port" in address ? address.port : 0;
  }

  async reload(keys: readonly string[]): Promise<boolean> {
    this.#text.keys = iniOf(keys);
    return (await this.relay.reload(false)).ok;
  }

  async metrics(): Promise<Metrics> {
    return new Metrics(await (await fetch(`http://${this.relay.management}/metrics`)).text());
  }

  /** Reads the metrics until they satisfy the condition. */
  async until(what: string, condition: (metrics: Metrics) => boolean): Promise<void> {
    await waitFor(what, async () => condition(await this.metrics()));
  }
}

function iniOf(keys: readonly string[]): string {
  const names = new Set(keys.map((line) => line.split(" ", 1)[0]));
  const common = COMMON.filter((line) => !names.has(line.split(" ", 1)[0]));
  return `${["[relay]", ...common, ...keys].join("\n")}\n`;
}
