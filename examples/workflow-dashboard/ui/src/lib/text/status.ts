import type { StepStatus, WorkflowStatus } from '../../graphql/generated';

/** How a status is named and coloured, everywhere. The class names are whole, so that UnoCSS finds them. */
export const statusLook: Record<WorkflowStatus | StepStatus, { label: string; text: string; fill: string; edge: string }> = {
  RUNNING: { label: 'Running', text: 'text-running', fill: 'bg-running', edge: 'border-running' },
  COMPLETED: { label: 'Completed', text: 'text-completed', fill: 'bg-completed', edge: 'border-completed' },
  FAILED: { label: 'Failed', text: 'text-failed', fill: 'bg-failed', edge: 'border-failed' },
  CANCELLED: { label: 'Cancelled', text: 'text-cancelled', fill: 'bg-cancelled', edge: 'border-cancelled' },
};
