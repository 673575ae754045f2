/** Numbers as a terminal shows them: bars, rates and shares, in few characters. */

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A bar of `#` and `.`; share: 0..1. Something is never drawn as nothing. */
export function drawBar(share: number, width: number): string {
  const filled = share > 0 ? Math.min(width, Math.max(Math.min(1, width), Math.round(share * width))) : 0;
  return `${"#".repeat(filled)}${".".repeat(width - filled)}`;
}

/** A rate in few characters: `0.4`, `12`, `1,234`, `12.3m`. */
export function formatRate(rate: number): string {
  if (!Number.isFinite(rate)) return "?";
  if (rate < 9.95) return rate.toFixed(1);
  if (rate < 999_999.5) return GROUPED.format(rate);
  return rate < 999_950_000 ? `${(rate / 1e6).toFixed(1)}m` : `${(rate / 1e9).toFixed(1)}g`;
}

/** A share of 0..1 as a percentage with one decimal. */
export function formatShare(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(1)}%` : "?";
}
