import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import {
  Challenges,
  type Claim,
  isCertificateOf,
  isClaimText,
  isProof,
  newNonce,
  proofOf,
} from "../../cluster/transport/peer-access.ts";
import { peerTls, TOKEN } from "../support/peer-rig.ts";

const claim: Claim = {
  side: "client",
  challenge: "c",
  nonce: newNonce(),
  client: "n2",
  server: "n1",
  helloDigest: "0".repeat(64),
};

test("a proof is good for its claim and token, and for no other", () => {
  const proof = proofOf(TOKEN, claim);
  assert.ok(isProof(proof, TOKEN, { ...claim }));
  assert.ok(!isProof(proof, `${TOKEN}.`, claim));
  const others: readonly Partial<Claim>[] = [
    { side: "server" },
    { challenge: "d" },
    { nonce: newNonce() },
    { client: "n3" },
    { server: "n2" },
    { client: "n1", server: "n2" },
    { helloDigest: "1".repeat(64) },
  ];
  for (const other of others) assert.ok(!isProof(proof, TOKEN, { ...claim, ...other }));
  for (const none of ["", "0", proof.slice(1), `${proof}0`, proof.toUpperCase(), "é".repeat(32)]) {
    assert.ok(!isProof(none, TOKEN, claim), none);
  }
});

test("names cannot be moved across the parts of a claim", () => {
  const one = proofOf(TOKEN, { ...claim, client: 'a","b', server: "c" });
  assert.notEqual(one, proofOf(TOKEN, { ...claim, client: "a", server: 'b","c' }));
});

test("a challenge is good for three seconds, here, until it is used up", () => {
  const challenges = new Challenges();
  const challenge = challenges.issue(10_000.7);
  assert.notEqual(challenge, challenges.issue(10_000.7));
  assert.ok(challenges.isOpen(challenge, 10_001));
  assert.ok(challenges.isOpen(challenge, 13_000));
  assert.ok(!challenges.isOpen(challenge, 13_001));
  assert.ok(!new Challenges().isOpen(challenge, 10_001));
  const [issued, random, seal] = challenge.split(".");
  const later = `${(20_000).toString(36)}.${random}.${seal}`;
  assert.ok(!challenges.isOpen(later, 20_000));
  assert.ok(!challenges.isOpen(`${issued}.${random}.${seal!.slice(1)}`, 10_001));
  assert.ok(!challenges.isOpen("", 10_001));
  assert.ok(challenges.close(challenge, 10_002));
  assert.ok(!challenges.isOpen(challenge, 10_002));
});

test("challenges that were used up are forgotten when they would have ended, and are bounded", () => {
  const challenges = new Challenges();
  const issued = Array.from({ length: 4097 }, () => challenges.issue(0));
  const closed = issued.filter((challenge) => challenges.close(challenge, 1));
  assert.equal(closed.length, 4096);
  assert.ok(!challenges.isOpen(issued[0]!, 2));
  assert.ok(!challenges.close(challenges.issue(3000), 3000));
  assert.ok(challenges.close(challenges.issue(3003), 3003));
  assert.ok(!challenges.isOpen(issued[0]!, 3003));
});

test("a certificate is that of its DNS names and its common name", () => {
  const raw = (name: "n1" | "n2" | "n3"): Buffer => new X509Certificate(peerTls(name).cert).raw;
  assert.ok(isCertificateOf("n1", raw("n1")));
  assert.ok(isCertificateOf("n2.test", raw("n2")));
  assert.ok(isCertificateOf("n3", raw("n3")));
  assert.ok(isCertificateOf("elsewhere.test", raw("n3")));
  for (const name of ["n2", "N1", "n", "", "DNS:n1", "n1, DNS:n2"]) {
    assert.ok(!isCertificateOf(name, raw("n1")), name);
  }
  assert.ok(!isCertificateOf("n1", undefined));
});

test("what is no nonce or digest is known by its form", () => {
  assert.ok(isClaimText(newNonce(), "a".repeat(64)));
  assert.ok(!isClaimText("", "a".repeat(64)));
  assert.ok(!isClaimText(newNonce(), "A".repeat(64)));
});
