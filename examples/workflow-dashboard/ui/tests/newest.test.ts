import { describe, expect, it, vi } from 'vitest';
import { Newest } from '../src/lib/links/newest';

const workflow = (version: number, more: Record<string, unknown> = {}) => ({
  __typename: 'Workflow',
  workflowId: 'w',
  version,
  status: `at ${version}`,
  ...more,
});

describe('Newest', () => {
  it('passes what is new, unchanged and as the same object', () => {
    const newest = new Newest();
    const data = { workflow: workflow(1) };
    expect(newest.settle(data)).toBe(data);
    expect(newest.version('w')).toBe(1);
  });

  it('puts the newest fields in the place of older ones, deep inside an answer', () => {
    const newest = new Newest();
    newest.settle({ workflowUpdated: workflow(5) });
    const late = newest.settle({ workflows: { nodes: [workflow(4)], totalCount: 1 } });
    expect(late).toEqual({ workflows: { nodes: [workflow(5)], totalCount: 1 } });
  });

  it('adds no fields that were not asked for', () => {
    const newest = new Newest();
    newest.settle(workflow(5, { initiator: 'anna' }));
    expect(newest.settle(workflow(4))).toEqual(workflow(5));
  });

  it('mixes no two versions: what is not known of the newest stays as it came, and is told', () => {
    const newest = new Newest();
    newest.settle(workflow(7, { steps: ['of 7'] }));
    newest.settle(workflow(8));
    const onOlder = vi.fn();
    const late = { workflow: workflow(6, { steps: ['of 6'] }) };
    expect(newest.settle(late, onOlder)).toBe(late);
    expect(onOlder).toHaveBeenCalledTimes(1);
    expect(newest.version('w')).toBe(8);
    newest.settle(workflow(8, { steps: ['of 8'] }), onOlder);
    expect(newest.settle(late, onOlder)).toEqual({ workflow: workflow(8, { steps: ['of 8'] }) });
    expect(onOlder).toHaveBeenCalledTimes(1);
  });

  it('keeps all fields seen of one version, whoever asked for them', () => {
    const newest = new Newest();
    newest.settle(workflow(5, { initiator: 'anna' }));
    newest.settle(workflow(5, { definition: 'order' }));
    expect(newest.settle(workflow(4, { initiator: 'x', definition: 'y' }))).toEqual(
      workflow(5, { initiator: 'anna', definition: 'order' }),
    );
  });

  it('leaves payloads alone, whatever they look like', () => {
    const newest = new Newest();
    newest.settle(workflow(5));
    const event = { __typename: 'WorkflowEvent', payload: workflow(1) };
    const params = workflow(6, { initialParams: workflow(1) });
    expect(newest.settle({ events: [event] })).toEqual({ events: [event] });
    expect(newest.settle(params)).toBe(params);
  });

  it('tells when a push says nothing new', () => {
    const newest = new Newest();
    newest.settle(workflow(5));
    expect(newest.isStale({ workflowUpdated: workflow(4) })).toBe(true);
    expect(newest.isStale({ workflowUpdated: workflow(5) })).toBe(false);
    expect(newest.isStale({ workflowsChanged: { workflows: [workflow(4)] } })).toBe(false);
    expect(newest.isStale(undefined)).toBe(false);
  });

  it('forgets the one heard of longest ago when it is full, and everything when told so', () => {
    const newest = new Newest(2);
    for (const id of ['a', 'b', 'a', 'c']) newest.settle({ ...workflow(1), workflowId: id });
    expect(['a', 'b', 'c'].map((id) => newest.version(id))).toEqual([1, 0, 1]);
    newest.clear();
    expect(newest.version('a')).toBe(0);
  });
});
