/** Sizes and times as a terminal shows them, in few characters. */

/** `512`, `3.4k`, `12.0m`. */
export function formatBytes(bytes: number): string {
  const [unit, size] = bytes >= 2 ** 30 ? ["g", 2 ** 30] : bytes >= 2 ** 20 ? ["m", 2 ** 20] : ["k", 2 ** 10];
  return bytes < 1024 ? String(bytes) : `${(bytes / Number(size)).toFixed(1)}${unit}`;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** `20 ms`, `1.2 s`, `42 s`, `7 min`, `3 h`. */
export function formatAge(ageMs: number): string {
  if (!Number.isFinite(ageMs)) return "?";
  if (ageMs < 995) return `${Math.round(ageMs)} ms`;
  if (ageMs < 9950) return `${(ageMs / 1000).toFixed(1)} s`;
  if (ageMs < 2 * MINUTE_MS) return `${Math.round(ageMs / 1000)} s`;
  return ageMs < 2 * HOUR_MS ? `${Math.round(ageMs / MINUTE_MS)} min` : `${Math.round(ageMs / HOUR_MS)} h`;
}
