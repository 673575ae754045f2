/**
 * `bioyino check`: what a configuration needs of this machine, without opening a socket: files that it names,
 * folders that it writes to, addresses that it listens on, names that it sends to.
 */
import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { dirname } from "node:path";
import { createSecureContext } from "node:tls";
import type { SuiteConfig } from "../../shared/config.ts";
import { listenAddress, printHostPort } from "../../shared/config-addresses.ts";
import { EVERY_HOST } from "../../shared/every-host.ts";
import { readPlan, storePlan } from "../store-plan.ts";

const EVERYWHERE = [EVERY_HOST, "0.0.0.0", "::"];

/**
 * Returns what is wrong, a sentence each, with the key and the remedy; none when all is well. Throws
 * OperatorError for outputs that cannot be.
 */
export function checkMachine(config: SuiteConfig): string[] {
  const { aggregator, carbon, file } = config;
  // Names that collide and too many aggregates show only when the store's plan is made.
  readPlan(storePlan(config));
  const listeners = [
    { section: "aggregator", ...aggregator },
    ...aggregator.listeners.map((listener) => ({ section: `listener.${listener.name}`, ...listener })),
  ];
  const carbons = [
    { section: "carbon", ...carbon },
    ...carbon.others.map((other) => ({ section: `carbon.${other.name}`, ...other })),
  ].filter(({ section }) => aggregator.sinks.includes(section));
  return [
    ...listeners.flatMap(({ section, listen, tlsCert, tlsKey, tlsClientCa, hmacKeyFile }) => [
      ...listen.flatMap((address) => checkListen(`${section}.listen`, address)),
      ...checkTls(section, { tlsCert, tlsKey, tlsCa: tlsClientCa, caKey: "tls-client-ca" }),
      ...checkFile(`${section}.hmac-key-file`, hmacKeyFile),
    ]),
    ...checkHost("aggregator.management", aggregator.management),
    ...checkHost("aggregator.admin", aggregator.admin),
    ...carbons.flatMap(({ section, tlsCert, tlsKey, tlsCa, spoolDir, bindAddress }) => [
      ...checkTls(section, { tlsCert, tlsKey, tlsCa, caKey: "tls-ca" }),
      // A spool's folder is made where only the last part of its path is missing.
      ...checkFolder(`${section}.spool-dir`, existsSync(spoolDir) ? spoolDir : parentOf(spoolDir)),
      ...checkHost(`${section}.bind-address`, bindAddress),
    ]),
    ...(aggregator.sinks.includes("file") ? checkFolder("file.path", dirname(file.path)) : []),
  ];
}

function checkListen(key: string, address: SuiteConfig["aggregator"]["listen"][number]): string[] {
  if ("host" in address) return checkHost(key, address);
  return checkFolder(`${key} (${listenAddress.print(address)})`, dirname(address.path));
}

/** An address literal must be one of this machine; a name is looked up when the daemon starts. */
function checkHost(
  key: string,
  address: { readonly host: string; readonly port: number } | undefined,
): string[] {
  if (address === undefined || isIP(address.host) === 0 || EVERYWHERE.includes(address.host)) return [];
  // All of 127.0.0.0/8 is this machine, whatever its interfaces say.
  if (address.host.startsWith("127.")) return [];
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  if (own.some((one) => one.address === address.host)) return [];
  const shown = printHostPort(address);
  return [`${key} = ${shown}: this machine does not have the address; name one of its own, or 0.0.0.0`];
}

interface TlsFiles {
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly tlsCa: string;
  /** The key that names tlsCa. */
  readonly caKey: string;
}

function checkTls(section: string, { tlsCert, tlsKey, tlsCa, caKey }: TlsFiles): string[] {
  const faults = [
    ...checkFile(`${section}.tls-cert`, tlsCert),
    ...checkFile(`${section}.tls-key`, tlsKey),
    ...checkFile(`${section}.${caKey}`, tlsCa),
  ];
  if (faults.length > 0 || (tlsCert === "" && tlsCa === "")) return faults;
  try {
    createSecureContext({
      ...(tlsCert === "" ? {} : { cert: readFileSync(tlsCert), key: readFileSync(tlsKey) }),
      ...(tlsCa === "" ? {} : { ca: readFileSync(tlsCa) }),
    });
    return [];
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [`${section}.tls-cert: certificate and key do not work (${why}); name a matching pair in PEM`];
  }
}

function checkFile(key: string, path: string): string[] {
  if (path === "") return [];
  try {
    if (readFileSync(path).length > 0) return [];
    return [`${key} = ${path}: is empty; name a file with something in it`];
  } catch (error) {
    return [`${key} = ${path}: cannot be read (${codeOf(error)}); correct the path, or its permissions`];
  }
}

/** A folder must be there and writable. */
function checkFolder(key: string, path: string): string[] {
  if (path === "") return [];
  try {
    if (!statSync(path).isDirectory()) return [`${key}: ${path} is no folder; name one`];
    accessSync(path, constants.W_OK | constants.X_OK);
    return [];
  } catch (error) {
    return [`${key}: ${path} cannot be written to (${codeOf(error)}); make it, or correct its permissions`];
  }
}

function parentOf(path: string): string {
  return path === "" ? "" : dirname(path);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
