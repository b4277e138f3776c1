import type { StepFieldsFragment, WorkflowCommandInput, WorkflowDetailFragment } from '../../graphql/generated';

/**
 * What the workflow will most likely look like once the command is accepted: shown at once, and taken back when the
 * server decides otherwise. The server's answer always replaces it, so a wrong guess lives for some milliseconds.
 */
export function predict(workflow: WorkflowDetailFragment, command: WorkflowCommandInput, at: string): WorkflowDetailFragment {
  const next = { ...workflow, version: workflow.version + 1, updatedAt: at };
  if (command.startStep) return { ...next, steps: [...workflow.steps, startedStep(workflow, command.startStep.step, at)] };
  if (command.completeStep) {
    const { step, output = null } = command.completeStep;
    const steps = changeNewest(workflow.steps, step, 'RUNNING', { status: 'COMPLETED', completedAt: at, output });
    return { ...next, steps, completedSteps: workflow.completedSteps + 1 };
  }
  if (command.failStep) {
    const { step, reason } = command.failStep;
    return { ...next, status: 'FAILED', steps: changeNewest(workflow.steps, step, 'RUNNING', { status: 'FAILED', completedAt: at, reason }) };
  }
  if (command.retryStep) {
    const { step } = command.retryStep;
    const attempt = (workflow.steps.findLast(({ name }) => name === step)?.attempt ?? 0) + 1;
    const change = { status: 'RUNNING', attempt, startedAt: at, completedAt: null, reason: null } as const;
    const steps = changeNewest(workflow.steps, step, 'FAILED', change);
    // Another step that failed still holds the workflow.
    return { ...next, status: steps.some(({ status }) => status === 'FAILED') ? 'FAILED' : 'RUNNING', steps };
  }
  if (command.cancelWorkflow) {
    return { ...next, status: 'CANCELLED', endedAt: at, reason: command.cancelWorkflow.reason, legalCommands: [] };
  }
  if (command.completeWorkflow) return { ...next, status: 'COMPLETED', endedAt: at, legalCommands: [] };
  return workflow;
}

function startedStep({ steps }: WorkflowDetailFragment, name: string, at: string): StepFieldsFragment {
  const occurrence = steps.filter((step) => step.name === name).length + 1;
  return { __typename: 'Step', name, occurrence, attempt: 1, status: 'RUNNING', startedAt: at, completedAt: null, output: null, reason: null };
}

function changeNewest(
  steps: readonly StepFieldsFragment[],
  name: string,
  status: StepFieldsFragment['status'],
  change: Partial<StepFieldsFragment>,
): StepFieldsFragment[] {
  const at = steps.findLastIndex((step) => step.name === name && step.status === status);
  return steps.map((step, i) => (i === at ? { ...step, ...change } : step));
}
