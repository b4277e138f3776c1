import { describe, expect, it } from 'vitest';
import { buildCommand, knownCommands, stepChoices } from '../src/lib/commands/kinds';
import { predict } from '../src/lib/commands/predict';
import { step, workflow } from './fixtures';

const at = '2026-01-01T00:01:00.000Z';
const workflowId = 'order-1';

describe('predict', () => {
  it('a started step comes last, with the next occurrence of its name', () => {
    const next = predict(workflow({ steps: [step({ status: 'COMPLETED' })] }), { startStep: { workflowId, step: 'ship' } }, at);
    expect(next.version).toBe(4);
    expect(next.steps.at(-1)).toEqual(step({ occurrence: 2, startedAt: at }));
  });

  it('only the running occurrence completes', () => {
    const steps = [step({ status: 'COMPLETED', output: 1 }), step({ occurrence: 2 })];
    const next = predict(workflow({ steps, completedSteps: 1 }), { completeStep: { workflowId, step: 'ship', output: 2 } }, at);
    expect(next.steps).toEqual([steps[0], step({ occurrence: 2, status: 'COMPLETED', completedAt: at, output: 2 })]);
    expect(next.completedSteps).toBe(2);
  });

  it('a failed step fails the workflow, its retry lets it run', () => {
    const failed = predict(workflow(), { failStep: { workflowId, step: 'ship', reason: 'storm' } }, at);
    expect(failed).toMatchObject({ status: 'FAILED', steps: [{ status: 'FAILED', reason: 'storm', completedAt: at }] });
    const retried = predict(failed, { retryStep: { workflowId, step: 'ship' } }, at);
    expect(retried).toMatchObject({ status: 'RUNNING', version: 5, steps: [{ status: 'RUNNING', attempt: 2, completedAt: null, reason: null }] });
  });

  it('another failed step still holds the workflow', () => {
    const steps = [step({ name: 'pay', status: 'FAILED' }), step({ status: 'FAILED' })];
    expect(predict(workflow({ status: 'FAILED', steps }), { retryStep: { workflowId, step: 'ship' } }, at).status).toBe('FAILED');
  });

  it('an end leaves nothing to do', () => {
    expect(predict(workflow(), { cancelWorkflow: { workflowId, reason: 'no' } }, at)).toMatchObject({
      status: 'CANCELLED',
      endedAt: at,
      reason: 'no',
      legalCommands: [],
    });
    expect(predict(workflow(), { completeWorkflow: { workflowId } }, at)).toMatchObject({ status: 'COMPLETED', endedAt: at, legalCommands: [] });
  });

  it('never touches what it was given', () => {
    const given = workflow();
    const before = structuredClone(given);
    predict(given, { failStep: { workflowId, step: 'ship', reason: 'storm' } }, at);
    expect(given).toEqual(before);
  });
});

describe('kinds', () => {
  it('shows the legal commands that it knows, in a fixed order', () => {
    expect(knownCommands(['cancelWorkflow', 'somethingNew', 'startStep'])).toEqual(['startStep', 'cancelWorkflow']);
  });

  it('offers the steps whose newest occurrence fits', () => {
    const steps = [step({ name: 'a', status: 'FAILED' }), step({ name: 'b' }), step({ name: 'a', occurrence: 2 }), step({ name: 'c', status: 'FAILED' })];
    expect(stepChoices(workflow({ steps }), 'completeStep')).toEqual(['a', 'b']);
    expect(stepChoices(workflow({ steps }), 'retryStep')).toEqual(['c']);
    expect(stepChoices(workflow({ steps }), 'startStep')).toEqual([]);
  });

  it('sends no output when none was typed, and null when null was', () => {
    const fields = { step: 'ship', reason: '' };
    expect(buildCommand('completeStep', workflowId, { ...fields, output: undefined })).toEqual({ completeStep: { workflowId, step: 'ship' } });
    expect(buildCommand('completeStep', workflowId, { ...fields, output: null })).toEqual({ completeStep: { workflowId, step: 'ship', output: null } });
  });
});
