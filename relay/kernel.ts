/** The relay's kernel as the host calls it. */

/** Exports of shared/kernel/relay.ts. Addresses are offsets in its memory. */
export interface RelayExports {
  setup(
    memoryBase: bigint,
    destinations: number,
    routes: number,
    packetlen: number,
    textBytes: number,
    features: number,
    hashSeed: bigint,
  ): void;
  addRoute(
    hash: number,
    key: number,
    buckets: number,
    points: number,
    replicas: number,
    share: number,
    isMoving: boolean,
    prefixBytes: number,
    suffixBytes: number,
    tagsBytes: number,
  ): number;
  start(thinThreshold: number, thinPlaces: number): void;
  statesChanged(isPlacing: boolean): void;
  ringBuckets(ring: number): number;
  ringPoints(ring: number): number;
  destinationStates(): number;
  chooseDestinations(ring: number, name: number, bytes: number, out: number): number;
  chooseByHash(ring: number, hash: bigint, out: number): number;
  bucketOfHash(ring: number, hash: bigint): number;
  hashOf(ring: number, key: number, bytes: number): bigint;
  copyKey(ring: number, name: number, bytes: number, out: number): number;
  prefixText(route: number): number;
  suffixText(route: number): number;
  tagsText(route: number): number;
  hostText(): number;
  batchHeaders(): number;
  batchSlots(): number;
  consume(received: number): number;
  namesWaiting(): number;
  missName(index: number): number;
  missNameBytes(index: number): number;
  isInShare(index: number, route: number): number;
  isNameInShare(name: number, bytes: number, route: number): number;
  dropName(index: number, reason: number): void;
  beginVerdict(): void;
  targetName(index: number, route: number, renamedBytes: number): void;
  endVerdict(index: number): void;
  forgetNames(): void;
  namesTable(): number;
  namesSeed(): bigint;
  ownLine(nameBytes: number, bytes: number): void;
  flush(): void;
  sealedCount(): number;
  sealedDestination(index: number): number;
  readyDestinationCount(): number;
  readyDestination(index: number): number;
  packetHeaders(destination: number): number;
  packetCount(destination: number): number;
  releaseSealed(): void;
  linesRouted(destination: number): number;
  linesWaiting(destination: number): number;
  linesDown(destination: number): number;
  datagramsReceived(): number;
  bytesReceived(): number;
  received(): number;
  linesAccepted(): number;
  linesCopied(): number;
  linesDiverted(): number;
  linesDropped(reason: number): number;
  droppedNoColon(): number;
  droppedCut(): number;
  selfLines(): number;
}
