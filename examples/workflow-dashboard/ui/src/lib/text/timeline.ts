import type { StepFieldsFragment } from '../../graphql/generated';

export interface Bar {
  name: string;
  occurrence: number;
  status: StepFieldsFragment['status'];
  /** Percent of the whole width. */
  left: number;
  width: number;
  ms: number;
  /** It runs on past the right edge. */
  isCut: boolean;
}

export interface Timeline {
  /** What the whole width stands for. */
  spanMs: number;
  bars: Bar[];
}

/** How many times as long as all that is known a running step's bar may make the chart. */
const STRETCH_MAX = 2;

/**
 * Where each step's bar lies between the workflow's start and its end, or `now` while a step runs. A step that has
 * been running for days is cut off, since the ones before it would shrink to nothing.
 */
export function timeline(steps: readonly StepFieldsFragment[], startedAt: string, endedAt: string | null, now: number): Timeline {
  const start = Math.min(...times([startedAt, ...steps.map((step) => step.startedAt)]));
  const known = Math.max(...times([startedAt, endedAt, ...steps.flatMap((step) => [step.startedAt, step.completedAt])]));
  const isRunning = endedAt === null && steps.some(({ status }) => status === 'RUNNING');
  const limit = known > start ? start + (known - start) * STRETCH_MAX : now;
  const end = Math.max(start + 1, known, isRunning ? Math.min(now, limit) : known);
  const spanMs = end - start;
  const bars = steps.map(({ name, occurrence, status, startedAt: from, completedAt }): Bar => {
    const begin = Date.parse(from);
    const finish = completedAt !== null ? Date.parse(completedAt) : Math.max(begin, status === 'RUNNING' && endedAt === null ? now : end);
    const left = percent(begin - start, spanMs);
    const width = percent(Math.min(finish, end) - begin, spanMs);
    return { name, occurrence, status, left, width, ms: Math.max(0, finish - begin), isCut: finish > end };
  });
  return { spanMs, bars };
}

function times(timestamps: readonly (string | null)[]): number[] {
  return timestamps.flatMap((timestamp) => (timestamp === null ? [] : [Date.parse(timestamp)]));
}

function percent(part: number, whole: number): number {
  return Math.max(0, Math.round((part / whole) * 10_000) / 100);
}
