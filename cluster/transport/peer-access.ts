/**
 * Who may talk to a node: a shared token, shown by both sides without ever being sent, certificates of an own
 * authority, or both.
 *
 * A client asks for a challenge, and answers it in the headers of its upgrade with
 *
 *    HMAC-SHA256(token, [side, challenge, client's nonce, client, server, digest of its hello])
 *
 * The server's answer has the same of its side, so that neither talks to anybody who does not know the token.
 * A challenge is good once and for three seconds; it is not remembered but sealed by a key of the process, so
 * that those who ask and never come cost nothing.
 */
import { createHmac, randomBytes, timingSafeEqual, X509Certificate } from "node:crypto";
import { OperatorError } from "../../shared/errors.ts";

/** What a node shows and asks for; without either, only loopback is served. */
export interface PeerAccess {
  /** Shared by all nodes; at least TOKEN_BYTES_MIN bytes of UTF-8. */
  readonly token?: string;
  readonly tls?: PeerTls;
}

/**
 * Contents of files in PEM form. The certificate has the node's name as a DNS name, or as its common name.
 */
export interface PeerTls {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** The authority that signed for all nodes. */
  readonly ca: string | Buffer;
}

export const TOKEN_BYTES_MIN = 32;
const CHALLENGE_LIVES_MS = 3000;
/** Challenges that were answered well and might be answered again; more would have to come in 3 s. */
const ANSWERED_MAX = 4096;
const CONTEXT = "bioyino-peer-1";
const CHALLENGE = /^([0-9a-z]{1,12})\.([0-9a-f]{32})\.([0-9a-f]{64})$/;
const DIGEST = /^[0-9a-f]{64}$/;
const NONCE = /^[0-9a-f]{32}$/;

/** Headers of an upgrade, and of its answer. */
export const ACCESS_HEADERS = {
  client: "x-bioyino-node",
  server: "x-bioyino-server",
  challenge: "x-bioyino-challenge",
  nonce: "x-bioyino-nonce",
  helloDigest: "x-bioyino-hello",
  proof: "x-bioyino-proof",
} as const;

/** What a proof is about. */
export interface Claim {
  /** Who proves it. */
  readonly side: "client" | "server";
  readonly challenge: string;
  /** The client's; random, so that a server cannot choose all that is signed. */
  readonly nonce: string;
  /** Names of the two nodes. */
  readonly client: string;
  readonly server: string;
  /** SHA-256 of what `side` says first, in hex. */
  readonly helloDigest: string;
}

/** Returns the proof of a claim, in hex. */
export function proofOf(token: string, claim: Claim): string {
  const { side, challenge, nonce, client, server, helloDigest } = claim;
  const signed = JSON.stringify([CONTEXT, side, challenge, nonce, client, server, helloDigest]);
  return createHmac("sha256", token).update(signed).digest("hex");
}

/** Whether a proof is that of a claim; its time does not tell how much of it is right. */
export function isProof(proof: string, token: string, claim: Claim): boolean {
  return DIGEST.test(proof) && timingSafeEqual(Buffer.from(proof), Buffer.from(proofOf(token, claim)));
}

/** Random text for a claim. */
export function newNonce(): string {
  return randomBytes(16).toString("hex");
}

/** Whether texts have the forms of a nonce and of a digest. */
export function isClaimText(nonce: string, helloDigest: string): boolean {
  return NONCE.test(nonce) && DIGEST.test(helloDigest);
}

/** The challenges of one process. */
export class Challenges {
  readonly #seal = randomBytes(32);
  /** Answered ones and when they end by themselves, oldest first. */
  readonly #answered = new Map<string, number>();

  /** nowMs: monotonic clock. */
  issue(nowMs: number): string {
    const front = `${Math.floor(nowMs).toString(36)}.${randomBytes(16).toString("hex")}`;
    return `${front}.${this.#sealOf(front)}`;
  }

  /** Whether it was issued here, in time, and not answered before. */
  isOpen(challenge: string, nowMs: number): boolean {
    const [, issued, random, seal] = CHALLENGE.exec(challenge) ?? [];
    if (issued === undefined || seal === undefined) return false;
    const isOwn = timingSafeEqual(Buffer.from(seal), Buffer.from(this.#sealOf(`${issued}.${random}`)));
    return (
      isOwn && nowMs - Number.parseInt(issued, 36) <= CHALLENGE_LIVES_MS && !this.#answered.has(challenge)
    );
  }

  /** Uses a challenge up, once its answer was right. Returns false where too many were in so short a time. */
  close(challenge: string, nowMs: number): boolean {
    for (const [old, endMs] of this.#answered) {
      if (endMs > nowMs) break;
      this.#answered.delete(old);
    }
    if (this.#answered.size >= ANSWERED_MAX) return false;
    // A millisecond more, as the moment in a challenge is cut off.
    this.#answered.set(challenge, nowMs + CHALLENGE_LIVES_MS + 1);
    return true;
  }

  #sealOf(front: string): string {
    return createHmac("sha256", this.#seal).update(front).digest("hex");
  }
}

/** Whether a certificate was made for a node: its name is among the DNS names, or is the common name. */
export function isCertificateOf(node: string, raw: Buffer | undefined): boolean {
  if (raw === undefined) return false;
  const { subjectAltName, subject } = new X509Certificate(raw);
  const alternatives = (subjectAltName ?? "").split(", ");
  return alternatives.includes(`DNS:${node}`) || subject.split("\n").includes(`CN=${node}`);
}

/** Throws OperatorError where the token is too short to be one. */
export function checkAccess({ token }: PeerAccess): void {
  if (token === undefined || Buffer.byteLength(token) >= TOKEN_BYTES_MIN) return;
  throw new OperatorError(
    `cluster.token has ${Buffer.byteLength(token)} bytes; expected at least ${TOKEN_BYTES_MIN}, ` +
      "such as the output of `openssl rand -hex 32`",
  );
}
