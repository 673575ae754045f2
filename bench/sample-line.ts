/** Makes the statsd line of a sequence number, as gso.c does: many series in no particular order. */
export function sampleLine(sequence: number, series: number, types: readonly string[]): string {
  // Knuth's multiplicative step.
  const one = Math.imul(sequence, 2_654_435_761 | 0) >>> 0;
  const number = one % series;
  const value = `${one % 1000}.${one % 10}`;
  const pad = (what: number, digits: number): string => String(what).padStart(digits, "0");
  const host = `app.web${pad(number % 32, 2)}.service${pad(number % 257, 3)}`;
  return `${host}.endpoint.${pad(number, 7)}.request:${value}|${types[number % types.length]}`;
}
