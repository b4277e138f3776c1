import { ApolloClient, gql, InMemoryCache } from '@apollo/client';
import type { Sink, SubscribePayload } from 'graphql-ws';
import { describe, expect, it } from 'vitest';
import { resumingSocketLink } from '../src/lib/links/resume';

const changes = gql`
  subscription Changes($after: Position) {
    workflowsChanged(after: $after) {
      position
    }
  }
`;

/** Stands where graphql-ws does: keeps the payload, and serialises it at each connection as that library does. */
class Socket {
  payload: SubscribePayload | undefined;
  sink: Sink<{ data: Record<string, unknown> }> | undefined;
  isDisposed = false;

  subscribe = (payload: SubscribePayload, sink: Sink<never>) => {
    this.payload = payload;
    this.sink = sink as never;
    return () => {
      this.isDisposed = true;
    };
  };

  connect(): { query: string; operationName: string; variables: unknown } {
    return JSON.parse(JSON.stringify(this.payload));
  }
}

function open(resume?: (data: { workflowsChanged: { position: string } }) => Record<string, unknown>) {
  const socket = new Socket();
  const client = new ApolloClient({ cache: new InMemoryCache(), link: resumingSocketLink(socket as never) });
  const results: ApolloClient.SubscribeResult[] = [];
  const subscription = client
    .subscribe({ query: changes, variables: { after: '10' }, fetchPolicy: 'no-cache', context: { resume } })
    .subscribe((result) => results.push(result));
  const push = (position: string) => socket.sink?.next({ data: { workflowsChanged: { __typename: 'WorkflowsChanged', position } } });
  return { socket, subscription, results, push };
}

describe('resumingSocketLink', () => {
  const resume = (data: { workflowsChanged: { position: string } }) => ({ after: data.workflowsChanged.position });

  it('a reconnect asks for what comes after the last push', () => {
    const { socket, push, results } = open(resume);
    expect(socket.connect().variables).toEqual({ after: '10' });
    push('11');
    push('18446744073709551615');
    expect(socket.connect().variables).toEqual({ after: '18446744073709551615' });
    expect(results).toHaveLength(2);
  });

  it('the stock behaviour, without resume, repeats the first variables', () => {
    const { socket, push } = open();
    push('11');
    expect(socket.connect().variables).toEqual({ after: '10' });
  });

  it('sends the query and its name', () => {
    const { socket } = open(resume);
    expect(socket.connect().operationName).toBe('Changes');
    expect(socket.connect().query).toContain('workflowsChanged(after: $after)');
  });

  it('tells GraphQL errors and close events as errors', () => {
    for (const [error, text] of [
      [[{ message: 'no such field' }], 'no such field'],
      [{ code: 4429, reason: 'Too many subscriptions' }, '4429 Too many subscriptions'],
      [{}, 'the connection failed'],
    ] as const) {
      const { socket, results } = open(resume);
      socket.sink?.error(error);
      expect(results.at(-1)?.error?.message).toContain(text);
    }
  });

  it('leaving the subscription ends it at the server', () => {
    const { socket, subscription } = open(resume);
    subscription.unsubscribe();
    expect(socket.isDisposed).toBe(true);
  });
});

