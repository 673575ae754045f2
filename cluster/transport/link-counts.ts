/** What is counted of the links between nodes. */

/** Counts of one direction's link, over all its connections. */
export interface LinkCounts {
  sentBytes: number;
  receivedBytes: number;
  sentMessages: number;
  receivedMessages: number;
  /** Messages that were not sent, as nobody was there or too many waited. */
  droppedMessages: number;
  /** Packets that were none, or unsound. */
  invalidPackets: number;
}

export function newLinkCounts(): LinkCounts {
  return {
    sentBytes: 0,
    receivedBytes: 0,
    sentMessages: 0,
    receivedMessages: 0,
    droppedMessages: 0,
    invalidPackets: 0,
  };
}
