import type { WorkflowOrder, WorkflowStatus, WorkflowSummaryFragment } from '../../graphql/generated';

export const ROWS_A_PAGE = 50;
const FRESH_MAX = 999;

const statuses: readonly WorkflowStatus[] = ['RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'];

export const orders: Record<WorkflowOrder, string> = {
  UPDATED_DESC: 'Newest change first',
  UPDATED_ASC: 'Oldest change first',
  STARTED_DESC: 'Newest start first',
  STARTED_ASC: 'Oldest start first',
  ID_ASC: 'Id A to Z',
  ID_DESC: 'Id Z to A',
};

export interface Filter {
  status: WorkflowStatus | null;
  search: string;
  orderBy: WorkflowOrder;
}

/** The filter that an address names; what it does not name, or names wrongly, is the default. */
export function readFilter(query: URLSearchParams): Filter {
  const status = statuses.find((known) => known === query.get('status')) ?? null;
  const order = query.get('order');
  const orderBy = order !== null && Object.hasOwn(orders, order) ? (order as WorkflowOrder) : 'UPDATED_DESC';
  return { status, search: query.get('q') ?? '', orderBy };
}

export function writeFilter({ status, search, orderBy }: Filter): URLSearchParams {
  const query = new URLSearchParams();
  if (status !== null) query.set('status', status);
  if (search !== '') query.set('q', search);
  if (orderBy !== 'UPDATED_DESC') query.set('order', orderBy);
  return query;
}

/** The workflows that changed, fit the filter, and are not on the page: what the "N new" pill counts. */
export class Fresh {
  count = $state(0);
  readonly #ids = new Set<string>();

  note(workflows: readonly WorkflowSummaryFragment[], shown: ReadonlySet<string>, filter: Filter): void {
    for (const workflow of workflows) {
      if (shown.has(workflow.workflowId) || !matches(workflow, filter)) this.#ids.delete(workflow.workflowId);
      else if (this.#ids.size < FRESH_MAX) this.#ids.add(workflow.workflowId);
    }
    this.count = this.#ids.size;
  }

  clear(): void {
    this.#ids.clear();
    this.count = 0;
  }

  get isFull(): boolean {
    return this.count >= FRESH_MAX;
  }
}

function matches(workflow: WorkflowSummaryFragment, { status, search }: Filter): boolean {
  if (status !== null && workflow.status !== status) return false;
  const needle = foldCase(search.trim());
  return [workflow.workflowId, workflow.definition, workflow.initiator].some((text) => foldCase(text).includes(needle));
}

/** The server's search is blind to the case of ASCII letters only: what it would not find is not announced either. */
function foldCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
