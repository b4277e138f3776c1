import { describe, expect, it } from 'vitest';
import { diffJson } from '../src/lib/text/diff';
import { formatAgo, formatBetween, formatDuration, formatPosition } from '../src/lib/text/format';
import { suggestWorkflowId, uuidV7 } from '../src/lib/text/ids';
import { parseJson, shortJson } from '../src/lib/text/json';
import { timeline } from '../src/lib/text/timeline';
import { newTrace } from '../src/lib/text/trace';
import { step } from './fixtures';

describe('diffJson', () => {
  it('equal values differ nowhere, whatever the order of their keys', () => {
    expect(diffJson({ a: [1, { b: null }], c: 2 }, { c: 2, a: [1, { b: null }] })).toEqual([]);
  });

  it('names each place that differs once, as deep as possible', () => {
    expect(diffJson({ status: 'RUNNING', steps: [{ name: 'a' }], gone: 1 }, { status: 'FAILED', steps: [{ name: 'a', output: 3 }, 'b'] })).toEqual([
      { kind: 'changed', path: 'status', before: 'RUNNING', after: 'FAILED' },
      { kind: 'added', path: 'steps[0].output', after: 3 },
      { kind: 'added', path: 'steps[1]', after: 'b' },
      { kind: 'removed', path: 'gone', before: 1 },
    ]);
  });

  it('a change of kind is one change', () => {
    expect(diffJson({ a: [1] }, { a: { 0: 1 } })).toEqual([{ kind: 'changed', path: 'a', before: [1], after: { 0: 1 } }]);
    expect(diffJson(null, { a: 1 })).toEqual([{ kind: 'changed', path: '.', before: null, after: { a: 1 } }]);
  });

  it('null is a value, absent is not', () => {
    expect(diffJson({ a: null }, {})).toEqual([{ kind: 'removed', path: 'a', before: null }]);
  });

  it('quotes keys that are no plain names, and knows that every object inherits some', () => {
    expect(diffJson({}, { 'a.b': 1, constructor: 2 }).map(({ kind, path }) => [kind, path])).toEqual([
      ['added', '["a.b"]'],
      ['added', 'constructor'],
    ]);
  });
});

describe('format', () => {
  it('durations have at most two units', () => {
    const cases = [
      [0, '0 ms'],
      [999, '999 ms'],
      [4_260, '4.2 s'],
      [59_990, '59.9 s'],
      [60_000, '1 min'],
      [192_000, '3 min 12 s'],
      [3_600_000, '1 h'],
      [187_200_000, '2 d 4 h'],
      [-500, '-500 ms'],
      [NaN, '–'],
    ] as const;
    for (const [ms, text] of cases) expect(formatDuration(ms)).toBe(text);
  });

  it('positions above 2^53 keep every digit', () => {
    expect(formatPosition('18446744073709551615').replace(/\D/g, '')).toBe('18446744073709551615');
    expect(formatPosition('12x')).toBe('–');
    expect(formatPosition(null)).toBe('–');
  });

  it('an open end is now', () => {
    const now = Date.parse('2026-01-01T00:00:10Z');
    expect(formatBetween('2026-01-01T00:00:00Z', null, now)).toBe('10.0 s');
    expect(formatBetween('2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', now)).toBe('1.0 s');
    expect(formatBetween('yesterday', null, now)).toBe('–');
  });

  it('ages are coarse', () => {
    const now = Date.parse('2026-01-01T01:00:00Z');
    expect(formatAgo('2026-01-01T00:59:59.500Z', now)).toBe('just now');
    expect(formatAgo('2026-01-01T00:59:48Z', now)).toBe('12 s ago');
    expect(formatAgo('2026-01-01T00:56:10Z', now)).toBe('3 min ago');
  });
});

describe('json', () => {
  it('nothing typed is no value, null is one', () => {
    expect(parseJson('  ')).toEqual({ ok: true, value: undefined });
    expect(parseJson('null')).toEqual({ ok: true, value: null });
    expect(parseJson('{"a": [1]}')).toEqual({ ok: true, value: { a: [1] } });
  });

  it('a mistake is one sentence that starts alike', () => {
    for (const text of ['{', '{"a": }', "{'a': 1}", '[1,\n2,\n]', 'nul']) {
      const parsed = parseJson(text);
      expect(parsed.ok ? '' : parsed.message).toMatch(/^Not valid JSON: .+\.$/s);
    }
  });

  it('short text is cut', () => {
    expect(shortJson({ a: 'x'.repeat(20) }, 10)).toBe('{"a":"xxx…');
    expect(shortJson(1)).toBe('1');
  });
});

describe('trace', () => {
  it('has the form of the standard', () => {
    const { traceId, traceparent } = newTrace();
    expect(traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(traceparent.slice(3, 35)).toBe(traceId);
    expect(newTrace().traceId).not.toBe(traceId);
  });

  it('is never all zero', () => {
    expect(newTrace((bytes) => bytes).traceparent).not.toContain('0'.repeat(16));
  });
});

describe('ids', () => {
  it('are UUIDs of version 7 that sort by time', () => {
    const [first, second] = [uuidV7(1_700_000_000_000), uuidV7(1_700_000_000_001)];
    expect(first).toMatch(/^018bcfe5-6800-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(first < second).toBe(true);
  });

  it('suggested names are plain and differ', () => {
    const names = new Set(Array.from({ length: 100 }, () => suggestWorkflowId()));
    expect(names.size).toBe(100);
    for (const name of names) expect(name).toMatch(/^wf-[0-9a-z]{6}-[0-9a-z]{5}$/);
  });
});

describe('timeline', () => {
  const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1_000).toISOString();
  const now = (seconds: number) => 1_700_000_000_000 + seconds * 1_000;

  it('finished steps fill the width between start and end', () => {
    const { spanMs, bars } = timeline(
      [step({ startedAt: at(0), completedAt: at(5), status: 'COMPLETED' }), step({ startedAt: at(5), completedAt: at(10), status: 'COMPLETED' })],
      at(0),
      at(10),
      now(99),
    );
    expect(spanMs).toBe(10_000);
    expect(bars.map(({ left, width, isCut }) => [left, width, isCut])).toEqual([
      [0, 50, false],
      [50, 50, false],
    ]);
  });

  it('a running step reaches until now', () => {
    const { spanMs, bars } = timeline([step({ startedAt: at(4) })], at(0), null, now(6));
    expect(spanMs).toBe(6_000);
    expect(bars[0]).toMatchObject({ ms: 2_000, isCut: false });
  });

  it('one that runs for days is cut off and says how long it really runs', () => {
    const { spanMs, bars } = timeline([step({ startedAt: at(10) })], at(0), null, now(86_400));
    expect(spanMs).toBe(20_000);
    expect(bars[0]).toMatchObject({ left: 50, width: 50, ms: 86_390_000, isCut: true });
  });

  it('times that are all the same divide by nothing', () => {
    const { bars } = timeline([step({ startedAt: at(0), completedAt: at(0), status: 'COMPLETED' })], at(0), at(0), now(0));
    expect(bars[0]).toMatchObject({ left: 0, width: 0 });
  });
});
