/** Any JSON value, as the schema's `JSON` scalar carries it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type ParsedJson = { ok: true; value: Json | undefined } | { ok: false; message: string };

/** Reads what a person typed as JSON: nothing typed is no value, a mistake is named with its line and column. */
export function parseJson(text: string): ParsedJson {
  if (text.trim() === '') return { ok: true, value: undefined };
  try {
    return { ok: true, value: JSON.parse(text) as Json };
  } catch (error) {
    return { ok: false, message: explain(text, error) };
  }
}

/** Two spaces, stable: equal values give equal text. */
export function prettyJson(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? '';
}

/** One line of JSON, cut to `max` characters. */
export function shortJson(value: unknown, max = 80): string {
  const text = JSON.stringify(value) ?? '';
  return text.length > max ? `${text.slice(0, max - 1)}…` : text;
}

function explain(text: string, error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  const offset = /position (\d+)/.exec(reason)?.[1];
  const what = reason
    .replace(/\s*\(line \d+ column \d+\)$/, '')
    .replace(/ in JSON at position \d+$/, '')
    .replace(/, ?(\.\.\.)?".*" is not valid JSON$/s, '');
  if (offset === undefined) return `Not valid JSON: ${what}.`;
  const before = text.slice(0, Number(offset)).split('\n');
  return `Not valid JSON: ${what} (line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}).`;
}
