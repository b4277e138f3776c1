import type { Json } from './json';

/** One place where two values differ. `before` is absent for what was added, `after` for what was removed. */
export type Change =
  | { kind: 'added'; path: string; after: Json }
  | { kind: 'removed'; path: string; before: Json }
  | { kind: 'changed'; path: string; before: Json; after: Json };

/** The smallest list of paths that differ, in the order of `after`'s keys; equal values give an empty list. */
export function diffJson(before: Json, after: Json): Change[] {
  const changes: Change[] = [];
  walk(before, after, '', changes);
  return changes;
}

function walk(before: Json, after: Json, path: string, changes: Change[]): void {
  if (Object.is(before, after)) return;
  if (Array.isArray(before) && Array.isArray(after)) {
    for (let i = 0; i < Math.max(before.length, after.length); i++) {
      step(before[i], after[i], `${path}[${i}]`, changes);
    }
  } else if (isRecord(before) && isRecord(after)) {
    for (const key of new Set([...Object.keys(after), ...Object.keys(before)])) {
      step(own(before, key), own(after, key), join(path, key), changes);
    }
  } else {
    changes.push({ kind: 'changed', path: path || '.', before, after });
  }
}

function step(before: Json | undefined, after: Json | undefined, path: string, changes: Change[]): void {
  if (before === undefined && after !== undefined) changes.push({ kind: 'added', path, after });
  else if (before !== undefined && after === undefined) changes.push({ kind: 'removed', path, before });
  else if (before !== undefined && after !== undefined) walk(before, after, path, changes);
}

function isRecord(value: Json): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function own(record: { [key: string]: Json }, key: string): Json | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function join(path: string, key: string): string {
  if (!/^[A-Za-z_$][\w$]*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}
