/** Everything by which a running aggregator is watched and told: the management pages, and etsy's port. */
import { type HttpServer, type HttpUpgrade, jsonResponse, startHttp } from "../../shared/http.ts";
import { type Log, rateLimited } from "../../shared/log.ts";
import { type AdminPort, openAdminPort } from "./admin-port.ts";
import { aggregatorRoutes, refuse } from "./routes.ts";
import { matchOf, QueryFault } from "./series-pages.ts";
import { firstConsensus, Standing } from "./standing.ts";
import { type AnswerMessage, type AskMessage, StoreClient } from "./store-client.ts";
import { type TailedMessage, TailHub } from "./tail-hub.ts";
import { serveTail } from "./tail-socket.ts";
import type { AggregatorView } from "./view.ts";

/** What the aggregator gives: the view without its questions, and the way to the store. */
export interface PagesOptions {
  readonly view: Omit<AggregatorView, "ask">;
  /** Posts a question to the store's thread. */
  readonly post: (message: AskMessage) => void;
  readonly log: Log;
}

export class Pages {
  readonly #view: AggregatorView;
  readonly #log: Log;
  readonly #client: StoreClient;
  readonly #tails: TailHub;
  readonly #standing: Standing;
  readonly #everyLog: Log;
  #http: HttpServer | undefined;
  #admin: AdminPort | undefined;

  constructor({ view, post, log }: PagesOptions) {
    this.#client = new StoreClient(post);
    this.#view = {
      version: view.version,
      isReady: () => view.isReady(),
      config: () => view.config(),
      totals: () => view.totals(),
      stats: () => view.stats(),
      listeners: () => view.listeners(),
      lastFlush: () => view.lastFlush(),
      senderHost: (hash) => view.senderHost(hash),
      reload: () => view.reload(),
      cluster: () => view.cluster(),
      clusterAlarms: () => view.clusterAlarms(),
      command: (command) => view.command(command),
      drain: () => view.drain(),
      ask: this.#client.ask,
    };
    this.#standing = new Standing(firstConsensus(view.config()));
    this.#everyLog = log;
    this.#log = rateLimited(log);
    this.#tails = new TailHub(this.#client.ask);
  }

  /** Port of the management pages as bound; undefined where there are none. */
  get managementPort(): number | undefined {
    return this.#http?.port;
  }

  /** HOST:PORT of etsy's administration port as bound; undefined where there is none. */
  get adminAddress(): string | undefined {
    return this.#admin?.address;
  }

  /** Opens what the configuration names. Throws OperatorError where an address cannot be had. */
  async open(): Promise<void> {
    const { management, admin } = this.#view.config().aggregator;
    const context = { view: this.#view, standing: this.#standing, log: this.#log };
    if (management !== undefined) {
      // No change may be missing from the log; who may make one has been let in.
      const routes = aggregatorRoutes({ ...context, log: this.#everyLog });
      this.#http = await startHttp(management, routes, this.#log, {
        upgrades: [this.#tailUpgrade()],
        hasJsonErrors: true,
      });
    }
    if (admin !== undefined) this.#admin = await openAdminPort(admin, context);
  }

  #tailUpgrade(): HttpUpgrade {
    return {
      path: "/tail",
      handler: (incoming, request, socket, head) => {
        const refusal = refuse(request, this.#view);
        if (refusal !== undefined) return refusal;
        let match: string;
        try {
          match = matchOf(request.query, "**");
        } catch (error) {
          if (error instanceof QueryFault) return jsonResponse(400, { error: error.message });
          throw error;
        }
        if (!this.#tails.hasRoom) return jsonResponse(503, { error: "too many tails" });
        serveTail(incoming, socket, head, { tails: this.#tails, match }).catch((error: unknown) => {
          this.#log.error("tail.failed", { error });
          socket.destroy();
        });
        return undefined;
      },
    };
  }

  /** Takes what the store's thread posts for the pages. */
  take(message: AnswerMessage | TailedMessage): void {
    if (message.kind === "answer") this.#client.take(message);
    else this.#tails.take(message);
  }

  /** Closes everything; questions that wait get an answer at once. */
  async close(): Promise<void> {
    this.#tails.close("the aggregator is stopping");
    this.#client.close();
    await Promise.all([this.#http?.close(), this.#admin?.close()]);
  }
}
