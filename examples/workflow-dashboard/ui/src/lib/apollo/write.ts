import type { ApolloCache } from '@apollo/client';
import {
  WorkflowByIdDocument,
  WorkflowSummaryFragmentDoc,
  type WorkflowDetailFragment,
  type WorkflowPageQueryVariables,
  type WorkflowSummaryFragment,
} from '../../graphql/generated';

/**
 * Brings the workflows that some query shows up to date and leaves all others out, so that the cache holds a page and
 * not the whole store.
 */
export function writeSummaries(cache: ApolloCache, workflows: readonly WorkflowSummaryFragment[], except: string | null): void {
  cache.batch({
    update: () => {
      for (const workflow of workflows) {
        if (workflow.workflowId === except) continue;
        const where = { id: cache.identify(workflow), fragment: WorkflowSummaryFragmentDoc, fragmentName: 'WorkflowSummary' };
        const known = cache.readFragment<WorkflowSummaryFragment>(where);
        if (known !== null && known.version <= workflow.version) cache.writeFragment({ ...where, data: workflow });
      }
    },
  });
}

/** Puts a whole workflow under its own query. */
export function writeDetail(cache: ApolloCache, workflow: WorkflowDetailFragment): void {
  cache.writeQuery({ query: WorkflowByIdDocument, variables: { id: workflow.workflowId }, data: { workflow } });
}

let guesses = 0;

/**
 * Shows a guess over what the server told, until the returned function takes it back or the server tells that version
 * or a newer one: a layer that stayed would hide every later push.
 */
export function guessDetail(cache: ApolloCache, guess: WorkflowDetailFragment): () => void {
  guesses += 1;
  const layer = `guess:${guesses}`;
  const truth = cache
    .watchFragment({ fragment: WorkflowSummaryFragmentDoc, fragmentName: 'WorkflowSummary', from: guess, optimistic: false })
    .subscribe(({ data }) => {
      // The cache is in the middle of telling its watchers, and cannot be changed until it has told them all.
      if ((data.version ?? 0) >= guess.version) queueMicrotask(takeBack);
    });
  cache.batch({ optimistic: layer, update: (target) => writeDetail(target, guess) });
  return takeBack;

  function takeBack() {
    truth.unsubscribe();
    cache.removeOptimistic(layer);
  }
}

/** The workflow as the server told it, without any guess. */
export function readDetail(cache: ApolloCache, id: string): WorkflowDetailFragment | null {
  return cache.readQuery({ query: WorkflowByIdDocument, variables: { id } })?.workflow ?? null;
}

/** Drops a workflow's own query and whatever nothing else shows. */
export function forgetDetail(cache: ApolloCache, id: string): void {
  cache.evict({ id: 'ROOT_QUERY', fieldName: 'workflow', args: { id } });
  cache.gc();
}

const pages = new WeakMap<ApolloCache, WorkflowPageQueryVariables>();

/** Keeps the page of the list that is shown and drops the one shown before it. */
export function keepOnePage(cache: ApolloCache, shown: WorkflowPageQueryVariables): void {
  const before = pages.get(cache);
  pages.set(cache, shown);
  if (before === undefined || JSON.stringify(before) === JSON.stringify(shown)) return;
  // The page turned away from is watched until this turn of the event loop ends.
  setTimeout(() => {
    if (pages.get(cache) !== shown) return;
    cache.evict({ id: 'ROOT_QUERY', fieldName: 'workflows', args: before });
    cache.gc();
  });
}
