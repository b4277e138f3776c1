import { fireEvent, render, screen } from '@testing-library/svelte';
import { describe, expect, it, vi } from 'vitest';
import CountTiles from '../../src/components/CountTiles.svelte';
import WorkflowTable from '../../src/components/WorkflowTable.svelte';
import { Fresh } from '../../src/lib/state/list.svelte';
import { workflow } from '../fixtures';

describe('CountTiles', () => {
  const counts = { __typename: 'WorkflowCounts', total: 1_434, running: 2, completed: 1_430, failed: 1, cancelled: 1 } as const;

  it('shows each number and filters by its status', async () => {
    const onselect = vi.fn();
    render(CountTiles, { counts, status: 'FAILED', onselect });
    expect(screen.getByTestId('count-total-value').textContent?.replace(/\D/g, '')).toBe('1434');
    expect(screen.getByTestId('count-failed').getAttribute('aria-pressed')).toBe('true');
    await fireEvent.click(screen.getByTestId('count-cancelled'));
    await fireEvent.click(screen.getByTestId('count-total'));
    expect(onselect.mock.calls).toEqual([['CANCELLED'], [null]]);
  });
});

describe('WorkflowTable', () => {
  it('a row says what tests and people look for, and changes in place', async () => {
    const { rerender } = render(WorkflowTable, { workflows: [workflow({ workflowId: 'a/b' }), workflow({ workflowId: 'c' })], isFiltered: false });
    const row = screen.getAllByTestId('workflow-row')[0];
    expect(row?.dataset).toMatchObject({ workflowId: 'a/b', version: '3', status: 'RUNNING' });
    expect(row?.querySelector('a')?.getAttribute('href')).toBe('/workflow/a%2Fb');
    await rerender({ workflows: [workflow({ workflowId: 'a/b', version: 4, status: 'FAILED' }), workflow({ workflowId: 'c' })] });
    expect(screen.getAllByTestId('workflow-row')[0]).toBe(row);
    expect(row?.dataset).toMatchObject({ version: '4', status: 'FAILED' });
  });

  it('says why it is empty', async () => {
    const { rerender } = render(WorkflowTable, { workflows: null, isFiltered: false });
    expect(screen.getByText('Loading…')).toBeTruthy();
    await rerender({ workflows: [], isFiltered: true });
    expect(screen.getByText('No workflow fits this filter.')).toBeTruthy();
  });
});

describe('Fresh', () => {
  const filter = { status: 'RUNNING', search: 'ord', orderBy: 'UPDATED_DESC' } as const;
  const one = (workflowId: string, fields = {}) => workflow({ workflowId, ...fields });

  it('counts what fits the filter and is not shown, each once', () => {
    const fresh = new Fresh();
    fresh.note([one('order-1'), one('order-2'), one('other', { definition: 'x', initiator: 'y' })], new Set(['order-2']), filter);
    fresh.note([one('order-1')], new Set(), filter);
    expect(fresh.count).toBe(1);
  });

  it('forgets what no longer fits', () => {
    const fresh = new Fresh();
    fresh.note([one('order-1')], new Set(), filter);
    fresh.note([one('order-1', { status: 'COMPLETED' })], new Set(), filter);
    expect(fresh.count).toBe(0);
  });

  it('finds what the server finds: only the case of ASCII letters is ignored', () => {
    const count = (search: string) => {
      const fresh = new Fresh();
      fresh.note([one('ORDER-Ä'), one('w', { initiator: '\u212Aarl' })], new Set(), { ...filter, search });
      return fresh.count;
    };
    expect(['order-Ä', 'oRDer-Ä', 'order-ä', '\u212AARL', 'karl'].map(count)).toEqual([1, 1, 0, 1, 0]);
  });

  it('is bounded', () => {
    const fresh = new Fresh();
    fresh.note(Array.from({ length: 2_000 }, (_, i) => one(`order-${i}`)), new Set(), filter);
    expect(fresh.count).toBe(999);
    expect(fresh.isFull).toBe(true);
  });
});
