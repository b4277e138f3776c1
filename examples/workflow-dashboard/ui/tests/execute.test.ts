import { ApolloClient, ApolloLink } from '@apollo/client';
import { Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { WorkflowByIdDocument, type WorkflowDetailFragment } from '../src/graphql/generated';
import { createCache } from '../src/lib/apollo/client';
import { readDetail, writeDetail, writeSummaries } from '../src/lib/apollo/write';
import { execute, newOrder } from '../src/lib/commands/execute';
import { workflow } from './fixtures';

type Answer = { data?: Record<string, unknown>; failure?: Error };

/** A client whose server answers when the test says so. */
async function harness(newest: WorkflowDetailFragment) {
  const sent: ApolloLink.Operation[] = [];
  let answer: (answer: Answer) => void = () => undefined;
  const link = new ApolloLink((operation) => {
    sent.push(operation);
    return new Observable((observer) => {
      const reply = ({ data, failure }: Answer) => {
        if (failure) return observer.error(failure);
        observer.next({ data });
        observer.complete();
      };
      if (operation.operationName === 'ExecuteCommand') answer = reply;
      else reply({ data: { workflow: newest } });
    });
  });
  const client = new ApolloClient({ cache: createCache(), link });
  const shown: string[] = [];
  client
    .watchQuery({ query: WorkflowByIdDocument, variables: { id: 'order-1' }, fetchPolicy: 'cache-only' })
    .subscribe(({ data }) => data?.workflow?.status && shown.push(`${data.workflow.status} ${data.workflow.version}`));
  writeDetail(client.cache, workflow());
  await settled();
  const order = newOrder('order-1', { cancelWorkflow: { workflowId: 'order-1', reason: 'no' } }, 3);
  return { client, order, shown, sent, answer: (with_: Answer) => answer(with_) };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));
const result = (fields: object) => ({
  executeWorkflowCommand: {
    __typename: 'CommandResult',
    success: true,
    workflowId: 'order-1',
    commandId: 'c',
    version: 4,
    code: null,
    message: null,
    traceId: 't',
    ...fields,
  },
});

describe('execute', () => {
  it('shows the guess at once and the truth afterwards, never the past in between', async () => {
    const truth = workflow({ status: 'CANCELLED', version: 4, reason: 'no', legalCommands: [] });
    const { client, order, shown, sent, answer } = await harness(truth);
    const outcome = execute(client, order);
    await settled();
    expect(shown).toEqual(['RUNNING 3', 'CANCELLED 4']);
    answer({ data: result({}) });
    expect(await outcome).toMatchObject({ kind: 'confirmed', version: 4, traceId: 't' });
    await settled();
    expect(shown).not.toContain('RUNNING 4');
    expect(shown.at(-1)).toBe('CANCELLED 4');
    expect(shown.filter((text) => text === 'RUNNING 3')).toHaveLength(1);
    expect(sent[0]?.variables).toMatchObject({ wait: 'VISIBLE', expectedVersion: 3, commandId: order.commandId });
    expect(readDetail(client.cache, 'order-1')).toEqual(truth);
  });

  it('newer truth is shown while the answer is still on its way', async () => {
    const { client, order, shown, answer } = await harness(workflow());
    const outcome = execute(client, order);
    await settled();
    writeDetail(client.cache, workflow({ version: 3, initiator: 'told again' }));
    await settled();
    expect(shown).toEqual(['RUNNING 3', 'CANCELLED 4']);
    writeDetail(client.cache, workflow({ status: 'FAILED', version: 4 }));
    await settled();
    writeDetail(client.cache, workflow({ status: 'RUNNING', version: 5 }));
    await settled();
    expect(shown).toEqual(['RUNNING 3', 'CANCELLED 4', 'FAILED 4', 'RUNNING 5']);
    answer({ data: result({ success: false, version: 5, code: 'conflict', message: 'it is at 5' }) });
    await outcome;
    await settled();
    expect(shown.at(-1)).toBe('RUNNING 5');
    expect(client.cache.extract(true)).toEqual(client.cache.extract());
  });

  it('a summary in the list is newer truth too', async () => {
    const { client, order, shown, answer } = await harness(workflow());
    const outcome = execute(client, order);
    writeSummaries(client.cache, [workflow({ status: 'COMPLETED', version: 6 })], null);
    await settled();
    expect(shown.at(-1)).toBe('COMPLETED 6');
    answer({ data: result({ version: 4 }) });
    await outcome;
    expect(shown.at(-1)).toBe('COMPLETED 6');
  });

  it('a rejection takes the guess back and says why', async () => {
    const { client, order, shown, answer } = await harness(workflow());
    const outcome = execute(client, order);
    await settled();
    answer({ data: result({ success: false, version: 5, code: 'conflict', message: 'it is at 5' }) });
    expect(await outcome).toMatchObject({ kind: 'rejected', code: 'conflict', message: 'it is at 5.' });
    await settled();
    expect(shown).toEqual(['RUNNING 3', 'CANCELLED 4', 'RUNNING 3']);
  });

  it('undecided is no rejection: the command is queued and will be carried out', async () => {
    const { client, order, shown, answer } = await harness(workflow());
    const outcome = execute(client, order);
    await settled();
    answer({ data: result({ success: false, version: null, code: 'undecided', message: 'not decided in time' }) });
    expect(await outcome).toMatchObject({ kind: 'unanswered', message: 'not decided in time.', traceId: 't' });
    await settled();
    expect(shown.at(-1)).toBe('RUNNING 3');
  });

  it('no answer is no rejection: the guess goes, and the same order can be sent again', async () => {
    const { client, order, shown, sent, answer } = await harness(workflow());
    const outcome = execute(client, order);
    await settled();
    answer({ failure: new Error('the network is gone') });
    expect(await outcome).toMatchObject({ kind: 'unanswered', message: 'the network is gone.' });
    await settled();
    expect(shown.at(-1)).toBe('RUNNING 3');
    void execute(client, order);
    await settled();
    const ids = sent.filter(({ operationName }) => operationName === 'ExecuteCommand').map(({ variables }) => variables['commandId']);
    expect(ids).toEqual([order.commandId, order.commandId]);
  });
});
