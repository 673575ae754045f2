/** The pages that only a cluster needs: who belongs to it, and what it is told. */
import { nodeName } from "../../cluster/running/member-settings.ts";
import { type HttpRoute, jsonResponse } from "../../shared/http.ts";
import { type ChangeRoutes, outcomeResponse } from "./audit.ts";
import { membersPage } from "./cluster-status.ts";
import { readTransfer, transferLeadership } from "./transfer.ts";
import type { AggregatorView } from "./view.ts";

export function clusterRoutes(view: AggregatorView, changes: ChangeRoutes): HttpRoute[] {
  return [
    {
      method: "GET",
      path: "/members",
      handler: () => {
        const cluster = view.cluster();
        if (cluster === undefined) return outcomeResponse(404, "this node belongs to no cluster");
        return jsonResponse(200, membersPage(cluster, nodeName(view.config()), view.clusterAlarms()));
      },
    },
    changes.route("POST", "/transfer", "transfer", async ({ body }) => {
      const command = readTransfer(body?.toString("utf8") ?? "");
      const { status, message } = await transferLeadership(command, view);
      return { response: outcomeResponse(status, message), fields: { to: command?.to ?? "" } };
    }),
    changes.route("POST", "/drain", "drain", () => {
      view.drain();
      return { response: outcomeResponse(202, "this node hands over, and ends"), fields: {} };
    }),
  ];
}
