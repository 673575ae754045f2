/**
 * Compares this relay's rings with those of its peers. Relays with different rings send one series to two
 * aggregators, and nothing else would show it.
 */
import type { Clock, TimerHandle } from "../../shared/clock.ts";
import { type HostPort, printHostPort } from "../../shared/config-addresses.ts";
import { type HostLookup, lookupFault, preferredAddress } from "../../shared/host-lookup.ts";
import type { Log } from "../../shared/log.ts";
import type { Random } from "../../shared/random.ts";
import { backgroundClock } from "../background-clock.ts";
import { NameLookup } from "../destinations/name-lookup.ts";
import { askRings, type Fingerprints, PageFault } from "./ring-page.ts";

/** Longest time of a lookup, and of a question, in milliseconds. */
const TIMEOUT_MS = 2_000;

/** What a watch over peers needs. */
export interface PeersOptions {
  readonly peers: readonly HostPort[];
  /** From the end of one round of questions to the start of the next, in milliseconds. */
  readonly peersIntervalMs: number;
  /** This relay's fingerprints by ring name, as they are now. */
  readonly ownRings: () => Fingerprints;
  readonly log: Log;
  readonly random: Random;
  readonly clock?: Clock;
  readonly lookup?: HostLookup;
  /** How long one peer is waited for, in milliseconds. */
  readonly timeoutMs?: number;
}

/** One peer as it was seen last. */
export interface PeerState {
  /** HOST:PORT as configured. */
  readonly peer: string;
  /** unknown: not asked yet. */
  readonly state: "unknown" | "same" | "differs" | "unreachable";
  /** Names of the rings that differ, or that only one of the two has; empty but for `differs`. */
  readonly rings: readonly string[];
  /** Wall clock since when it is in this state. */
  readonly sinceMs: number;
  /** Why it is unreachable; otherwise empty. */
  readonly fault: string;
}

interface Peer {
  readonly address: HostPort;
  state: PeerState;
  /** What differed when it was compared last, as it was logged; empty for nothing. */
  difference: string;
}

/** Asks from construction to close(). */
export class Peers {
  readonly #options: PeersOptions;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #names: NameLookup;
  readonly #peers: readonly Peer[];
  #timer: TimerHandle | undefined;
  #isClosed = false;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#clock = options.clock ?? backgroundClock;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#names = new NameLookup(this.#timeoutMs, this.#clock, options.lookup);
    const sinceMs = this.#clock.nowMs();
    this.#peers = options.peers.map((address) => ({
      address,
      state: { peer: printHostPort(address), state: "unknown", rings: [], sinceMs, fault: "" },
      difference: "",
    }));
    // Not all relays of a fleet that was started at once ask at once.
    if (this.#peers.length > 0) this.#roundIn(options.random.between(0, options.peersIntervalMs));
  }

  states(): PeerState[] {
    return this.#peers.map(({ state }) => state);
  }

  /** Asks no more; an answer under way is not heeded. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #roundIn(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer = this.#clock.setTimer(delayMs, () => {
      void this.#round().then(() => this.#roundIn(this.#options.peersIntervalMs));
    });
  }

  async #round(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => this.#ask(peer)));
  }

  async #ask(peer: Peer): Promise<void> {
    const { host: name, port } = peer.address;
    try {
      const host = preferredAddress(await this.#names.find(name)) ?? name;
      const theirs = await askRings({ name, host, port }, this.#timeoutMs, this.#clock);
      if (!this.#isClosed) this.#compare(peer, theirs);
    } catch (error) {
      if (this.#isClosed) return;
      const fault = error instanceof PageFault ? error.message : lookupFault(error);
      const isNew = peer.state.state !== "unreachable";
      this.#enter(peer, "unreachable", [], fault);
      // That it differed is not forgotten: it is the same or not when it answers again.
      if (isNew) this.#options.log.warn("relay.peer_unreachable", { peer: peer.state.peer, fault });
    }
  }

  #compare(peer: Peer, theirs: Fingerprints): void {
    const ours = this.#options.ownRings();
    const names = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].sort();
    const rings = names.filter((name) => ours[name] !== theirs[name]);
    const difference = rings.map((name) => `${name} ${ours[name] ?? "-"} ${theirs[name] ?? "-"}`).join(", ");
    const { log } = this.#options;
    const fields = { peer: peer.state.peer };
    if (peer.state.state === "unreachable") log.info("relay.peer_reached", fields);
    this.#enter(peer, rings.length === 0 ? "same" : "differs", rings, "");
    if (difference === peer.difference) return;
    peer.difference = difference;
    if (rings.length === 0) log.info("relay.ring_same", fields);
    else
      log.error("relay.ring_differs", {
        ...fields,
        rings,
        ours: pick(ours, rings),
        theirs: pick(theirs, rings),
      });
  }

  #enter(peer: Peer, state: PeerState["state"], rings: readonly string[], fault: string): void {
    const sinceMs = peer.state.state === state ? peer.state.sinceMs : this.#clock.nowMs();
    peer.state = { peer: peer.state.peer, state, rings, sinceMs, fault };
  }
}

function pick(fingerprints: Fingerprints, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, fingerprints[name] ?? "none"]));
}
