import { ApolloClient, ApolloLink } from '@apollo/client';
import { fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import CommandBar from '../../src/components/CommandBar.svelte';
import { createCache } from '../../src/lib/apollo/client';
import { step, workflow } from '../fixtures';
import Harness from './Harness.svelte';

const rejection = { success: false, version: 9, code: 'step-running', message: 'step ship is running already' };

/** A bar whose server gives these answers in turn, the last one again and again. */
function show(...answers: Record<string, unknown>[]) {
  const sent: Record<string, unknown>[] = [];
  const link = new ApolloLink(({ variables }) => {
    sent.push(variables);
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    const base = { __typename: 'CommandResult', success: true, workflowId: 'order-1', commandId: 'c', version: 4, code: null, message: null, traceId: 'abc' };
    return new Observable((observer) => {
      observer.next({ data: { executeWorkflowCommand: { ...base, ...answer } } });
      observer.complete();
    });
  });
  const client = new ApolloClient({ cache: createCache(), link });
  const given = workflow({ steps: [step(), step({ name: 'pay' })] });
  const { rerender } = render(Harness, { props: { app: { client }, component: CommandBar, given: { workflow: given } } });
  const update = (fields: object) => rerender({ given: { workflow: { ...given, ...fields } } });
  return { sent, update };
}

const byId = (id: string) => screen.getByTestId(id);

describe('CommandBar', () => {
  it('has a button for each legal command and for no other', () => {
    show({});
    const kinds = screen.getAllByRole('button').map((button) => button.dataset['testid']);
    expect(kinds).toEqual(['action-startStep', 'action-completeStep', 'action-failStep', 'action-cancelWorkflow']);
  });

  it('sends what was chosen and typed, and shows that it is confirmed', async () => {
    const { sent } = show({});
    await fireEvent.click(byId('action-completeStep'));
    await fireEvent.change(byId('action-step'), { target: { value: 'ship' } });
    await fireEvent.input(byId('action-output'), { target: { value: '{"ok": true}' } });
    await fireEvent.submit(byId('action-form'));
    await waitFor(() => expect(byId('action-result').dataset['kind']).toBe('confirmed'));
    expect(sent[0]).toMatchObject({
      command: { completeStep: { workflowId: 'order-1', step: 'ship', output: { ok: true } } },
      expectedVersion: null,
    });
    expect(screen.queryByTestId('action-form')).toBeNull();
  });

  it('does not send what is no JSON, and says so', async () => {
    const { sent } = show({});
    await fireEvent.click(byId('action-completeStep'));
    await fireEvent.input(byId('action-output'), { target: { value: '{' } });
    expect(byId('action-output').getAttribute('aria-invalid')).toBe('true');
    await fireEvent.submit(byId('action-form'));
    expect(sent).toEqual([]);
    expect(screen.getByText(/^Not valid JSON/)).toBeTruthy();
  });

  it('shows the code and the sentence of a rejection and keeps the form', async () => {
    show(rejection);
    await fireEvent.click(byId('action-startStep'));
    await fireEvent.input(byId('action-step'), { target: { value: 'ship' } });
    await fireEvent.submit(byId('action-form'));
    await waitFor(() => expect(byId('action-error').dataset['code']).toBe('step-running'));
    expect(byId('action-error').textContent).toContain('step ship is running already.');
    expect(byId('action-form')).toBeTruthy();
  });

  it('what is undecided is sent again with the same id, by its button and by the form', async () => {
    const { sent } = show({ success: false, version: null, code: 'undecided', message: 'not decided in time' }, { success: false, version: null, code: 'undecided' }, {});
    await fireEvent.click(byId('action-startStep'));
    await fireEvent.input(byId('action-step'), { target: { value: 'pack' } });
    await fireEvent.submit(byId('action-form'));
    await waitFor(() => expect(byId('action-result').dataset['kind']).toBe('unanswered'));
    await fireEvent.click(byId('action-again'));
    await waitFor(() => expect([sent.length, byId('action-result').dataset['kind']]).toEqual([2, 'unanswered']));
    await fireEvent.submit(byId('action-form'));
    await waitFor(() => expect(byId('action-result').dataset['kind']).toBe('confirmed'));
    expect(new Set(sent.map(({ commandId }) => commandId)).size).toBe(1);
    expect(sent).toHaveLength(3);
  });

  it('another command is never sent with the id of the one that is undecided, nor one that was refused', async () => {
    const { sent } = show({ success: false, version: null, code: 'undecided' }, rejection);
    await fireEvent.click(byId('action-startStep'));
    for (const name of ['pack', 'label', 'label']) {
      const before = sent.length;
      await fireEvent.input(byId('action-step'), { target: { value: name } });
      await fireEvent.submit(byId('action-form'));
      await waitFor(() => expect(byId('action-result').dataset['kind']).not.toBe('none'));
      expect(sent).toHaveLength(before + 1);
    }
    expect(new Set(sent.map(({ commandId }) => commandId)).size).toBe(3);
  });

  it('the expectation is the version that the person saw when the form opened', async () => {
    const { sent, update } = show(rejection);
    await fireEvent.click(byId('action-cancelWorkflow'));
    await fireEvent.input(byId('action-reason'), { target: { value: 'no' } });
    await fireEvent.click(byId('action-expected'));
    await update({ version: 8 });
    await fireEvent.submit(byId('action-form'));
    await waitFor(() => expect(sent[0]).toMatchObject({ expectedVersion: 3 }));
  });
});
