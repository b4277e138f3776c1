import type { StepFieldsFragment, WorkflowCommandInput, WorkflowDetailFragment } from '../../graphql/generated';
import type { Json } from '../text/json';

/** The commands for a workflow that exists, as the field names of `WorkflowCommandInput`. */
export type CommandKind = 'startStep' | 'completeStep' | 'failStep' | 'retryStep' | 'cancelWorkflow' | 'completeWorkflow';

export interface CommandLook {
  label: string;
  /** What a person must say: a new step's name, or one of the steps in this status. */
  step?: 'new' | StepFieldsFragment['status'];
  reason?: boolean;
  output?: boolean;
  /** Set apart because it ends the workflow. */
  ends?: boolean;
}

export const commandLooks: Record<CommandKind, CommandLook> = {
  startStep: { label: 'Start step', step: 'new' },
  completeStep: { label: 'Complete step', step: 'RUNNING', output: true },
  failStep: { label: 'Fail step', step: 'RUNNING', reason: true },
  retryStep: { label: 'Retry step', step: 'FAILED' },
  completeWorkflow: { label: 'Complete workflow', ends: true },
  cancelWorkflow: { label: 'Cancel workflow', reason: true, ends: true },
};

/** The legal commands that this page knows, in a fixed order so that buttons do not jump. */
export function knownCommands(legal: readonly string[]): CommandKind[] {
  return (Object.keys(commandLooks) as CommandKind[]).filter((kind) => legal.includes(kind));
}

/** The names of the steps that a command can be about, newest first, each once. */
export function stepChoices(workflow: WorkflowDetailFragment, kind: CommandKind): string[] {
  const newest = new Map<string, StepFieldsFragment>();
  for (const step of workflow.steps) {
    newest.delete(step.name);
    newest.set(step.name, step);
  }
  const { step: wanted } = commandLooks[kind];
  return [...newest.values()].filter(({ status }) => status === wanted).map(({ name }) => name).reverse();
}

export interface CommandFields {
  step: string;
  reason: string;
  output: Json | undefined;
}

export function buildCommand(kind: CommandKind, workflowId: string, { step, reason, output }: CommandFields): WorkflowCommandInput {
  switch (kind) {
    case 'startStep':
      return { startStep: { workflowId, step } };
    case 'completeStep':
      return { completeStep: { workflowId, step, ...(output === undefined ? {} : { output }) } };
    case 'failStep':
      return { failStep: { workflowId, step, reason } };
    case 'retryStep':
      return { retryStep: { workflowId, step } };
    case 'cancelWorkflow':
      return { cancelWorkflow: { workflowId, reason } };
    case 'completeWorkflow':
      return { completeWorkflow: { workflowId } };
  }
}
