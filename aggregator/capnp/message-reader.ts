/** Reads messages of Rust peers, of either version. */
import { PeerMetric } from "./metric.ts";
import { ListView, Message, StructView } from "./reader.ts";
import { listMetrics1, readMetric1 } from "./schema-v1.ts";
import { isVersion2, listMetrics2, readMetric2 } from "./schema-v2.ts";

/** What a message turned out to be. */
export type MessageKind = "v1" | "v2" | "malformed";

/**
 * Takes one metric, which is overwritten afterwards. reason: DROP_NONE, or why it cannot be taken; then what
 * is in it means nothing.
 */
export type MetricTaker = (message: Message, metric: PeerMetric, reason: number) => void;

// One message is read at a time, from its beginning to its end.
const root = new StructView();
const element = new StructView();
const metrics = new ListView();
const metric = new PeerMetric();

/**
 * Hands over all metrics of a message. bytes: all of it, with its table. Never throws, whatever they hold.
 */
export function readMessage(bytes: Buffer, take: MetricTaker): MessageKind {
  const message = Message.open(bytes);
  if (message === undefined || message.root(root) !== "present") return "malformed";
  const isNew = isVersion2(message, root);
  const list = isNew ? listMetrics2 : listMetrics1;
  const read = isNew ? readMetric2 : readMetric1;
  if (!list(message, root, metrics)) return "malformed";
  for (let index = 0; index < metrics.count; index++) {
    message.element(metrics, index, element);
    take(message, metric, read(message, element, metric));
  }
  return isNew ? "v2" : "v1";
}
