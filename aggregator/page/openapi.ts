/** openapi.json: every route of routes.ts, what it takes and what it answers. A test keeps the two equal. */
import { TYPE_JSON, TYPE_TEXT } from "../../shared/http.ts";
import { METRIC_TYPES } from "../../shared/metric.ts";
import { TYPE_METRICS } from "../../shared/standard-routes.ts";
import { NUMBER, type Schema, TEXT } from "./schema.ts";
import { SCHEMAS } from "./schemas.ts";

interface Parameter {
  readonly name: string;
  readonly in: "query";
  readonly required: boolean;
  readonly description: string;
  readonly schema: Schema;
}

function parameter(name: string, description: string, schema: Schema, required = false): Parameter {
  return { name, in: "query", required, description, schema };
}

const MATCH = parameter("match", "A glob such as app.**, or a regular expression between slashes", TEXT);
const LIMIT = parameter("limit", "Most of them in the answer", { ...NUMBER, default: 100 });
const TYPE = parameter("type", "Only series of this type", { type: "string", enum: METRIC_TYPES });

function json(description: string, schema: string): object {
  const content = { [TYPE_JSON]: { schema: { $ref: `#/components/schemas/${schema}` } } };
  return { description, content };
}

function plain(description: string, type = TYPE_TEXT): object {
  return { description, content: { [type]: { schema: TEXT } } };
}

const GUARD = {
  security: [{ token: [] }, {}],
};
const DENIED = {
  401: json("The bearer token is missing or wrong", "Error"),
  403: json("Only from this machine, as there is no token", "Error"),
};
const UNANSWERED = {
  400: json("The query is faulty", "Error"),
  503: json("Too many questions wait", "Error"),
  504: json("The store does not answer in time", "Error"),
};

function open(summary: string, responses: object, parameters: readonly Parameter[] = []): object {
  return { summary, ...(parameters.length > 0 ? { parameters } : {}), responses };
}

function guarded(summary: string, responses: object, parameters: readonly Parameter[] = []): object {
  return { ...open(summary, { ...responses, ...DENIED }, parameters), ...GUARD };
}

const ALIVE = { get: open("Whether the process answers", { 200: plain("ok") }) };

/** The description, as it is served. */
export const OPENAPI = {
  openapi: "3.1.0",
  info: { title: "bioyino", version: "1", description: "Management of one aggregator" },
  paths: {
    "/": { get: open("Help", { 200: plain("Pages, one a line") }) },
    "/openapi.json": { get: open("This description", { 200: plain("JSON", TYPE_JSON) }) },
    "/healthz": ALIVE,
    "/healthcheck": ALIVE,
    "/readyz": {
      get: open("Whether lines are taken", {
        200: json("Ready", "Readiness"),
        503: json("Not ready", "Readiness"),
      }),
    },
    "/metrics": { get: open("Own metrics", { 200: plain("Prometheus text exposition", TYPE_METRICS) }) },
    "/status": {
      get: open("Leadership, the cluster, listeners, limits and sinks; offenders for who may see names", {
        200: json("Status", "Status"),
      }),
    },
    "/stats": {
      get: open(
        "Own metrics per second",
        {
          200: {
            description: "Lines `name value ms-timestamp`, or JSON",
            content: {
              [TYPE_TEXT]: { schema: TEXT },
              [TYPE_JSON]: { schema: { $ref: "#/components/schemas/Stats" } },
            },
          },
        },
        [parameter("format", "`json` for JSON", TEXT)],
      ),
    },
    "/consensus": {
      post: {
        ...guarded("Sets the state of the consensus, and who leads", {
          200: json("The status after it", "Status"),
          400: json("The body is faulty", "Error"),
          409: json("That cannot be done: why", "Error"),
          413: json("The body is too long", "Error"),
        }),
        requestBody: json("The command", "Consensus"),
      },
    },
    "/members": {
      get: open("The nodes of the cluster, as this one sees them", {
        200: json("Members", "Members"),
        404: json("There is no cluster", "Error"),
      }),
    },
    "/transfer": {
      post: {
        ...guarded("Hands leadership over", {
          200: json("It goes there", "Outcome"),
          400: json("The body is faulty", "Error"),
          409: json("That cannot be done: why", "Error"),
          413: json("The body is too long", "Error"),
        }),
        requestBody: json("To whom; any that is fit where no name is given", "Transfer"),
      },
    },
    "/drain": {
      post: guarded("Hands everything over, and ends the process as SIGTERM does", {
        202: json("It has begun", "Outcome"),
        413: json("The body is too long", "Error"),
      }),
    },
    "/series": {
      get: guarded("Series of the open intervals", { 200: json("Series", "Series"), ...UNANSWERED }, [
        MATCH,
        TYPE,
        LIMIT,
      ]),
      delete: guarded("Forgets series", { 200: json("How many", "Deleted"), ...UNANSWERED }, [
        { ...MATCH, required: true },
        TYPE,
      ]),
    },
    "/history": {
      get: guarded("Rows of the last intervals", { 200: json("Intervals", "History"), ...UNANSWERED }, [
        MATCH,
        LIMIT,
      ]),
    },
    "/top": { get: guarded("Who makes the most series, and what goes on", { 200: json("Top", "Top") }) },
    "/explain": {
      get: guarded(
        "What becomes of a line",
        {
          200: json("How it is read, named and where it goes", "Explanation"),
          400: UNANSWERED[400],
          503: json("Too many lines are being explained", "Error"),
        },
        [
          parameter("line", "The line; may come several times", TEXT, true),
          parameter("listener", "Whose settings it is read by; [aggregator] by default", TEXT),
        ],
      ),
    },
    "/tail": {
      get: guarded(
        "A WebSocket of what comes in: messages are TailLine, or {skipped: COUNT}",
        {
          101: { description: "Switched to a WebSocket" },
          400: UNANSWERED[400],
          426: json("Not asked for as a WebSocket", "Error"),
          503: json("Too many tails", "Error"),
        },
        [MATCH],
      ),
    },
    "/config": { get: guarded("The configuration in force", { 200: json("Settings", "Config") }) },
    "/-/reload": {
      post: guarded("Reads the configuration again", {
        200: json("Done", "Reload"),
        409: json("Refused: the configuration is faulty", "Reload"),
      }),
    },
  },
  components: {
    schemas: SCHEMAS,
    securitySchemes: { token: { type: "http", scheme: "bearer" } },
  },
} as const;
