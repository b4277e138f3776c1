import type { ApolloClient } from '@apollo/client';
import type { Subscription } from 'rxjs';
import { OnWorkflowUpdatedDocument, WorkflowByIdDocument, type OnWorkflowUpdatedSubscription } from '../../graphql/generated';
import { observeQuery } from '../apollo/observed.svelte';
import { forgetDetail, readDetail, writeDetail } from '../apollo/write';
import type { Changes } from './changes';

const REOPEN_MS = 1_000;

/** One workflow, kept current by a subscription of its own from `open` to `close`. */
export class Detail {
  readonly id: string;
  readonly #client: ApolloClient;
  readonly #changes: Changes;
  readonly #observed;
  #subscription: Subscription | undefined;
  #reopen: ReturnType<typeof setTimeout> | undefined;
  #deaf: (() => void) | undefined;

  constructor(client: ApolloClient, changes: Changes, id: string) {
    this.id = id;
    this.#client = client;
    this.#changes = changes;
    this.#observed = observeQuery(client, {
      query: WorkflowByIdDocument,
      variables: { id },
      fetchPolicy: 'cache-and-network',
      nextFetchPolicy: 'cache-first',
    });
  }

  get workflow() {
    return this.#observed.current.data?.workflow ?? null;
  }

  /** The newest version that the server told: a guess may be shown already, but it has no events. */
  get confirmedVersion(): number {
    void this.#observed.current;
    return readDetail(this.#client.cache, this.id)?.version ?? 0;
  }

  get isLoading(): boolean {
    return this.#observed.current.loading && this.workflow === null;
  }

  get error(): string | null {
    return this.#observed.current.error;
  }

  refetch = () => {
    void this.#observed.query.refetch().catch(() => undefined);
  };

  open(): void {
    this.#changes.held = this.id;
    this.#deaf = this.#changes.listen({ resync: this.refetch });
    this.#watch(null);
  }

  close(): void {
    this.#changes.held = null;
    this.#deaf?.();
    clearTimeout(this.#reopen);
    this.#subscription?.unsubscribe();
    // After the page's own watch is gone: an evicted query that is still watched would be fetched anew.
    setTimeout(() => forgetDetail(this.#client.cache, this.id));
  }

  /** Without a version the newest state comes first: whole and never mixed, whatever the list knew before. */
  #watch(afterVersion: number | null): void {
    let last = afterVersion;
    this.#subscription = this.#client
      .subscribe({
        query: OnWorkflowUpdatedDocument,
        variables: { id: this.id, afterVersion },
        fetchPolicy: 'no-cache',
        context: { resume: (data: OnWorkflowUpdatedSubscription) => ({ afterVersion: data.workflowUpdated.version }) },
      })
      .subscribe({
        next: ({ data }) => {
          if (!data) return;
          last = data.workflowUpdated.version;
          if ((readDetail(this.#client.cache, this.id)?.version ?? 0) <= last) writeDetail(this.#client.cache, data.workflowUpdated);
        },
        complete: () => {
          this.#reopen = setTimeout(() => this.#watch(last), REOPEN_MS);
        },
      });
  }
}
