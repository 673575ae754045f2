/** Parts that the schemas of answers are made of. */
import { METRIC_TYPES } from "../../shared/metric.ts";

/** A JSON schema, as OpenAPI 3.1 has it. */
export type Schema = Readonly<Record<string, unknown>>;

export const TEXT: Schema = { type: "string" };
export const NUMBER: Schema = { type: "number" };
/** A whole number from 0 up. */
export const COUNT: Schema = { type: "integer", minimum: 0 };
export const FLAG: Schema = { type: "boolean" };
/** A metric's type. */
export const TYPE: Schema = { type: "string", enum: METRIC_TYPES };
/** Numbers by name. */
export const COUNTS: Schema = { type: "object", additionalProperties: NUMBER };
export const TEXTS_BY_NAME: Schema = { type: "object", additionalProperties: TEXT };

export function list(items: Schema): Schema {
  return { type: "array", items };
}

/** One of several words. */
export function oneOf(...words: readonly string[]): Schema {
  return { type: "string", enum: words };
}

/** An object whose properties are all there, but for those named optional; it has no others. */
export function record(properties: Readonly<Record<string, Schema>>, ...optional: readonly string[]): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

export function orNull(schema: Schema): Schema {
  return { anyOf: [schema, { type: "null" }] };
}
