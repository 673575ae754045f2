/** What the sections [carbon] and [carbon.NAME] mean to a sink. */
import { Backoff } from "../../shared/backoff.ts";
import type { NamedCarbonConfig } from "../../shared/config.ts";
import { type HostPort, printHostPort } from "../../shared/config-addresses.ts";
import type { Random } from "../../shared/random.ts";
import type { CarbonRemote } from "./carbon-tls.ts";
import type { QueueBounds } from "./queue.ts";
import type { DoubtPolicy, SinkClass } from "./repetition.ts";
import type { SinkConfig } from "./sink.ts";

/** The values of one section, whichever it is. */
export interface CarbonSettings extends Omit<NamedCarbonConfig, "name"> {
  /** What the remote does with a second value: carbon keeps the last, what stands in for it may not. */
  readonly sinkClass?: SinkClass;
  readonly onDoubt?: DoubtPolicy;
}

/** The section of a sink's name, `carbon` or `carbon.NAME`; undefined where there is none. */
export function carbonSettings({ carbon }: SinkConfig, sinkName: string): CarbonSettings | undefined {
  if (sinkName === "carbon") return carbon;
  return carbon.others.find(({ name }) => sinkName === `carbon.${name}`);
}

/** How to reach one of the section's addresses. */
export function carbonRemote(settings: CarbonSettings, { host, port }: HostPort): CarbonRemote {
  const { protocol, bindAddress, tlsCa: ca, tlsCert: cert, tlsKey: key, tlsVerify: isVerified } = settings;
  const tls = protocol === "tls" ? { ca, cert, key, isVerified } : undefined;
  return { host, port, bindAddress, tls };
}

/** Pauses after failures. */
export function backoffOf(settings: CarbonSettings, random: Random): Backoff {
  const { retryDelayMs: delayMs, retryDelayMultiplier: multiplier, retryDelayMaxMs: delayMaxMs } = settings;
  return new Backoff({ delayMs, multiplier, delayMaxMs }, random);
}

/** Bounds of what waits in memory. */
export function boundsOf({ queueBytesMax, queueAgeMs }: CarbonSettings): QueueBounds {
  return { bytesMax: queueBytesMax, ageMs: queueAgeMs };
}

/** Bytes of disk for one of the sinks: those that share a folder share its bytes. */
export function spoolBytesOf({ carbon }: SinkConfig, { spoolDir, spoolBytesMax }: CarbonSettings): number {
  const sections: readonly CarbonSettings[] = [carbon, ...carbon.others];
  const sharers = sections.filter((section) => section.spoolDir === spoolDir);
  const sinkCount = sharers.reduce((sum, { address }) => sum + address.length, 0);
  return Math.floor(spoolBytesMax / Math.max(1, sinkCount));
}

/** The folder of one sink below `spool-dir`. It stays the same when the section gets a further address. */
export function spoolFolderName(sinkName: string, address: HostPort): string {
  return `${sinkName}@${printHostPort(address).replace(/[^A-Za-z0-9.-]/g, "_")}`;
}
