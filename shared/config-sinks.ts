/** The rows of the option table for sinks: [carbon], [carbon.NAME], [file], [repeater], [console]. */
import { bindAddress, remoteAddress, repeaterAddress } from "./config-addresses.ts";
import { ADDRESSES_OR_NONE, inherit, many, one, type ScalarOption } from "./config-rows.ts";
import { choice, count, decimal, duration, path, size, type ValueType, yesNo } from "./config-values.ts";

/** A value that a reload can change. */
function soft<Value, const Property extends string>(
  property: Property,
  type: ValueType<Value>,
  fallback: string,
  doc: string,
): ScalarOption<Value, Property> {
  return one(property, type, fallback, doc, true);
}

/** [carbon]. */
export const CARBON = {
  address: many(
    "address",
    remoteAddress,
    "127.0.0.1:2003",
    "Carbon's port; each address gets all rows",
    ADDRESSES_OR_NONE,
    true,
  ),
  protocol: soft("protocol", choice(["tcp", "udp", "tls"]), "tcp", "How rows travel"),
  format: soft("format", choice(["plaintext", "pickle"]), "plaintext", "How rows are written"),
  "bind-address": soft("bindAddress", bindAddress, "", "Address that connections come from"),
  connections: soft("connections", count(1, 64), "1", "Connections at a time to each address"),
  "packet-bytes": soft("packetBytes", count(64, 65_507), "1400", "Bytes of a datagram (protocol = udp)"),
  "connect-timeout": soft("connectTimeoutMs", duration("10ms", "5m"), "3s", "Wait for a connection"),
  "write-timeout": soft("writeTimeoutMs", duration("10ms", "5m"), "10s", "Wait for carbon to take bytes"),
  "ack-timeout": soft("ackTimeoutMs", duration("10ms", "5m"), "10s", "Wait for carbon to read to the end"),
  "retry-delay": soft("retryDelayMs", duration("1ms", "1h"), "250ms", "First pause after a failure"),
  "retry-delay-multiplier": soft("retryDelayMultiplier", decimal(1, 100), "2", "Growth of the pauses"),
  "retry-delay-max": soft("retryDelayMaxMs", duration("1ms", "1h"), "10s", "Longest pause"),
  "queue-bytes": soft("queueBytesMax", size("64k", "64g"), "256m", "Rows that may wait in memory"),
  "queue-age": soft("queueAgeMs", duration("1s", "720h"), "1h", "Age at which waiting rows are dropped"),
  "spool-dir": soft("spoolDir", path, "", "Folder in which rows wait that memory has no room for"),
  "spool-bytes": soft("spoolBytesMax", size("1m", "1024g"), "1g", "Bytes of that folder"),
  "chunk-bytes": soft("chunkBytes", size("4k", "64m"), "1m", "Rows sent over one connection"),
  "tls-ca": soft("tlsCa", path, "", "Certificates (PEM) to trust; empty for those of the system"),
  "tls-cert": soft("tlsCert", path, "", "Certificate (PEM) to show"),
  "tls-key": soft("tlsKey", path, "", "Key (PEM) of that certificate"),
  "tls-verify": soft("tlsVerify", yesNo, "yes", "Whether carbon's certificate must be good"),
};

/** [carbon.NAME]: a carbon of its own; what it does not say is as in [carbon]. */
export const NAMED_CARBON = {
  address: many(
    "address",
    remoteAddress,
    "",
    "Carbon's port; each address gets all rows",
    ADDRESSES_OR_NONE,
    true,
  ),
  protocol: inherit(CARBON.protocol, "carbon"),
  format: inherit(CARBON.format, "carbon"),
  "bind-address": inherit(CARBON["bind-address"], "carbon"),
  connections: inherit(CARBON.connections, "carbon"),
  "packet-bytes": inherit(CARBON["packet-bytes"], "carbon"),
  "connect-timeout": inherit(CARBON["connect-timeout"], "carbon"),
  "write-timeout": inherit(CARBON["write-timeout"], "carbon"),
  "ack-timeout": inherit(CARBON["ack-timeout"], "carbon"),
  "retry-delay": inherit(CARBON["retry-delay"], "carbon"),
  "retry-delay-multiplier": inherit(CARBON["retry-delay-multiplier"], "carbon"),
  "retry-delay-max": inherit(CARBON["retry-delay-max"], "carbon"),
  "queue-bytes": inherit(CARBON["queue-bytes"], "carbon"),
  "queue-age": inherit(CARBON["queue-age"], "carbon"),
  "spool-dir": inherit(CARBON["spool-dir"], "carbon"),
  "spool-bytes": inherit(CARBON["spool-bytes"], "carbon"),
  "chunk-bytes": inherit(CARBON["chunk-bytes"], "carbon"),
  "tls-ca": inherit(CARBON["tls-ca"], "carbon"),
  "tls-cert": inherit(CARBON["tls-cert"], "carbon"),
  "tls-key": inherit(CARBON["tls-key"], "carbon"),
  "tls-verify": inherit(CARBON["tls-verify"], "carbon"),
};

/** [file]. */
export const FILE = {
  path: soft("path", path, "", "File that rows are appended to"),
  format: soft("format", choice(["tsv", "json"]), "tsv", "How a row is written"),
  "rotate-bytes": soft("rotateBytes", size("64k", "1024g"), "100m", "Size at which a new file is begun"),
  "rotate-interval": soft("rotateIntervalMs", duration("1m", "720h", true), "0", "Age at which one is"),
  keep: soft("keep", count(1, 10_000), "5", "Old files that are kept"),
  "queue-bytes": soft("queueBytesMax", size("64k", "64g"), "64m", "Rows that may wait"),
};

/** [repeater]. */
export const REPEATER = {
  address: many(
    "address",
    repeaterAddress,
    "",
    "Where datagrams and lines are sent on as they came",
    ADDRESSES_OR_NONE,
  ),
  "queue-bytes": one("queueBytesMax", size("64k", "1g"), "16m", "Bytes that may wait for each tcp address"),
  "connect-timeout": one("connectTimeoutMs", duration("10ms", "5m"), "3s", "Wait for a connection"),
};

/** [console]. */
export const CONSOLE = {
  rows: soft("rows", count(1, 10_000), "40", "Rows of a flush that are shown"),
};
