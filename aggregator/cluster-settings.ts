/** What has to be the same on all members, because any of them may have to write what the others would. */
import type { SuiteConfig } from "../shared/config.ts";
import { settingsOf } from "./settings.ts";

const SECTIONS = /^(?:aggregation|naming\.[a-z]+|idle)\./;
const KEYS = /^aggregator\.(?:interval|late-window|timer-samples-max|overflow-name)$/;

/** Returns the settings, by their paths in the configuration. */
export function equalSettings(config: SuiteConfig): Record<string, string> {
  const settings = [...settingsOf(config).values()].filter(
    ({ path }) => SECTIONS.test(path) || KEYS.test(path),
  );
  return Object.fromEntries(settings.map(({ path, text }) => [path, text]));
}
