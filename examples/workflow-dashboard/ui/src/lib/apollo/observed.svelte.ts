import type { ApolloClient, ObservableQuery, OperationVariables } from '@apollo/client';
import { createSubscriber } from 'svelte/reactivity';

/** Something that tells its values and can be left again: an observable, as far as it is needed here. */
export type Source<T> = (next: (value: T) => void) => () => void;

/** A source as a rune: subscribed while an effect or a template reads `current`, and only then. */
export class Observed<T> {
  #current: T;
  readonly #track: () => void;

  constructor(source: Source<T>, initial: T) {
    this.#current = initial;
    this.#track = createSubscriber((update) =>
      source((value) => {
        this.#current = value;
        update();
      }),
    );
  }

  get current(): T {
    this.#track();
    return this.#current;
  }
}

export interface QueryView<TData> {
  /** All of the answer or nothing. */
  data: TData | undefined;
  loading: boolean;
  error: string | null;
}

/** A watched query as a rune; `query` is Apollo's own handle, for asking again. */
export class ObservedQuery<TData, TVariables extends OperationVariables> extends Observed<QueryView<TData>> {
  readonly query: ObservableQuery<TData, TVariables>;

  constructor(query: ObservableQuery<TData, TVariables>) {
    const source: Source<QueryView<TData>> = (next) => {
      const subscription = query.subscribe((result) => next(view(result)));
      return () => subscription.unsubscribe();
    };
    super(source, view<TData>(query.getCurrentResult()));
    this.query = query;
  }
}

export function observeQuery<TData, TVariables extends OperationVariables>(
  client: ApolloClient,
  options: ApolloClient.WatchQueryOptions<TData, TVariables>,
): ObservedQuery<TData, TVariables> {
  return new ObservedQuery(client.watchQuery<TData, TVariables>(options));
}

function view<TData>(result: ObservableQuery.Result<TData>): QueryView<TData> {
  return {
    data: result.dataState === 'complete' ? (result.data as TData) : undefined,
    loading: result.loading,
    error: result.error?.message ?? null,
  };
}
