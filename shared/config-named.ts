/** Sections that can be there several times, each under a name of its own: [route.NAME] and its like. */
import { LISTENER } from "./config-aggregator.ts";
import { MAIN_RING, ROUTE } from "./config-relay.ts";
import type { Section, SectionValues } from "./config-rows.ts";
import { NAMED_CARBON } from "./config-sinks.ts";

/** Their rows, by what stands before the dot. */
export const NAMED = {
  route: ROUTE,
  listener: LISTENER,
  carbon: NAMED_CARBON,
} satisfies Readonly<Record<string, Section>>;

export type NamedKind = keyof typeof NAMED;
/** Values of one section of a kind, with its name. */
export type NamedConfig<Kind extends NamedKind> = { readonly name: string } & SectionValues<
  (typeof NAMED)[Kind]
>;

/** Sections of one kind that a file can have. */
export const NAMED_MAX = 31;
/** The section whose values they take where they do not say their own, and behind which they are shown. */
export const PARENTS: Readonly<Record<NamedKind, "relay" | "aggregator" | "carbon">> = {
  route: "relay",
  listener: "aggregator",
  carbon: "carbon",
};
/** How they are called where all sections are named. */
export const PLACEHOLDERS = ["route.NAME", "listener.NAME", "carbon.NAME"] as const;

/** Takes a section's name apart; undefined when it is not of these kinds. */
export function namedSection(
  section: string,
): { readonly kind: NamedKind; readonly name: string } | undefined {
  const [, word, name] = /^([a-z]+)\.([A-Za-z0-9_-]{1,32})$/.exec(section) ?? [];
  const kind = (Object.keys(NAMED) as NamedKind[]).find((one) => one === word);
  if (kind === undefined || name === undefined || name === MAIN_RING) return undefined;
  return { kind, name };
}
