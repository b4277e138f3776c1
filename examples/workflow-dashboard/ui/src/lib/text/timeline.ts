import type { StepFieldsFragment } from '../../graphql/generated';

export interface Bar {
  name: string;
  occurrence: number;
  status: StepFieldsFragment['status'];
  /** Percent of the whole width. */
  left: number;
  width: number;
  ms: number;
}

/** Where each step's bar lies between the workflow's start and its end, or `now` while a step still runs. */
export function timeline(steps: readonly StepFieldsFragment[], startedAt: string, endedAt: string | null, now: number | null) {
  const start = Math.min(...[startedAt, ...steps.map((step) => step.startedAt)].map((at) => Date.parse(at)));
  const known = steps.flatMap(({ startedAt: from, completedAt }) => [Date.parse(from), ...(completedAt === null ? [] : [Date.parse(completedAt)])]);
  const end = Math.max(start + 1, ...known, ...(endedAt === null ? [] : [Date.parse(endedAt)]), ...(now === null ? [] : [now]));
  const spanMs = end - start;
  const bars = steps.map(({ name, occurrence, status, startedAt: from, completedAt }): Bar => {
    const begin = Date.parse(from);
    const ms = Math.max(0, (completedAt === null ? end : Date.parse(completedAt)) - begin);
    return { name, occurrence, status, left: percent(begin - start, spanMs), width: percent(ms, spanMs), ms };
  });
  return { spanMs, bars };
}

function percent(part: number, whole: number): number {
  return Math.round((part / whole) * 10_000) / 100;
}
