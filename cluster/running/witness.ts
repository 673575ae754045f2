/**
 * A witness: a member that votes and keeps registers, and holds no data. With it two nodes have a majority
 * when one of them is gone. It runs by itself, or within a relay.
 */
import type { HttpRoute } from "../../shared/http.ts";
import { jsonResponse } from "../../shared/http.ts";
import type { WorldLog, Writer } from "../world.ts";
import { RunningMember } from "./member.ts";
import type { MemberSettings } from "./member-settings.ts";

/** It writes nothing. */
const NO_WRITER: Writer = {
  sinks: () => [],
  fold() {},
  drop() {},
  prepare: (_interval, done) => done(undefined),
  write() {},
  close() {},
  setLease() {},
  yieldFrom() {},
  exportKept: (done) => done(undefined),
  importKept() {},
};

export class RunningWitness {
  readonly #member: RunningMember;

  private constructor(member: RunningMember) {
    this.#member = member;
  }

  /** Opens it, and takes part. Throws OperatorError where something cannot be had. */
  static async open(settings: MemberSettings, log: WorldLog): Promise<RunningWitness> {
    const context = { writer: NO_WRITER, log, onTick() {} };
    const member = await RunningMember.open({ ...settings, role: "witness" }, context);
    member.begin();
    return new RunningWitness(member);
  }

  /** Port at which members come in. */
  get port(): number {
    return this.#member.hub.port;
  }

  /** The page /status of a witness by itself. */
  routes(version: string): HttpRoute[] {
    return [
      {
        method: "GET",
        path: "/status",
        handler: () => {
          const { name, term, leader, peers, alarms } = this.#member.node.view();
          return jsonResponse(200, {
            version,
            node: name,
            role: "witness",
            term,
            leader: leader ?? null,
            peers,
            alarms,
          });
        },
      },
    ];
  }

  async close(): Promise<void> {
    await this.#member.close();
  }
}
