import type { ApolloClient } from '@apollo/client';
import { HistoryCursorDocument, HistoryPageDocument, type EventFieldsFragment } from '../../graphql/generated';

export const EVENTS_A_PAGE = 50;

/**
 * The events of one workflow, a page at a time. Cursors are opaque, so the newest page is found by walking the pages'
 * ends once; they are remembered. A reader at the newest page stays there while events arrive.
 */
export class History {
  events = $state.raw<readonly EventFieldsFragment[]>([]);
  total = $state(0);
  page = $state(0);
  isLoading = $state(true);
  error = $state<string | null>(null);
  readonly #client: ApolloClient;
  readonly #id: string;
  /** What comes before each page; pages are of equal size, and events never move. */
  #starts: (string | null)[] = [null];
  #task: Promise<void> = Promise.resolve();

  constructor(client: ApolloClient, id: string) {
    this.#client = client;
    this.#id = id;
  }

  get pages(): number {
    return Math.max(1, Math.ceil(this.total / EVENTS_A_PAGE));
  }

  get isNewest(): boolean {
    return this.page >= this.pages - 1;
  }

  show(page: number): Promise<void> {
    return this.#enqueue(() => this.#load(page));
  }

  newest(): Promise<void> {
    return this.#enqueue(() => this.#load(Number.MAX_SAFE_INTEGER));
  }

  /** The workflow has more events than before. */
  grown(): Promise<void> {
    return this.#enqueue(() => this.#load(this.isNewest ? Number.MAX_SAFE_INTEGER : this.page));
  }

  /** One at a time and in order, so that no earlier answer overwrites a later one. */
  #enqueue(task: () => Promise<void>): Promise<void> {
    this.#task = this.#task.then(async () => {
      this.isLoading = true;
      try {
        await task();
        this.error = null;
      } catch (error) {
        this.error = error instanceof Error ? error.message : String(error);
      } finally {
        this.isLoading = false;
      }
    });
    return this.#task;
  }

  async #load(wanted: number): Promise<void> {
    let page = await this.#reach(wanted);
    let answer = await this.#fetch(page);
    // What was appended while we walked.
    while (wanted > page && answer.pageInfo.hasNextPage && answer.pageInfo.endCursor !== null) {
      this.#starts[++page] = answer.pageInfo.endCursor;
      answer = await this.#fetch(page);
    }
    this.events = answer.nodes;
    this.total = Math.max(answer.totalCount, page * EVENTS_A_PAGE + answer.nodes.length);
    this.page = page;
  }

  /** Walks to `wanted`, or to the last page when there are fewer, and gives the page reached. */
  async #reach(wanted: number): Promise<number> {
    let page = Math.min(wanted, this.#starts.length - 1);
    while (page < wanted) {
      const variables = { id: this.#id, first: EVENTS_A_PAGE, after: this.#starts[page] };
      const { data } = await this.#client.query({ query: HistoryCursorDocument, variables, fetchPolicy: 'no-cache' });
      const { hasNextPage, endCursor } = data?.workflowHistory.pageInfo ?? {};
      if (!hasNextPage || endCursor == null) break;
      this.#starts[++page] = endCursor;
    }
    return page;
  }

  async #fetch(page: number) {
    const variables = { id: this.#id, first: EVENTS_A_PAGE, after: this.#starts[page] };
    const { data } = await this.#client.query({ query: HistoryPageDocument, variables, fetchPolicy: 'no-cache' });
    if (!data) throw new Error('the server sent no history');
    return data.workflowHistory;
  }
}
