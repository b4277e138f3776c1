import { ApolloClient, ApolloLink } from '@apollo/client';
import { Observable, Subject } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WorkflowPageDocument, type OnWorkflowsChangedSubscription } from '../src/graphql/generated';
import { createCache } from '../src/lib/apollo/client';
import { retryDelay } from '../src/lib/links/socket';
import { Changes } from '../src/lib/state/changes';
import { Connection, OFFLINE_AFTER_MS } from '../src/lib/state/connection.svelte';
import { History } from '../src/lib/state/history.svelte';
import { appliedPosition } from '../src/lib/state/system.svelte';
import { throttle } from '../src/lib/state/throttle';
import { workflow } from './fixtures';

describe('Connection', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('a short break is a reconnection, a long one is offline since its beginning', () => {
    const connection = new Connection();
    connection.connected();
    expect([connection.state, connection.since]).toEqual(['live', null]);
    connection.closed();
    const { since } = connection;
    vi.advanceTimersByTime(OFFLINE_AFTER_MS - 1);
    expect(connection.state).toBe('reconnecting');
    connection.closed();
    vi.advanceTimersByTime(1);
    expect(connection.state).toBe('offline');
    connection.closed();
    expect([connection.state, connection.since]).toEqual(['offline', since]);
    connection.connected();
    vi.advanceTimersByTime(OFFLINE_AFTER_MS);
    expect(connection.state).toBe('live');
  });
});

describe('throttle', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('a burst is one run, at its end; a call during a run is one more', async () => {
    let finish = () => undefined as void;
    const task = vi.fn(() => new Promise<void>((resolve) => (finish = resolve)));
    const call = throttle(task, 250);
    for (let i = 0; i < 100; i++) call();
    await vi.advanceTimersByTimeAsync(249);
    expect(task).toHaveBeenCalledTimes(0);
    await vi.advanceTimersByTimeAsync(1);
    expect(task).toHaveBeenCalledTimes(1);
    call();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(task).toHaveBeenCalledTimes(1);
    finish();
    await vi.advanceTimersByTimeAsync(250);
    expect(task).toHaveBeenCalledTimes(2);
  });

  it('a failed run does not stop later ones', async () => {
    const task = vi.fn(() => Promise.reject(new Error('no')));
    const call = throttle(task, 10);
    call();
    await vi.advanceTimersByTimeAsync(10);
    call();
    await vi.advanceTimersByTimeAsync(10);
    expect(task).toHaveBeenCalledTimes(2);
    call();
    call.cancel();
    await vi.advanceTimersByTimeAsync(100);
    expect(task).toHaveBeenCalledTimes(2);
  });
});

it('retries wait longer and longer, up to 5 s, and never all at once', () => {
  expect([0, 1, 2, 3, 4, 5, 50, 5_000].map((retries) => retryDelay(retries, () => 1))).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
  expect(retryDelay(3, () => 0)).toBe(1_000);
});

it('what is applied is the least of all projections, never a float', () => {
  const projection = (position: string) => ({ position }) as never;
  const status = { __typename: 'SystemStatus', storeId: 's', headPosition: '18446744073709551615', projections: [] } as const;
  expect(appliedPosition({ ...status, projections: [] })).toBe('18446744073709551615');
  expect(appliedPosition({ ...status, projections: [projection('18446744073709551614'), projection('9007199254740993')] })).toBe('9007199254740993');
});

describe('Changes', () => {
  function harness() {
    const asked: unknown[] = [];
    let pushes = new Subject<ApolloLink.Result>();
    const link = new ApolloLink((operation) => {
      asked.push(operation.variables['after']);
      pushes = new Subject();
      return pushes;
    });
    const client = new ApolloClient({ cache: createCache(), link });
    const page = { query: WorkflowPageDocument, variables: { orderBy: 'UPDATED_DESC', first: 50 } } as const;
    client.writeQuery({
      ...page,
      data: {
        workflows: {
          __typename: 'WorkflowConnection',
          totalCount: 2,
          nodes: [workflow({ workflowId: 'a' }), workflow({ workflowId: 'b' })],
          pageInfo: { __typename: 'PageInfo', hasNextPage: false, endCursor: null },
        },
      },
    });
    const changes = new Changes(client);
    changes.start('5');
    const push = (position: string, workflows: ReturnType<typeof workflow>[], resync = false) => {
      const data: OnWorkflowsChangedSubscription = { workflowsChanged: { __typename: 'WorkflowsChanged', position, resync, workflows } };
      pushes.next({ data });
    };
    const versions = () => client.readQuery(page)?.workflows.nodes.map(({ version }) => version);
    return { client, changes, asked, push, versions, end: () => pushes.complete() };
  }
  const frame = () => new Promise((resolve) => setTimeout(resolve, 120));

  it('brings the rows of the page up to date and caches no others', async () => {
    const { client, push, versions } = harness();
    push('7', [workflow({ workflowId: 'a', version: 4 }), workflow({ workflowId: 'z', version: 1 })]);
    push('8', [workflow({ workflowId: 'a', version: 5 })]);
    await frame();
    expect(versions()).toEqual([5, 3]);
    expect(Object.keys(client.cache.extract() as object).filter((key) => key.startsWith('Workflow:'))).toHaveLength(2);
  });

  it('leaves the workflow alone that has a subscription of its own', async () => {
    const { changes, push, versions } = harness();
    changes.held = 'a';
    push('7', [workflow({ workflowId: 'a', version: 4 }), workflow({ workflowId: 'b', version: 4 })]);
    await frame();
    expect(versions()).toEqual([3, 4]);
  });

  it('tells listeners once a frame, and of a resync', async () => {
    const { changes, push } = harness();
    const changed = vi.fn();
    const resync = vi.fn();
    changes.listen({ changed, resync });
    push('7', [workflow({ workflowId: 'a', version: 4 })]);
    push('8', [workflow({ workflowId: 'a', version: 5 })]);
    push('9', [], true);
    await frame();
    expect(changed.mock.calls.map(([workflows]) => workflows.map(({ version }: { version: number }) => version))).toEqual([[5]]);
    expect(resync).toHaveBeenCalledTimes(1);
  });

  it('an ended subscription is opened again after the last position', async () => {
    vi.useFakeTimers();
    const { asked, push, end } = harness();
    push('7', []);
    end();
    await vi.advanceTimersByTimeAsync(1_000);
    vi.useRealTimers();
    expect(asked).toEqual(['5', '7']);
  });
});

describe('History', () => {
  /** A server with `size()` events and opaque cursors. */
  function harness(initial: number) {
    let size = initial;
    const link = new ApolloLink(({ variables }) => {
      const start = variables['after'] ? Number(atob(variables['after'])) : 0;
      const end = Math.min(size, start + Number(variables['first']));
      const nodes = Array.from({ length: end - start }, (_, i) => ({ __typename: 'WorkflowEvent', eventId: `e${start + i + 1}`, version: start + i + 1 }));
      const pageInfo = { __typename: 'PageInfo', hasNextPage: end < size, endCursor: end === start ? null : btoa(String(end)) };
      return new Observable((observer) => {
        observer.next({ data: { workflowHistory: { __typename: 'EventConnection', totalCount: size, nodes, pageInfo } } });
        observer.complete();
      });
    });
    const history = new History(new ApolloClient({ cache: createCache(), link }), 'w');
    const versions = () => [history.events[0]?.version, history.events.at(-1)?.version];
    return { history, versions, grow: (by: number) => (size += by) };
  }

  it('opens at the newest page and reaches every other', async () => {
    const { history, versions } = harness(120);
    await history.grown();
    expect([history.page, history.pages, history.total, history.isNewest]).toEqual([2, 3, 120, true]);
    expect(versions()).toEqual([101, 120]);
    await history.show(0);
    expect(versions()).toEqual([1, 50]);
    await history.show(1);
    expect(versions()).toEqual([51, 100]);
  });

  it('follows growth over the end of a page while it shows the newest', async () => {
    const { history, versions, grow } = harness(49);
    await history.grown();
    grow(1);
    await history.grown();
    expect(versions()).toEqual([1, 50]);
    grow(60);
    await history.grown();
    expect([history.page, ...versions()]).toEqual([2, 101, 110]);
  });

  it('stays where the reader is otherwise, and tells the new total', async () => {
    const { history, versions, grow } = harness(120);
    await history.grown();
    await history.show(0);
    grow(50);
    await history.grown();
    expect([history.page, history.total, ...versions()]).toEqual([0, 170, 1, 50]);
  });

  it('nothing is a page too', async () => {
    const { history } = harness(0);
    await history.grown();
    expect([history.total, history.page, history.pages, history.isNewest]).toEqual([0, 0, 1, true]);
  });
});
