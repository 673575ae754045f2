/** Holds JSON values against the schemas of openapi.json: the part of JSON schema that those use. */

type Schema = Readonly<Record<string, unknown>>;

/** Returns every place where the value is not as the schema says; none when it is. */
export function schemaFaults(value: unknown, schema: Schema, place = "answer"): string[] {
  const choices = schema.anyOf as readonly Schema[] | undefined;
  if (choices !== undefined) {
    const faults = choices.map((choice) => schemaFaults(value, choice, place));
    return faults.some((list) => list.length === 0) ? [] : (faults[0] ?? []);
  }
  const types = [schema.type].flat().filter((type) => type !== undefined);
  if (types.length > 0 && !types.some((type) => hasType(value, type))) {
    return [`${place} is ${JSON.stringify(value)}, not ${types.join(" or ")}`];
  }
  const words = schema.enum as readonly unknown[] | undefined;
  if (words !== undefined && !words.includes(value)) return [`${place} is none of ${words.join(", ")}`];
  if (typeof value === "number" && value < Number(schema.minimum ?? Number.NEGATIVE_INFINITY)) {
    return [`${place} is ${value}`];
  }
  if (Array.isArray(value)) {
    const items = (schema.items ?? {}) as Schema;
    return value.flatMap((item, index) => schemaFaults(item, items, `${place}[${index}]`));
  }
  return typeof value === "object" && value !== null ? objectFaults(value, schema, place) : [];
}

function objectFaults(value: object, schema: Schema, place: string): string[] {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, Schema>>;
  const required = (schema.required ?? []) as readonly string[];
  const others = schema.additionalProperties;
  const missing = required.filter((name) => !(name in value)).map((name) => `${place}.${name} is missing`);
  const wrong = Object.entries(value).flatMap(([name, one]) => {
    const own = properties[name];
    if (own !== undefined) return schemaFaults(one, own, `${place}.${name}`);
    if (others === false) return [`${place}.${name} is not described`];
    return typeof others === "object" ? schemaFaults(one, others as Schema, `${place}.${name}`) : [];
  });
  return [...missing, ...wrong];
}

function hasType(value: unknown, type: unknown): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}
