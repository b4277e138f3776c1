import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import type { Client as Socket } from 'graphql-ws';
import { keepNewestLink } from '../links/keep-newest';
import { Newest } from '../links/newest';
import { resumingSocketLink } from '../links/resume';
import { traceparentLink } from '../links/traceparent';

const REQUEST_MAX_MS = 20_000;

/** Queries and commands by HTTP, subscriptions by the socket, and over both: nothing goes back in time. */
export function createApollo(socket: Pick<Socket, 'subscribe'>, newest: Newest, url = '/graphql'): ApolloClient {
  const http = ApolloLink.from([traceparentLink(), new HttpLink({ uri: url, fetch: boundedFetch })]);
  return new ApolloClient({
    cache: createCache(),
    link: ApolloLink.from([
      keepNewestLink(newest),
      ApolloLink.split(({ operationType }) => operationType === 'subscription', resumingSocketLink(socket), http),
    ]),
    assumeImmutableResults: true,
  });
}

export function createCache(): InMemoryCache {
  return new InMemoryCache({
    typePolicies: {
      Workflow: { keyFields: ['workflowId'] },
      Step: { keyFields: false },
      WorkflowEvent: { keyFields: false },
      WorkflowCounts: { keyFields: false },
    },
  });
}

/** A request over a dead connection ends, so that the page can say so. */
function boundedFetch(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const limit = AbortSignal.timeout(REQUEST_MAX_MS);
  return fetch(input, { ...init, signal: init.signal ? AbortSignal.any([init.signal, limit]) : limit });
}
