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
const whole = gql`
  query Whole {
    workflow {
      workflowId
      version
      steps
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
  let asked = 0;
  const server = new ApolloLink((operation) =>
    operation.operationType === 'subscription'
      ? pushes
      : new Observable((observer) => {
          asked += 1;
          const version = answers.shift() ?? 0;
          const more = operation.operationName === 'Whole' ? { steps: `of ${version}` } : {};
          observer.next({ data: { workflow: { ...entity(version), ...more } } });
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
  type Whole = { workflow: { version: number; steps: string } };
  const told = (data: Whole | null | undefined) => data && { version: data.workflow.version, steps: data.workflow.steps };
  const askWhole = async (...given: number[]) => {
    answers.push(...given);
    return told((await client.query<Whole>({ query: whole, fetchPolicy: 'network-only' })).data);
  };
  const cachedWhole = () => told(client.readQuery<Whole>({ query: whole }));
  return { push, ask, cached, askWhole, cachedWhole, asked: () => asked, seen };
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

  it('a late answer that says more than the newer push is asked for again, never mixed with it', async () => {
    const { push, askWhole, cachedWhole, asked } = harness();
    push(8);
    expect(await askWhole(6, 7, 8)).toEqual({ version: 8, steps: 'of 8' });
    expect(cachedWhole()).toEqual({ version: 8, steps: 'of 8' });
    expect(asked()).toBe(3);
    expect(await askWhole(5)).toEqual({ version: 8, steps: 'of 8' });
    expect(asked()).toBe(4);
  });

  it('a server that stays behind is not asked for ever: its answer is older, but whole', async () => {
    const { push, askWhole, cachedWhole, asked } = harness();
    push(8);
    expect(await askWhole(6, 6, 6, 6, 6)).toEqual({ version: 6, steps: 'of 6' });
    expect(cachedWhole()).toEqual({ version: 6, steps: 'of 6' });
    expect(asked()).toBe(4);
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
