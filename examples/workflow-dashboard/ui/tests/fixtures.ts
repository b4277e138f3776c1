import type { StepFieldsFragment, WorkflowDetailFragment } from '../src/graphql/generated';

export function step(fields: Partial<StepFieldsFragment> = {}): StepFieldsFragment {
  return {
    __typename: 'Step',
    name: 'ship',
    occurrence: 1,
    attempt: 1,
    status: 'RUNNING',
    startedAt: '2026-01-01T00:00:00.000Z',
    completedAt: null,
    output: null,
    reason: null,
    ...fields,
  };
}

export function workflow(fields: Partial<WorkflowDetailFragment> = {}): WorkflowDetailFragment {
  return {
    __typename: 'Workflow',
    workflowId: 'order-1',
    definition: 'order',
    initiator: 'anna',
    status: 'RUNNING',
    version: 3,
    position: '30',
    startedAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
    completedSteps: 0,
    initialParams: null,
    reason: null,
    traceId: null,
    legalCommands: ['startStep', 'completeStep', 'failStep', 'cancelWorkflow'],
    steps: [step()],
    ...fields,
  };
}
