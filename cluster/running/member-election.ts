/** The election that the configuration names. */
import { type Clock, machineMs, systemClock } from "../../shared/clock.ts";
import type { Election } from "../election/election.ts";
import { createExternalElection } from "../election/external-engines.ts";
import { RaftElection } from "../election/raft.ts";
import { SplitElection } from "../election/split.ts";
import { StaticElection } from "../election/static.ts";
import type { Vote, World } from "../world.ts";
import { isSplitAllowed, type MemberSettings, membersOf, readText } from "./member-settings.ts";

const clock: Clock = { ...systemClock, monotonicMs: machineMs };

/** Throws OperatorError for options that cannot work, and files that cannot be read. */
export function openElection(settings: MemberSettings, world: World, vote: Vote): Election {
  const { name, consensus, engines, startsAsLeader } = settings;
  const members = membersOf(settings);
  const raftWorld = {
    random: world.random,
    send: world.net.send.bind(world.net),
    saveVote: world.disk.saveVote.bind(world.disk),
  };
  if (consensus === "none")
    return new StaticElection({ name, members, startsAsLeader }, raftWorld.saveVote, vote);
  if (isSplitAllowed(settings)) return new SplitElection({ name, members, ...engines.raft }, raftWorld, vote);
  if (consensus === "internal") return new RaftElection({ name, members, ...engines.raft }, raftWorld, vote);
  const context = { clock, random: world.random, log: world.log };
  if (consensus === "etcd") {
    const { endpoints, key, ttlMs, requestTimeoutMs, username, password, ...files } = engines.etcd;
    const options = { name, endpoints, key, ttlMs, requestTimeoutMs, ...given({ username, password }) };
    return createExternalElection("etcd", { ...options, ...tlsOf("etcd", files) }, context);
  }
  if (consensus === "consul") {
    const { endpoints, key, sessionTtlMs: ttlMs, requestTimeoutMs, token, tlsCa } = engines.consul;
    const options = { name, endpoints, key, ttlMs, requestTimeoutMs, ...given({ token }) };
    const tls = tlsOf("consul", { tlsCa, tlsCert: "", tlsKey: "" });
    return createExternalElection("consul", { ...options, ...tls }, context);
  }
  const { endpoints, leaseDurationMs: ttlMs, requestTimeoutMs, tlsCa, ...names } = engines.kubernetes;
  const isOwnServer = endpoints.length === 0;
  const isTls = endpoints.some((endpoint) => endpoint.startsWith("https:"));
  const files = { tlsCa: isTls && !isOwnServer ? tlsCa : "", tlsCert: "", tlsKey: "" };
  return createExternalElection(
    "kubernetes",
    { name, endpoints, ttlMs, requestTimeoutMs, ...given(names), ...tlsOf("kubernetes", files) },
    context,
  );
}

/** Options without those that are empty: to the engines these are not there. */
function given<Options extends Readonly<Record<string, string>>>(options: Options): Partial<Options> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== "")) as Partial<Options>;
}

function tlsOf(
  section: string,
  { tlsCa, tlsCert, tlsKey }: { readonly tlsCa: string; readonly tlsCert: string; readonly tlsKey: string },
) {
  const text = (key: string, path: string) => readText(`${section}.${key}`, path);
  const tls = {
    ...(tlsCa !== "" && { ca: text("tls-ca", tlsCa) }),
    ...(tlsCert !== "" && { cert: text("tls-cert", tlsCert), key: text("tls-key", tlsKey) }),
  };
  return Object.keys(tls).length === 0 ? {} : { tls };
}
