import { ApolloLink } from '@apollo/client';
import { CombinedGraphQLErrors } from '@apollo/client/errors';
import { print } from '@apollo/client/utilities';
import type { Client } from 'graphql-ws';
import { Observable } from 'rxjs';

type Variables = Record<string, unknown>;

/** Set as `context.resume`: from what arrived last, the variables that ask for what comes after it. */
export type Resume = (data: never) => Variables;

/**
 * Subscriptions over a WebSocket that go on where they were.
 *
 * graphql-ws sends the same payload again after a reconnect, so a fixed payload repeats or loses what happened in
 * between. Here the payload's `variables` is a getter: each new connection reads the newest.
 */
export function resumingSocketLink(client: Pick<Client, 'subscribe'>): ApolloLink {
  return new ApolloLink((operation) => {
    const resume = operation.getContext()['resume'] as Resume | undefined;
    return new Observable((observer) => {
      let variables: Variables = operation.variables;
      const payload = {
        query: print(operation.query),
        operationName: operation.operationName,
        get variables() {
          return variables;
        },
      };
      return client.subscribe<Record<string, unknown>>(payload, {
        next(result) {
          if (result.data && resume) variables = { ...variables, ...resume(result.data as never) };
          observer.next(result as ApolloLink.Result);
        },
        error: (error) => observer.error(asError(error)),
        complete: () => observer.complete(),
      });
    });
  });
}

function asError(error: unknown): Error {
  if (error instanceof Error) return error;
  if (Array.isArray(error)) return new CombinedGraphQLErrors({ errors: error });
  const { code, reason } = (error ?? {}) as { code?: number; reason?: string };
  return new Error(code === undefined ? 'the connection failed' : `the server closed the connection: ${code} ${reason ?? ''}`.trim());
}
