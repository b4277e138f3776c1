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

/** Puts a whole workflow under its own query; with `layer`, as a guess that `cache.removeOptimistic(layer)` takes back. */
export function writeDetail(cache: ApolloCache, workflow: WorkflowDetailFragment, layer?: string): void {
  const write = (target: ApolloCache) =>
    target.writeQuery({
      query: WorkflowByIdDocument,
      variables: { id: workflow.workflowId },
      data: { workflow },
    });
  if (layer === undefined) cache.batch({ update: write });
  else cache.batch({ optimistic: layer, update: write });
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
