import { describe, expect, it } from 'vitest';
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

  it('adds no fields that were not asked for, and keeps those that nobody has newer', () => {
    const newest = new Newest();
    newest.settle(workflow(5, { initiator: 'anna' }));
    expect(newest.settle(workflow(4, { steps: ['old'] }))).toEqual(workflow(5, { steps: ['old'] }));
  });

  it('keeps all fields seen of one version, whoever asked for them', () => {
    const newest = new Newest();
    newest.settle(workflow(5, { initiator: 'anna' }));
    newest.settle(workflow(5, { definition: 'order' }));
    expect(newest.settle(workflow(4, { initiator: 'x', definition: 'y' }))).toEqual(
      workflow(5, { initiator: 'anna', definition: 'order' }),
    );
  });

  it('does not mix the fields of two versions when a newer one arrives', () => {
    const newest = new Newest();
    newest.settle(workflow(4, { steps: ['of 4'] }));
    newest.settle(workflow(5));
    expect(newest.settle(workflow(3, { steps: ['of 3'] }))).toEqual(workflow(5, { steps: ['of 3'] }));
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
