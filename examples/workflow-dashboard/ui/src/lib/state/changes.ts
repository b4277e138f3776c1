import type { ApolloClient } from '@apollo/client';
import type { Subscription } from 'rxjs';
import {
  OnWorkflowsChangedDocument,
  type OnWorkflowsChangedSubscription,
  type WorkflowSummaryFragment,
} from '../../graphql/generated';
import { oncePerFrame } from './frame';
import { writeSummaries } from '../apollo/write';

export interface ChangesListener {
  /** The newest state of each workflow that changed, once a frame. */
  changed?(workflows: readonly WorkflowSummaryFragment[]): void;
  /** Changes may have been missed: ask again for everything shown. */
  resync?(): void;
}

const REOPEN_MS = 1_000;

/** The page's one subscription to all changes. It resumes after its last position and brings the cache up to date. */
export class Changes {
  /** The workflow that a subscription of its own keeps current; its summary is not written over the whole. */
  held: string | null = null;
  readonly #client: ApolloClient;
  readonly #listeners = new Set<ChangesListener>();
  readonly #waiting = new Map<string, WorkflowSummaryFragment>();
  readonly #flush = oncePerFrame(() => this.#deliver());
  #position: string | null = null;
  #subscription: Subscription | undefined;
  #reopen: ReturnType<typeof setTimeout> | undefined;

  constructor(client: ApolloClient) {
    this.#client = client;
  }

  /** Begins after `position`, also when it had begun before. */
  start(position: string): void {
    this.stop();
    this.#position = position;
    this.#open();
  }

  stop(): void {
    clearTimeout(this.#reopen);
    this.#flush.cancel();
    this.#waiting.clear();
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
  }

  listen(listener: ChangesListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #open(): void {
    this.#subscription = this.#client
      .subscribe({
        query: OnWorkflowsChangedDocument,
        variables: { after: this.#position },
        fetchPolicy: 'no-cache',
        context: { resume: (data: OnWorkflowsChangedSubscription) => ({ after: data.workflowsChanged.position }) },
      })
      .subscribe({
        next: ({ data }) => {
          if (data) this.#take(data.workflowsChanged);
        },
        // A failed subscription says so by next({ error }) and then completes. While the page lives it wants its changes.
        complete: () => {
          this.#reopen = setTimeout(() => this.#open(), REOPEN_MS);
        },
      });
  }

  #take({ position, resync, workflows }: OnWorkflowsChangedSubscription['workflowsChanged']): void {
    this.#position = position;
    for (const workflow of workflows) this.#waiting.set(workflow.workflowId, workflow);
    if (workflows.length > 0) this.#flush();
    if (resync) for (const listener of this.#listeners) listener.resync?.();
  }

  #deliver(): void {
    const workflows = [...this.#waiting.values()];
    this.#waiting.clear();
    writeSummaries(this.#client.cache, workflows, this.held);
    for (const listener of this.#listeners) listener.changed?.(workflows);
  }
}
