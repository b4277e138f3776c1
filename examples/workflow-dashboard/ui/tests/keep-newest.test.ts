import { ApolloClient, ApolloLink, gql, InMemoryCache } from '@apollo/client';
import { Observable, Subject } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { keepNewestLink } from '../src/lib/links/keep-newest';
import { Newest } from '../src/lib/links/newest';

const query = gql`
  query One {
    workflow {
      workflowId
      version
    }
  }
`;
const subscription = gql`
  subscription Updated {
    workflowUpdated {
      workflowId
      version
    }
  }
`;
const entity = (version: number) => ({ __typename: 'Workflow', workflowId: 'w', version });

function harness() {
  const pushes = new Subject<ApolloLink.Result>();
  const answers: number[] = [];
  const server = new ApolloLink((operation) =>
    operation.operationType === 'subscription'
      ? pushes
      : new Observable((observer) => {
          observer.next({ data: { workflow: entity(answers.shift() ?? 0) } });
          observer.complete();
        }),
  );
  const cache = new InMemoryCache({ typePolicies: { Workflow: { keyFields: ['workflowId'] } } });
  const client = new ApolloClient({ cache, link: ApolloLink.from([keepNewestLink(new Newest()), server]) });
  const seen: number[] = [];
  client.subscribe<{ workflowUpdated: { version: number } }>({ query: subscription }).subscribe({
    next: ({ data }) => seen.push(data?.workflowUpdated.version ?? -1),
  });
  const push = (version: number) => pushes.next({ data: { workflowUpdated: entity(version) } });
  const ask = async (answer: number, timeTravel = false) => {
    answers.push(answer);
    const result = await client.query<{ workflow: { version: number } }>({
      query,
      fetchPolicy: timeTravel ? 'no-cache' : 'network-only',
      context: { timeTravel },
    });
    return result.data?.workflow.version;
  };
  const cached = () => client.readQuery<{ workflow: { version: number } }>({ query })?.workflow.version;
  return { push, ask, cached, seen };
}

describe('keepNewestLink', () => {
  it('a late answer does not overwrite a newer push', async () => {
    const { push, ask, cached } = harness();
    push(5);
    expect(await ask(4)).toBe(5);
    expect(cached()).toBe(5);
  });

  it('a late push is dropped after a newer answer', async () => {
    const { push, ask, seen } = harness();
    await ask(7);
    push(6);
    push(8);
    expect(seen).toEqual([8]);
  });

  it('time travel passes untouched and changes nothing for others', async () => {
    const { push, ask, cached } = harness();
    push(5);
    await ask(5);
    expect(await ask(2, true)).toBe(2);
    expect(cached()).toBe(5);
    expect(await ask(4)).toBe(5);
  });
});
