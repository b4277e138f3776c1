const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const whole = new Intl.NumberFormat();

/** A date and time in the reader's own zone and manner. */
export function formatTime(timestamp: string | null | undefined): string {
  const date = parse(timestamp);
  return date === null ? '–' : dateTime.format(date);
}

/** The time of day only. */
export function formatClock(date: Date): string {
  return clock.format(date);
}

/** A whole number with the reader's digit groups. */
export function formatCount(count: number): string {
  return whole.format(count);
}

/** A `Position` (a u64 as decimal text) with digit groups: it never passes through a float. */
export function formatPosition(position: string | null | undefined): string {
  return position != null && /^\d+$/.test(position) ? whole.format(BigInt(position)) : '–';
}

/** A length of time in its one or two largest units: `850 ms`, `4.2 s`, `3 min 12 s`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.floor(minutes / 60);
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** The time between two timestamps; an open end is `now`. */
export function formatBetween(start: string, end: string | null | undefined, now: number): string {
  const from = parse(start);
  if (from === null) return '–';
  return formatDuration((parse(end)?.getTime() ?? now) - from.getTime());
}

/** How long ago, coarsely: `just now`, `12 s ago`, `3 min ago`. */
export function formatAgo(timestamp: string, now: number): string {
  const date = parse(timestamp);
  if (date === null) return '–';
  const ms = now - date.getTime();
  if (ms < 2_000) return 'just now';
  if (ms < 60_000) return `${Math.floor(ms / 1_000)} s ago`;
  return `${formatDuration(ms).split(' ').slice(0, 2).join(' ')} ago`;
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

function parse(timestamp: string | null | undefined): Date | null {
  if (timestamp == null) return null;
  const date = new Date(timestamp);
  return Number.isNaN(date.getTime()) ? null : date;
}
